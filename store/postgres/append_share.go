package postgres

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// sharedBatch is from how many records on a batch of several scopes is shared
// out; a part has at least a quarter of them.
const sharedBatch = 1000

// share stores the items, in several transactions at once where that pays. An
// error says that nothing is known of any item.
func (s *Store) share(ctx context.Context, items []*item, results []audit.Result, chained bool) error {
	parts := s.parts(items)
	if len(parts) == 1 {
		return s.store(ctx, items, results, chained)
	}
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() { errs[i] = s.store(ctx, part, results, chained) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// parts shares out the items by the locks of their scopes, about evenly: the
// largest first, each to the part that has the least.
func (s *Store) parts(items []*item) [][]*item {
	n := min(s.opt.Writers, len(items)*4/sharedBatch)
	if len(items) < sharedBatch || n < 2 {
		return [][]*item{items}
	}
	var weight, part [lockKeys]int
	for _, it := range items {
		weight[lockKey(it.scope)]++
	}
	keys := make([]int, 0, lockKeys)
	for k, w := range weight {
		if w > 0 {
			keys = append(keys, k)
		}
	}
	if n = min(n, len(keys)); n < 2 {
		return [][]*item{items}
	}
	slices.SortFunc(keys, func(a, b int) int { return cmp.Compare(weight[b], weight[a]) })
	load := make([]int, n)
	for _, k := range keys {
		least := 0
		for i, w := range load {
			if w < load[least] {
				least = i
			}
		}
		part[k], load[least] = least, load[least]+weight[k]
	}
	out := make([][]*item, n)
	for i, w := range load {
		out[i] = make([]*item, 0, w)
	}
	for _, it := range items { // in their order, which is that of the chain
		p := part[lockKey(it.scope)]
		out[p] = append(out[p], it)
	}
	return out
}

// attempts is how often a transaction is tried that another one got in the way of.
const attempts = 6

// store stores the items in one transaction, and where PostgreSQL refuses one
// of them, in one for each half.
func (s *Store) store(ctx context.Context, items []*item, results []audit.Result, chained bool) error {
	err := s.patient(ctx, func() error { return s.attempt(ctx, items, results, chained) })
	if !refused(err) {
		return err
	}
	if len(items) == 1 {
		results[items[0].at] = audit.Result{Err: translate(ctx, err)}
		return nil
	}
	// One half after the other: the order of the chain is that of the batch.
	half := len(items) / 2
	if err := s.store(ctx, items[:half], results, chained); err != nil {
		return err
	}
	return s.store(ctx, items[half:], results, chained)
}

// patient makes a transaction again that another one got in the way of.
func (s *Store) patient(ctx context.Context, transaction func() error) error {
	for n := 1; ; n++ {
		err := transaction()
		if err == nil || !contended(err) {
			return err
		}
		if n == attempts {
			return audit.Unavailable("other writers got in the way too often", err)
		}
		// Only somebody without our locks can be the reason, so we step aside.
		select {
		case <-time.After(rand.N(5 * time.Millisecond << n)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attempt is one transaction.
func (s *Store) attempt(ctx context.Context, items []*item, results []audit.Result, chained bool) error {
	return s.transact(ctx, &writing{chained: chained}, items, results)
}

// transact makes a writing a transaction of its own.
func (s *Store) transact(ctx context.Context, w *writing, items []*item, results []audit.Result) error {
	w.s, w.begin, w.commit = s, true, true
	leave, err := s.doors.enter(ctx, w.keys(items))
	if err != nil {
		return err
	}
	defer leave()
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, err := s.main.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // which closes a connection whose transaction is still open
	w.conn = conn.Conn()
	verdicts, err := w.append(ctx, items)
	if err != nil {
		if !w.conn.IsClosed() && ctx.Err() == nil {
			_, _ = w.conn.Exec(ctx, "ROLLBACK")
		}
		return err
	}
	for i, it := range items {
		results[it.at] = verdicts[i]
	}
	return nil
}
