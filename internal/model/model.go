// Package model is the plainest store there is, a slice, for property tests to
// compare an engine with after every step. It is not safe for concurrent use,
// and it has no lock, index or snapshot that could hide a mistake.
package model

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Model is what a store must hold.
type Model struct {
	// Segment is that of every chain, for an engine whose writers have segments
	// of their own; one writer is modelled.
	Segment string

	recs  []*audit.Record // in the order in which they were stored
	heads map[chain.Key]chain.Head
}

// New gives an empty model.
func New() *Model { return &Model{heads: map[chain.Key]chain.Head{}} }

// Records gives what is stored. The caller must not change it.
func (m *Model) Records() []*audit.Record { return m.recs }

// Get gives one record, or nil.
func (m *Model) Get(ref audit.Ref) *audit.Record {
	for _, r := range m.recs {
		if r.Ref() == ref {
			return r
		}
	}
	return nil
}

// Append stores the records and gives the results that a store must give.
func (m *Model) Append(recs []*audit.Record) []audit.Result {
	return m.add(recs, func(*audit.Record) {})
}

// AppendChained is Append into the chains; it leaves recs themselves alone.
func (m *Model) AppendChained(recs []*audit.Record) []audit.Result {
	return m.add(recs, m.seal)
}

func (m *Model) add(recs []*audit.Record, place func(*audit.Record)) []audit.Result {
	var results []audit.Result
	for _, r := range recs {
		switch old := m.Get(r.Ref()); {
		case old == nil:
			c := Clone(r)
			place(c)
			m.recs = append(m.recs, c)
			results = append(results, audit.Result{Sequence: c.Sequence, Hash: c.Hash})
		case audit.SameContent(old, r):
			results = append(results, audit.Result{Duplicate: true, Sequence: old.Sequence, Hash: old.Hash})
		default:
			results = append(results, audit.Result{Err: audit.ErrConflict})
		}
	}
	return results
}

func (m *Model) seal(r *audit.Record) {
	r.Segment = m.Segment
	key := chain.KeyOf(r)
	head, ok := m.heads[key]
	if !ok {
		head = chain.Head{Key: key}
	}
	m.heads[key] = chain.Seal(head, []*audit.Record{r})
}

// Answer gives everything that the question selects after its position, in its
// order. The limit is left to the caller.
func (m *Model) Answer(q *audit.Query) []*audit.Record {
	all := Answer(m.recs, q)
	if q.After.IsZero() {
		return all
	}
	return slices.DeleteFunc(all, func(r *audit.Record) bool {
		c := r.Position().Compare(q.After)
		return q.Order == audit.OldestFirst && c <= 0 || q.Order == audit.NewestFirst && c >= 0
	})
}

// Heads gives the heads of all chains in their order.
func (m *Model) Heads() []chain.Head {
	var out []chain.Head
	for _, h := range m.heads {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b chain.Head) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Segment, b.Segment))
	})
	return out
}

// Expired counts what the cut selects.
func (m *Model) Expired(cut *audit.Cut) int {
	n := 0
	for _, r := range m.recs {
		if cut.Selects(r) {
			n++
		}
	}
	return n
}

// Delete follows a store through one DeleteExpired: now is everything that it
// holds afterwards, n what it said. Which of the selected records go first is
// the store's choice, and so are the ids and times of its anchors; everything
// else is checked, and an error says what is wrong.
func (m *Model) Delete(cut *audit.Cut, n int, now []*audit.Record) error {
	left := map[audit.Ref]*audit.Record{}
	for _, r := range now {
		left[r.Ref()] = r
	}
	torn := map[chain.Key][]chain.Link{}
	gone := 0
	m.recs = slices.DeleteFunc(slices.Clone(m.recs), func(r *audit.Record) bool {
		if left[r.Ref()] != nil {
			return false
		}
		gone++
		if r.Sequence != 0 {
			torn[chain.KeyOf(r)] = append(torn[chain.KeyOf(r)], chain.Link{Sequence: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
		}
		if !cut.Selects(r) {
			torn = nil
		}
		return torn != nil
	})
	if torn == nil {
		return fmt.Errorf("a record is gone that the cut does not select")
	}
	if gone != n {
		return fmt.Errorf("the store says that it deleted %d records, %d are gone", n, gone)
	}
	return m.adopt(torn, cut.Reason, now)
}

// adopt takes over the anchors that are new among now, one chain after the other.
func (m *Model) adopt(torn map[chain.Key][]chain.Link, reason string, now []*audit.Record) error {
	anchors := map[chain.Key][]*audit.Record{}
	for _, r := range now {
		if m.Get(r.Ref()) == nil {
			anchors[chain.KeyOf(r)] = append(anchors[chain.KeyOf(r)], r)
		}
	}
	for key, links := range torn {
		slices.SortFunc(links, func(a, b chain.Link) int { return cmp.Compare(a.Sequence, b.Sequence) })
		if len(anchors[key]) != 1 {
			return fmt.Errorf("%d anchors stand for the runs that are gone from %+v, want 1", len(anchors[key]), key)
		}
		got := anchors[key][0]
		want := chain.Anchor(key, chain.Runs(links), reason, got.RecordedAt)
		want.ID = got.ID
		m.seal(want)
		if hash, _ := chain.HashOf(got, nil); hash != want.Hash || got.Hash != want.Hash { // the hash covers every field
			return fmt.Errorf("the anchor of %+v differs:\nwant %s\ngot  %s", key, want.AppendJSON(nil), got.AppendJSON(nil))
		}
		m.recs = append(m.recs, want)
		delete(anchors, key)
	}
	if len(anchors) > 0 {
		return fmt.Errorf("there are new records in %d chains from which nothing is gone", len(anchors))
	}
	return nil
}
