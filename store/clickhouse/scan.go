package clickhouse

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// scanPiece is how many records a walk holds at a time.
const scanPiece = 5000

// Scan implements audit.Scanner. No connection is held while fn works.
func (s *Store) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	rd, err := s.reader(q)
	if err != nil {
		return err
	}
	for {
		recs, more, err := rd.next(ctx, scanPiece)
		if err != nil {
			return err
		}
		for _, r := range recs {
			if err := fn(r); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return translate(ctx, err)
			}
		}
		if !more {
			return nil
		}
	}
}

// Count implements audit.Counter.
func (s *Store) Count(ctx context.Context, q *audit.Query) (int64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var w where
	if err := s.question(&w, q); err != nil {
		return 0, err
	}
	n, err := s.number(ctx, "SELECT count() FROM "+s.records+" WHERE "+w.String())
	return int64(n), err
}
