package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// anchors are the runs that a transaction removes, by chain, in the order of
// their sequences. Those of a segment, too, have their anchor in the own chain of
// the scope.
type anchors map[ofChain][]chain.Run

// ofChain is a chain by the number of its scope.
type ofChain struct {
	scope   int32
	segment string
}

// lock takes the locks of the scopes, in the one order of everybody.
func (a anchors) lock(ctx context.Context, s *Store, tx pgx.Tx) error {
	items := make([]*item, 0, len(a))
	for key := range a {
		items = append(items, &item{scope: key.scope})
	}
	if len(items) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, lockScopes, s.lockIDs(keysOf(items)))
	return err
}

// store appends the anchors to their chains. It takes the locks of the scopes,
// so it comes last.
func (a anchors) store(ctx context.Context, s *Store, tx pgx.Tx, reason string) error {
	var items []*item
	now := s.opt.Now()
	keys := slices.SortedFunc(maps.Keys(a), func(a, b ofChain) int {
		return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.segment, b.segment))
	})
	for _, key := range keys {
		name, err := s.scopeName(ctx, tx, key.scope)
		if err != nil {
			return err
		}
		for runs := range slices.Chunk(a[key], chain.MaxRuns) {
			items = append(items, &item{rec: chain.Anchor(chain.Key{Scope: name, Segment: key.segment}, runs, reason, now), scope: key.scope, at: len(items)})
		}
	}
	if len(items) == 0 {
		return nil
	}
	w := writing{s: s, conn: tx.Conn(), chained: true}
	results, err := w.append(ctx, items)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil || r.Duplicate {
			return &audit.Error{Code: audit.CodeInternal, Message: "the anchor of deleted records was refused: nothing was deleted", Cause: r.Err}
		}
	}
	return nil
}
