package sqlite

import (
	"context"
	"math"

	z "zombiezen.com/go/sqlite"
)

// tighten writes what the blocks hold after a deletion, so that later sweeps pass
// them over. An empty block is removed, but for the last: it remembers the last
// place given out. A block is read in a snapshot; the transaction that writes
// adds only what came after that.
func (s *Store) tighten(ctx context.Context, numbers []int64) error {
	type change struct {
		block
		seen int64 // the newest record that its bounds know of
	}
	var changes []change
	err := s.read(ctx, func(v *view) error {
		if err := v.load(); err != nil {
			return err
		}
		stored := make(map[int64]*block, len(v.blocks))
		for i := range v.blocks {
			stored[v.blocks[i].number] = &v.blocks[i]
		}
		for _, number := range numbers {
			old := stored[number]
			if old == nil {
				continue
			}
			c := change{block: emptyBlock(number), seen: max(old.first()-1, min(old.end()-1, v.last))}
			c.escaped = old.escaped
			if err := s.widen(v.conns[0], &c.block, old.first(), c.seen); err != nil {
				return err
			}
			if c.block != *old || c.empty() && number != v.blocks[len(v.blocks)-1].number {
				changes = append(changes, c)
			}
		}
		return nil
	})
	if err != nil || len(changes) == 0 {
		return err
	}
	return s.write(ctx, func(w *writer) error {
		last := int64(0)
		if _, err := w.one(s.sql("SELECT max(block) FROM @blocks"), func(st *z.Stmt) { last = st.ColumnInt64(0) }); err != nil {
			return err
		}
		for i := range changes {
			c := &changes[i]
			if err := s.widen(w.conn, &c.block, c.seen+1, c.end()-1); err != nil {
				return err
			}
			if err := w.bound(&c.block, last); err != nil {
				return err
			}
		}
		return nil
	})
}

// emptyBlock has bounds that hold nothing and that the next record widens to its own.
func emptyBlock(number int64) block {
	return block{number: number, minOccurred: math.MaxInt64, maxOccurred: math.MinInt64, minRecorded: math.MaxInt64, minExpires: math.MaxInt64}
}

func (b *block) empty() bool { return b.minOccurred > b.maxOccurred }

// widen widens the bounds by the records of some places in the order of arrival.
func (s *Store) widen(c *conn, b *block, first, last int64) error {
	_, err := c.one(s.sql("SELECT min(occurred_at), max(occurred_at), min(ifnull(recorded_at, 0)), min(nullif(expires_at, 0)) FROM @records WHERE n BETWEEN ? AND ?"),
		func(st *z.Stmt) {
			if st.ColumnIsNull(0) {
				return
			}
			b.minOccurred, b.maxOccurred = min(b.minOccurred, st.ColumnInt64(0)), max(b.maxOccurred, st.ColumnInt64(1))
			b.minRecorded = min(b.minRecorded, st.ColumnInt64(2))
			if !st.ColumnIsNull(3) {
				b.minExpires = min(b.minExpires, st.ColumnInt64(3))
			}
		}, first, last)
	return err
}

// bound stores the bounds of a block.
func (w *writer) bound(b *block, last int64) error {
	if b.empty() && b.number != last {
		return w.run(w.s.sql("DELETE FROM @blocks WHERE block = ?"), b.number)
	}
	var expires any
	if b.minExpires != math.MaxInt64 {
		expires = b.minExpires
	}
	return w.run(w.s.sql("UPDATE @blocks SET min_occurred = ?, max_occurred = ?, min_recorded = ?, min_expires = ? WHERE block = ?"),
		b.minOccurred, b.maxOccurred, b.minRecorded, expires, b.number)
}
