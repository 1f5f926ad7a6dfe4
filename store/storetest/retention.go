package storetest

import (
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// testRetention compares what is deleted with Cut.Selects.
func testRetention(t *testing.T, h *Harness) {
	corpus := Corpus(81, 300)
	mid := CorpusStart.Add(CorpusSpan / 2)
	holds := []*audit.Query{
		valid(t, audit.Query{Filters: []audit.Filter{audit.Is("tenant", "acme"), audit.Is("actor", "alice", "bob")}}),
		valid(t, audit.Query{From: mid, To: mid.Add(6 * time.Hour)}),
		valid(t, audit.Query{Filters: []audit.Filter{audit.Is("metadata.env", "prod"), audit.Not("tenant", hostileTenant)}}),
		valid(t, audit.Query{Filters: []audit.Filter{audit.Prefix("resource", "orders%", `r\`)}}),
	}
	for _, c := range []struct {
		name string
		cut  audit.Cut
	}{
		{"nothing is asked for", audit.Cut{}},
		{"expired", audit.Cut{ExpiredAt: CorpusStart.Add(72 * time.Hour), Reason: "ttl"}},
		{"expired, at the last microsecond", audit.Cut{ExpiredAt: CorpusStart.Add(72*time.Hour - time.Microsecond)}},
		{"over the ceiling", audit.Cut{RecordedBefore: CorpusStart.Add(60 * time.Hour)}},
		{"both", audit.Cut{ExpiredAt: CorpusStart.Add(100 * time.Hour), RecordedBefore: CorpusStart.Add(50 * time.Hour)}},
		{"everything", audit.Cut{RecordedBefore: lastInstant}},
		{"everything but holds", audit.Cut{RecordedBefore: lastInstant, Holds: holds}},
		{"expired but holds", audit.Cut{ExpiredAt: CorpusStart.Add(100 * time.Hour), Holds: holds}},
		{"everything is held", audit.Cut{RecordedBefore: lastInstant, Holds: []*audit.Query{valid(t, audit.Query{})}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := h.open(t)
			h.store(t, s, CloneAll(corpus))
			var kept []*audit.Record
			for _, r := range corpus {
				if !c.cut.Selects(r) {
					kept = append(kept, r)
				}
			}
			h.deleteAll(t, s, c.cut, 50, len(corpus)-len(kept))
			ask(t, s, kept, valid(t, audit.Query{Limit: audit.MaxLimit}))
		})
	}
	t.Run("one step", func(t *testing.T) { testOneStep(t, h) })
	t.Run("own records stay", func(t *testing.T) {
		s := h.open(t)
		recs := []*audit.Record{
			event(scopeA, CorpusStart, func(r *audit.Record) { r.Kind = audit.KindGap }),
			event(scopeA, CorpusStart, func(r *audit.Record) { r.Kind, r.ExpiresAt = audit.KindPrune, CorpusStart }),
		}
		h.store(t, s, CloneAll(recs))
		h.deleteAll(t, s, audit.Cut{ExpiredAt: lastInstant, RecordedBefore: lastInstant}, 10, 0)
		ask(t, s, recs, valid(t, audit.Query{}))
	})
	t.Run("a deleted record is gone for good", func(t *testing.T) { testGone(t, h) })
}

// deleteAll deletes in steps of limit until the store says it is done, and
// wants total records gone.
func (h *Harness) deleteAll(t *testing.T, s audit.Store, cut audit.Cut, limit, total int) {
	t.Helper()
	sum := 0
	for {
		n, err := s.DeleteExpired(t.Context(), cut, limit)
		if err != nil {
			t.Fatalf("DeleteExpired: %v", err)
		}
		if n < 0 || n > limit {
			t.Fatalf("DeleteExpired says %d, the limit was %d", n, limit)
		}
		if sum += n; sum > total {
			t.Fatalf("DeleteExpired says that it deleted %d or more, want %d", sum, total)
		}
		if n < limit {
			break
		}
	}
	if sum != total {
		t.Errorf("DeleteExpired says that it deleted %d, want %d", sum, total)
	}
	h.settle(t, s)
}

// testOneStep wants one call to delete as many as it may, and only those that
// the cut selects.
func testOneStep(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(82, 100)
	h.store(t, s, CloneAll(recs))
	cut := audit.Cut{ExpiredAt: CorpusStart.Add(72 * time.Hour)}
	if n, err := s.DeleteExpired(t.Context(), cut, 0); n != 0 || err != nil {
		t.Errorf("limit 0: got %d, %v", n, err)
	}
	n, err := s.DeleteExpired(t.Context(), cut, 5)
	if n != 5 || err != nil {
		t.Fatalf("limit 5: got %d, %v", n, err)
	}
	h.settle(t, s)
	left := map[audit.Ref]bool{}
	for _, r := range walk(t, s, valid(t, audit.Query{Limit: 100})) {
		left[r.Ref()] = true
	}
	if len(left) != len(recs)-5 {
		t.Errorf("%d records are left of %d", len(left), len(recs))
	}
	for _, r := range recs {
		if !left[r.Ref()] && !cut.Selects(r) {
			t.Errorf("%v was deleted, and the cut does not select it", r.Ref())
		}
	}
}

// testGone looks for traces: in Get, in search, in open intents, in metadata.
func testGone(t *testing.T, h *Harness) {
	s := h.open(t)
	intent := event(scopeA, CorpusStart, func(r *audit.Record) { r.ActionID, r.Outcome = "act", audit.Pending })
	outcome := event(scopeA, CorpusStart.Add(time.Second), func(r *audit.Record) {
		r.ActionID, r.ExpiresAt, r.Metadata, r.Error = "act", CorpusStart, []byte(`{"k":"v"}`), "the quick fox"
	})
	h.store(t, s, CloneAll([]*audit.Record{intent, outcome}))
	h.deleteAll(t, s, audit.Cut{ExpiredAt: CorpusStart}, 10, 1)
	if _, err := s.Get(t.Context(), outcome.Ref()); audit.CodeOf(err) != audit.CodeNotFound {
		t.Errorf("Get: got %v, want not_found", err)
	}
	left := []*audit.Record{intent}
	questions := []audit.Query{{}, {Open: true}, {Filters: []audit.Filter{audit.Is("metadata.k", "v")}}, {Filters: []audit.Filter{audit.Is("action_id", "act")}}}
	if s.Capabilities().Text {
		questions = append(questions, audit.Query{Text: "fox"})
	}
	for _, q := range questions {
		ask(t, s, left, valid(t, q))
	}
	// The id is free again.
	h.store(t, s, []*audit.Record{Clone(outcome)})
	for _, q := range questions {
		ask(t, s, []*audit.Record{intent, outcome}, valid(t, q))
	}
}
