package storetest

import (
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// testDurability closes and opens the store, and goes on where it was.
func testDurability(t *testing.T, h *Harness) {
	if h.Reopen == nil {
		t.Fatal("the harness has no Reopen; if nothing outlives the process, name the category in Skip with the reason")
	}
	s := h.open(t)
	if !s.Capabilities().Durable {
		t.Error("Capabilities says that nothing outlives the process")
	}
	recs := Corpus(101, 200)
	h.store(t, s, CloneAll(recs))

	s = h.Reopen(t, s)
	h.settle(t, s)
	ask(t, s, recs, valid(t, audit.Query{Limit: 100}))
	results, err := s.Append(t.Context(), CloneAll(recs[:50]))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r != (audit.Result{Duplicate: true}) {
			t.Fatalf("a record from before Reopen: got %+v, want a duplicate", r)
		}
	}
	if _, reason := h.Skip[Chain]; !reason {
		testChainReopened(t, h)
	}
}

func testChainReopened(t *testing.T, h *Harness) {
	s := h.openChained(t)
	recs := Corpus(102, 120)
	h.storeChained(t, s, recs[:60])
	before := s.heads(t, nil)

	s = asChained(t, h.Reopen(t, s.Store))
	for i, head := range s.heads(t, nil) {
		if i >= len(before) || head != before[i] {
			t.Errorf("head %+v is not the one from before Reopen", head)
		}
	}
	h.storeChained(t, s, recs[60:])
	s.verify(t, recs)

	cut := audit.Cut{ExpiredAt: CorpusStart.Add(72 * time.Hour)}
	var kept []*audit.Record
	for _, r := range recs {
		if !cut.Selects(r) {
			kept = append(kept, r)
		}
	}
	h.deleteAll(t, s.Store, cut, 1000, len(recs)-len(kept))
	s = asChained(t, h.Reopen(t, s.Store))
	s.verify(t, kept)
	more := []*audit.Record{event(chain.KeyOf(recs[0]).Scope, CorpusStart, nil)}
	h.storeChained(t, s, more)
	s.verify(t, append(kept, more...))
}
