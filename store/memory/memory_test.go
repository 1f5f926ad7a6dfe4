package memory

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// What every engine must do is tested in internal/conformance; here is what is
// this engine's own.

func appendAll(t *testing.T, s *Store, recs []*audit.Record) {
	t.Helper()
	results, err := s.Append(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

func TestIndexStaysInOrder(t *testing.T) {
	recs := storetest.Corpus(1, 500)
	for _, size := range []int{1, 3, 50, 500} {
		var x index
		for some := range slices.Chunk(recs, size) {
			before := slices.Clone(x)
			handedOut := x
			x = x.insert(slices.Clone(some))
			if !slices.Equal(before, handedOut) {
				t.Fatal("an index that was handed out has changed")
			}
		}
		if len(x) != len(recs) || !slices.IsSortedFunc(x, compare) {
			t.Fatalf("batches of %d: %d records, in order: %v", size, len(x), slices.IsSortedFunc(x, compare))
		}
	}
}

// A walk sees the state at its beginning, whatever is written meanwhile.
func TestScanSeesOneState(t *testing.T) {
	s := New(Options{})
	recs := storetest.Corpus(2, 100)
	appendAll(t, s, recs)
	n := 0
	err := s.Scan(t.Context(), &audit.Query{}, func(r *audit.Record) error {
		if n++; n == 1 {
			appendAll(t, s, storetest.Corpus(3, 100))
			_, err := s.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: time.Now().AddDate(100, 0, 0)}, 500)
			return err
		}
		return nil
	})
	if err != nil || n != len(recs) {
		t.Errorf("%d records, %v, want %d", n, err, len(recs))
	}
}

func TestAppendRefusesWhatItCannotKeep(t *testing.T) {
	s := New(Options{})
	good := storetest.Corpus(4, 3)
	appendAll(t, s, good[:1])
	noID, placed := storetest.Clone(good[1]), storetest.Clone(good[2])
	noID.ID = audit.ID{}
	placed.Sequence = 7
	results, err := s.Append(t.Context(), []*audit.Record{noID, placed, good[1]})
	if err != nil {
		t.Fatal(err)
	}
	for i, field := range []string{"id", "sequence"} {
		var e *audit.Error
		if !errors.As(results[i].Err, &e) || e.Code != audit.CodeInvalid || e.Field != field {
			t.Errorf("record %d: got %v, want an error about %s", i, results[i].Err, field)
		}
	}
	if results[2].Err != nil {
		t.Errorf("the good one: %v", results[2].Err)
	}
	// In a chain a position that was given is not an error: it is replaced.
	chained, err := s.AppendChained(t.Context(), []*audit.Record{placed})
	if err != nil || chained[0].Sequence != 1 || placed.Sequence != 1 {
		t.Errorf("got %+v, %v", chained, err)
	}
}

func TestAnchorsCarryTheGivenTime(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := New(Options{Now: func() time.Time { return now }})
	recs := storetest.Corpus(5, 1)
	recs[0].Kind, recs[0].ExpiresAt = audit.KindEvent, now
	if _, err := s.AppendChained(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	if n, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: now, Reason: "ttl"}, 1); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	page, err := s.Query(t.Context(), &audit.Query{Limit: 2})
	if err != nil || len(page.Records) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	if a := page.Records[0]; a.Action != chain.ActionPrune || !a.OccurredAt.Equal(now) || !json.Valid(a.Payload) {
		t.Errorf("got %s", a.AppendJSON(nil))
	}
}

func TestStateCounts(t *testing.T) {
	s := New(Options{})
	recs := storetest.Corpus(6, 10)
	appendAll(t, s, recs)
	state, err := s.State(context.Background())
	if err != nil || state["records"] != "10" || state["chains"] != "0" {
		t.Errorf("got %v, %v", state, err)
	}
}

func BenchmarkQueryNewest50(b *testing.B) {
	s := New(Options{})
	if _, err := s.Append(b.Context(), storetest.Corpus(7, 100_000)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Query(b.Context(), &audit.Query{Limit: 50}); err != nil {
			b.Fatal(err)
		}
	}
}
