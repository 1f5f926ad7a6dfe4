package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// anchors are the runs that a transaction removes, by scope, in the order of
// their sequences.
type anchors map[int32][]chain.Run

// lock takes the locks of the scopes, in the one order of everybody.
func (a anchors) lock(ctx context.Context, s *Store, tx pgx.Tx) error {
	items := make([]*item, 0, len(a))
	for scope := range a {
		items = append(items, &item{scope: scope})
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
	for _, scope := range slices.Sorted(maps.Keys(a)) {
		name, err := s.scopeName(ctx, tx, scope)
		if err != nil {
			return err
		}
		for runs := range slices.Chunk(a[scope], chain.MaxRuns) {
			items = append(items, &item{rec: chain.Anchor(chain.Key{Scope: name}, runs, reason, now), scope: scope, at: len(items)})
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
