package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/annals-dev/annals/audit"
)

func scanAll(t *testing.T, s audit.Scanner, q *audit.Query) []*audit.Record {
	t.Helper()
	var out []*audit.Record
	err := s.Scan(t.Context(), q, func(r *audit.Record) error {
		out = append(out, Clone(r))
		return nil
	})
	if err != nil {
		t.Fatalf("Scan %s: %v", show(q), err)
	}
	return out
}

// testScanning wants Scan and Count to agree with Query.
func testScanning(t *testing.T, h *Harness) {
	s := h.open(t)
	scanner, counter := capability[audit.Scanner](t, s), capability[audit.Counter](t, s)
	recs := Corpus(71, 1500) // more than one page of any size
	h.store(t, s, CloneAll(recs))
	everything := valid(t, audit.Query{Limit: 1})
	sameAnswer(t, "Scan", everything, recs, scanAll(t, scanner, everything))

	r := NewRand(72)
	for range Rounds(60) {
		q := RandomQuery(r, recs...)
		if q.Text != "" && !s.Capabilities().Text {
			q.Text = ""
		}
		want := Answer(recs, q)
		got := scanAll(t, scanner, q) // all of them, whatever the limit
		sameAnswer(t, "Scan", q, want, got)
		n, err := counter.Count(t.Context(), q)
		if err != nil || n != int64(len(want)) {
			t.Errorf("Count %s: got %d, %v, want %d", show(q), n, err, len(want))
		}
		if len(want) == 0 {
			continue
		}
		// From a position on, as a resumed export does. Count does not care.
		q.After = want[r.IntN(len(want))].Position()
		sameAnswer(t, "Scan", q, after(want, q), scanAll(t, scanner, q))
		if n, err := counter.Count(t.Context(), q); err != nil || n != int64(len(want)) {
			t.Errorf("Count %s: got %d, %v, want %d", show(q), n, err, len(want))
		}
	}

	t.Run("an error of fn", func(t *testing.T) {
		stop := errors.New("enough")
		calls := 0
		err := scanner.Scan(t.Context(), everything, func(*audit.Record) error {
			if calls++; calls == 3 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || calls != 3 {
			t.Errorf("got %v after %d calls, want fn's own error after 3", err, calls)
		}
	})
	t.Run("questions within a walk", func(t *testing.T) {
		calls := 0
		err := scanner.Scan(t.Context(), everything, func(r *audit.Record) error {
			if calls++; calls%500 != 0 {
				return nil
			}
			_, err := s.Get(t.Context(), r.Ref())
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("cancelled on the way", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := 0
		err := scanner.Scan(ctx, everything, func(*audit.Record) error {
			calls++
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v after %d of %d records, want context.Canceled", err, calls, len(recs))
		}
	})
}

func after(recs []*audit.Record, q *audit.Query) (out []*audit.Record) {
	for _, r := range recs {
		c := r.Position().Compare(q.After)
		if q.Order == audit.NewestFirst {
			c = -c
		}
		if c > 0 {
			out = append(out, r)
		}
	}
	return out
}
