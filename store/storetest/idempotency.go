package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

func testIdempotency(t *testing.T, h *Harness) {
	t.Run("an empty batch", func(t *testing.T) {
		s := h.open(t)
		results, err := s.Append(t.Context(), nil)
		if err != nil || len(results) != 0 {
			t.Errorf("got %v, %v", results, err)
		}
	})
	t.Run("the same batch again", func(t *testing.T) { testResend(t, h) })
	t.Run("each field alone makes a conflict", func(t *testing.T) { testEveryFieldConflicts(t, h) })
	t.Run("a mixed batch", func(t *testing.T) { testMixedBatch(t, h) })
	t.Run("records that nobody has sent before", func(t *testing.T) { testFresh(t, h) })
	t.Run("no time given", func(t *testing.T) { testResendWithoutTime(t, h) })
	t.Run("a large batch", func(t *testing.T) {
		s := h.open(t)
		recs := Corpus(21, 3000)
		results, err := s.Append(t.Context(), recs)
		if err != nil || len(results) != len(recs) {
			t.Fatalf("Append gave %d results, %v", len(results), err)
		}
		for _, r := range results {
			if r != (audit.Result{}) {
				t.Fatalf("got %+v", r)
			}
		}
		h.settle(t, s)
		ask(t, s, recs, valid(t, audit.Query{Limit: audit.MaxLimit}))
	})
}

// testResend wants a repeated batch to store nothing, also when the door has
// stamped it anew.
func testResend(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(22, 200)
	h.store(t, s, CloneAll(recs))
	again := CloneAll(recs)
	for i, r := range again {
		if r.OccurredAt.Equal(r.RecordedAt) {
			continue // a new recorded_at would make it another event, see audit.SameContent
		}
		r.RecordedAt = r.RecordedAt.Add(time.Duration(i+1) * time.Second)
		r.Level, r.ExpiresAt = "other", time.Time{}
	}
	for range 2 {
		results, err := s.Append(t.Context(), again)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r != (audit.Result{Duplicate: true}) {
				t.Errorf("record %d: got %+v, want a duplicate", i, r)
			}
		}
	}
	h.settle(t, s)
	ask(t, s, recs, valid(t, audit.Query{Limit: 100})) // as it was stored first
}

func testEveryFieldConflicts(t *testing.T, h *Harness) {
	s := h.open(t)
	for _, f := range audit.Fields() {
		r := event(scopeA, CorpusStart, nil)
		other := Clone(r)
		switch f.Name {
		case "id", "external_id", "namespace", "tenant", "recorded_at", "level", "expires_at", "sequence", "segment", "prev_hash", "hash":
			continue // not content, or another record
		case "kind":
			other.Kind = audit.KindGap
		case "operation":
			other.Operation = audit.Read
		case "outcome":
			other.Outcome = audit.Denied
		default:
			switch f.Kind {
			case audit.Text:
				f.SetText(other, "changed")
			case audit.Document:
				f.SetBytes(other, []byte(`{}`))
			default:
				f.SetInt(other, f.Int(other)+1)
			}
		}
		h.store(t, s, []*audit.Record{r})
		results, err := s.Append(t.Context(), []*audit.Record{other})
		if err != nil || !errors.Is(results[0].Err, audit.ErrConflict) {
			t.Errorf("%s changed: got %+v, %v, want a conflict", f.Name, results, err)
		}
		if got, err := s.Get(t.Context(), r.Ref()); err != nil || Diff(r, got) != "" {
			t.Errorf("%s: the conflict touched the stored record: %v\n%s", f.Name, err, Diff(r, got))
		}
	}
}

// testMixedBatch puts every fate into one batch: what is wrong with one record
// must not hold up another.
func testMixedBatch(t *testing.T, h *Harness) {
	s := h.open(t)
	at := CorpusStart
	old := event(scopeA, at, nil)
	known := event(scopeA, at, nil)
	h.store(t, s, []*audit.Record{old, known})

	fresh := event(scopeA, at, nil)
	conflict := Clone(old)
	conflict.Error = "something else"
	second := Clone(fresh)
	second.Error = "a contradiction within the batch"
	elsewhere := Clone(old) // the same id in another tenant is another record
	elsewhere.Tenant, elsewhere.Error = "b", "theirs"
	unlike := Clone(known)
	unlike.Error = "something else"
	last := event(audit.Scope{Namespace: "other", Tenant: "c"}, at.Add(time.Hour), nil)

	batch := []*audit.Record{Clone(old), fresh, conflict, Clone(fresh), second, elsewhere, unlike, Clone(unlike), Clone(known), last}
	results, err := s.Append(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(batch) {
		t.Fatalf("%d results for %d records", len(results), len(batch))
	}
	for i, want := range []string{"duplicate", "stored", "conflict", "duplicate", "conflict", "stored", "conflict", "conflict", "duplicate", "stored"} {
		got := "stored"
		switch {
		case errors.Is(results[i].Err, audit.ErrConflict):
			got = "conflict"
		case results[i].Err != nil:
			got = results[i].Err.Error()
		case results[i].Duplicate:
			got = "duplicate"
		}
		if got != want {
			t.Errorf("record %d: got %s, want %s", i, got, want)
		}
		if audit.Retryable(results[i].Err) && results[i].Err != nil {
			t.Errorf("record %d: a conflict must not be worth a retry", i)
		}
	}
	h.settle(t, s)
	ask(t, s, []*audit.Record{old, known, fresh, elsewhere, last}, valid(t, audit.Query{}))
	for _, want := range []*audit.Record{old, elsewhere} {
		got, err := s.Get(t.Context(), want.Ref())
		if err != nil || Diff(want, got) != "" {
			t.Errorf("Get(%v): %v\n%s", want.Ref(), err, Diff(want, got))
		}
	}
}

// testResendWithoutTime repeats an event that has an id and no time: the door
// gives it the time of each delivery, months apart here.
func testResendWithoutTime(t *testing.T, h *Harness) {
	s := h.open(t)
	deliver := func(at time.Time) *audit.Record {
		return event(scopeA, at, func(r *audit.Record) {
			r.ID, r.ExternalID, r.RecordedAt = audit.ID{}, "order-17/ümlaut", at
		})
	}
	first := deliver(CorpusStart)
	h.store(t, s, []*audit.Record{Clone(first)})
	for _, later := range []time.Duration{time.Microsecond, time.Hour, 70 * 24 * time.Hour} {
		results, err := s.Append(t.Context(), []*audit.Record{deliver(CorpusStart.Add(later))})
		if err != nil || results[0] != (audit.Result{Duplicate: true}) {
			t.Errorf("%v later: got %+v, %v, want a duplicate", later, results, err)
		}
	}
	timed := deliver(CorpusStart.Add(time.Hour))
	timed.RecordedAt = timed.RecordedAt.Add(time.Second) // the sender's own time, another than before
	if results, err := s.Append(t.Context(), []*audit.Record{timed}); err != nil || !errors.Is(results[0].Err, audit.ErrConflict) {
		t.Errorf("another time of the sender's: got %+v, %v, want a conflict", results, err)
	}
	h.settle(t, s)
	ask(t, s, []*audit.Record{first}, valid(t, audit.Query{}))
}
