package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// selectRuns gives the block range indexes of the records and the size of the
// tables that they are of.
const selectRuns = `SELECT x.oid::regclass::text, coalesce(pg_relation_size(i.indrelid), 0)
	FROM pg_inherits p JOIN pg_index i ON i.indrelid = p.inhrelid JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am a ON a.oid = x.relam
	WHERE p.inhparent = to_regclass($1) AND a.amname = 'brin'`

// summarize makes the summaries of new pages in the block range indexes, as
// pages without one are always read. It needs the tables' owner. The lock that
// it takes does not meet that of writers, but that of VACUUM: it gives up
// before the deadlock check would end an autovacuum in its favour.
func (s *Store) summarize(ctx context.Context) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	return translate(ctx, s.summarizeRuns(ctx))
}

func (s *Store) summarizeRuns(ctx context.Context) error {
	rows, err := s.maintenance.Query(ctx, selectRuns, s.sql("@records"))
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	var name string
	var size int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &size}, func() error { sizes[name] = size; return nil }); err != nil {
		return err
	}
	c := &s.blocks
	for name, size := range sizes {
		c.mu.Lock()
		same := c.pages[name] == size
		c.mu.Unlock()
		if same {
			continue
		}
		err := pgx.BeginFunc(ctx, s.maintenance, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '200ms'"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "SELECT brin_summarize_new_values(to_regclass($1))", name)
			return err
		})
		switch state(err) {
		case stateLockNotAvailable, stateUndefinedTable, stateUndefinedObject:
			continue // busy, or dropped meanwhile
		}
		if err != nil {
			return err
		}
		c.mu.Lock()
		if c.pages == nil {
			c.pages = map[string]int64{}
		}
		c.pages[name] = size
		c.mu.Unlock()
	}
	return nil
}
