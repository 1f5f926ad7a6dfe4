package postgres

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var _ chain.Restorer = (*Store)(nil)

// Restore implements chain.Restorer. A call is atomic: one transaction, in which
// the records are written as those of AppendChained are.
func (s *Store) Restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	if err := chain.CheckRestore(from, to, recs); err != nil {
		return err
	}
	return s.fail(ctx, s.restore(ctx, from, to, recs))
}

func (s *Store) restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	results := make([]audit.Result, len(recs))
	items, err := s.admit(ctx, recs, results, true)
	if err != nil {
		return err
	}
	for _, r := range results { // a text that the server would refuse
		if r.Err != nil {
			return r.Err
		}
	}
	number, err := s.makeScope(ctx, from.Scope)
	if err != nil {
		return err
	}
	w := &writing{chained: true, restore: &restoring{scope: number, from: from, to: to}}
	return s.patient(ctx, func() error { return s.transact(ctx, w, items, results) })
}

// restoring is what a writing does with a chain that is taken in. Nil is a
// writing that links records itself; its methods then do nothing.
type restoring struct {
	scope    int32
	from, to chain.Head
}

// compare wants the head to be the one that the chain is to go on from.
func (r *restoring) compare(chains links) error {
	if r != nil && chains[r.scope].head != r.from {
		return chain.ErrHeadMoved
	}
	return nil
}

// advance has the head of the chain moved.
func (r *restoring) advance(chains links) {
	if r != nil && r.to != r.from {
		chains[r.scope] = &link{first: r.from.Sequence + 1, head: r.to}
	}
}

// keys are the locks of a writing, in their order.
func (w *writing) keys(items []*item) []int {
	if w.restore != nil { // all records are of its scope
		return keysOf([]*item{{scope: w.restore.scope}})
	}
	return keysOf(items)
}
