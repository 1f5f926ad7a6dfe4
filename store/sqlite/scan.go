package sqlite

import (
	"context"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// Sizes of the pieces in which long walks read. No connection is held while
// the caller has the records, so that a slow one holds nothing up: neither
// other readers nor the reuse of the write-ahead log.
const (
	pieceRecords = 512
	pieceBytes   = 4 << 20
)

// Scan implements audit.Scanner; it starts after q.After. Records that are
// stored after it began are left out; those that are deleted meanwhile may be.
func (s *Store) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	var (
		m     *merge
		ahead []found
		mem   memory
		recs  = make([]audit.Record, 0, pieceRecords)
		ended bool
	)
	for !ended {
		recs = recs[:0]
		mem.reset()
		err := s.read(ctx, func(v *view) (err error) {
			if m == nil {
				if m, err = v.merge(q, pieceRecords+1); err != nil {
					return err
				}
			}
			if len(ahead) == 0 {
				if ahead, err = m.take(v, pieceRecords); err != nil {
					return err
				}
			}
			recs, ahead, err = v.rows(recs, ahead, &mem)
			ended = len(ahead) == 0 && len(m.open) == 0 && len(m.closed) == 0
			return err
		})
		if err != nil {
			return err
		}
		if err := s.giveTies(recs, q.Order, fn); err != nil {
			return err
		}
	}
	return nil
}

// rows reads records until they fill a piece, never parting those that share a
// position, and gives the rest of the list back.
func (v *view) rows(recs []audit.Record, list []found, mem *memory) ([]audit.Record, []found, error) {
	used := 0
	for i := range list {
		if used > pieceBytes && !list[i].samePlace(&list[i-1]) {
			return recs, list[i:], nil
		}
		err := v.row(list[i].n, func(st *z.Stmt) error {
			recs = append(recs, audit.Record{})
			at := &recs[len(recs)-1]
			err := decode(st, at, mem, v.scope)
			used += documents(at)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return recs, nil, nil
}

// giveTies calls fn on each record, those that share a position in the order of their scopes.
func (s *Store) giveTies(recs []audit.Record, order audit.Order, fn func(*audit.Record) error) error {
	for i := 0; i < len(recs); {
		end := i + 1
		for end < len(recs) && recs[end].Position().Compare(recs[i].Position()) == 0 {
			end++
		}
		if end > i+1 {
			sortScopes(recs[i:end], order)
		}
		for ; i < end; i++ {
			if err := fn(&recs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// documents gives the size of what can be large in a record.
func documents(r *audit.Record) int {
	return len(r.Payload) + len(r.Metadata) + len(r.Changes.Before) + len(r.Changes.After) + len(r.Details) + len(r.Tool.Parameters)
}
