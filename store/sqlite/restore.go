package sqlite

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var _ chain.Restorer = (*Store)(nil)

// Restore implements chain.Restorer. A call is atomic: one transaction.
func (s *Store) Restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	if err := chain.CheckRestore(from, to, recs); err != nil {
		return err
	}
	return s.write(ctx, func(w *writer) error {
		b, err := w.batch()
		if err != nil {
			return err
		}
		scope, err := b.scope(from.Scope)
		if err != nil {
			return err
		}
		head, err := b.head(scope, from.Key)
		if err != nil {
			return err
		}
		if head != from {
			return chain.ErrHeadMoved
		}
		if to == from {
			return nil
		}
		for _, r := range recs {
			stored, err := b.insert(scope, r)
			if err != nil {
				return headMisfit(err, r.Scope())
			}
			if !stored {
				return chain.TakenID(r)
			}
		}
		if err := b.setHead(scope, to); err != nil {
			return err
		}
		return b.flush()
	})
}
