package sqlite

import (
	"context"
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
)

// Count implements audit.Counter.
func (s *Store) Count(ctx context.Context, q *audit.Query) (int64, error) {
	var total atomic.Int64
	err := s.read(ctx, func(v *view) error {
		p, err := v.plan(q)
		if err != nil || p.none {
			return err
		}
		p.covered = p.rest.sql.Len() == 0
		return v.visit(p, "SELECT count(*)", func(c *conn, st *statement, values *slotValues) error {
			row, err := st.prepare(c, values)
			if err != nil {
				return err
			}
			if _, err := row.Step(); err != nil {
				return err
			}
			total.Add(row.ColumnInt64(0))
			return row.Reset()
		})
	})
	return total.Load(), err
}

// visit calls fn with a statement for everything that the plan selects, in no
// order and on several connections at once: one for each way into each block.
func (v *view) visit(p *plan, selects string, fn func(c *conn, st *statement, values *slotValues) error) error {
	if p.ids {
		var w where
		w.add(selects + " FROM @records r INDEXED BY @records_id WHERE")
		w.add(" +r.occurred_at BETWEEN ? AND ? AND r.n <= ?", slotFrom, slotTo, slotLast)
		w.append(&p.rest)
		values := slotValues{slotFrom: p.from, slotTo: p.to, slotLast: v.last}
		return fn(v.conns[0], &statement{sql: v.s.sql(w.sql.String()), args: w.args}, &values)
	}
	blocks := v.within(p)
	keys := p.keys
	if keys == nil {
		keys = []any{nil}
	}
	var ways statements
	inTurn := p.index != "" && p.index != byText && len(blocks)*len(keys) < 64
	return v.each(len(blocks)*len(keys), inTurn, func(c *conn, i int) error {
		b := &blocks[i/len(keys)]
		var values slotValues
		v.fill(p, b, keys[i%len(keys)], &values)
		how := p.through(b)
		return fn(c, ways.get(how, func() *statement {
			var w where
			w.add(selects)
			p.way(&w, how)
			return &statement{sql: v.s.sql(w.sql.String()), args: w.args}
		}), &values)
	})
}

// through picks the way through a block whose order does not matter: by the
// plan's index; else in the order of arrival, which reads the table from front
// to back; but by time where the window has only a small part of the block.
func (p *plan) through(b *block) string {
	if p.index != "" {
		return p.index
	}
	if p.covered {
		return byTime
	}
	if b.whole(p.from, p.to) {
		return byWhole
	}
	from, to := max(p.from, b.minOccurred), min(p.to, b.maxOccurred)
	if width := b.maxOccurred - b.minOccurred; width > 0 && float64(to-from) < float64(width)/4 {
		return byTime
	}
	return byNumber
}
