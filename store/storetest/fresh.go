package storetest

import (
	"context"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// appendFunc is one way into a store.
type appendFunc func(context.Context, []*audit.Record) ([]audit.Result, error)

// testFresh wants the way for ids that nobody has sent before to store as the
// usual way does, and the usual way to know afterwards what it has stored.
func testFresh(t *testing.T, h *Harness) {
	s := h.open(t)
	f, ok := audit.As[audit.FreshAppender](s)
	if !ok {
		return
	}
	recs := fresh(31, 300)
	resend(t, f.AppendFresh, s.Append, recs)
	h.settle(t, s)
	ask(t, s, recs, valid(t, audit.Query{Limit: audit.MaxLimit}))
}

// testFreshChained wants the same of chains, and both ways to go on with one.
func testFreshChained(t *testing.T, h *Harness) {
	s := h.openChained(t)
	f, ok := audit.As[chain.FreshAppender](s.Store)
	if !ok {
		return
	}
	first, between, last := fresh(32, 300), fresh(33, 30), fresh(34, 300)
	resend(t, f.AppendChainedFresh, s.AppendChained, first)
	h.storeChained(t, s, between)
	resend(t, f.AppendChainedFresh, s.AppendChained, last)
	h.settle(t, s.Store)
	all := append(append(first, between...), last...)
	s.verify(t, all)
}

// fresh are records as the door makes them.
func fresh(seed uint64, n int) []*audit.Record {
	recs := Corpus(seed, n)
	for _, r := range recs {
		r.ID, r.ExternalID = audit.NewID(), ""
	}
	return recs
}

// resend stores records one way and sends them again the other.
func resend(t *testing.T, store, again appendFunc, recs []*audit.Record) {
	t.Helper()
	given := CloneAll(recs)
	results, err := store(t.Context(), recs)
	if err != nil || len(results) != len(recs) {
		t.Fatalf("%d results for %d records, %v", len(results), len(recs), err)
	}
	for i, r := range results {
		if r != (audit.Result{Sequence: recs[i].Sequence, Hash: recs[i].Hash}) {
			t.Fatalf("a new record %v: got %+v", recs[i].Ref(), r)
		}
	}
	given[7].Error = "other content"
	answers, err := again(t.Context(), given)
	if err != nil || len(answers) != len(recs) {
		t.Fatalf("%d results for %d records, %v", len(answers), len(recs), err)
	}
	for i, r := range answers {
		want := results[i]
		want.Duplicate = true
		if i == 7 {
			want = audit.Result{Err: audit.ErrConflict}
		}
		if r != want {
			t.Fatalf("record %d sent again: got %+v, want %+v", i, r, want)
		}
	}
}
