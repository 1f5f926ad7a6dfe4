package postgres

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
)

// maxCounted is how many blocks are counted in one statement.
const maxCounted = 256

// Count implements audit.Counter.
func (s *Store) Count(ctx context.Context, q *audit.Query) (total int64, err error) {
	err = s.ask(ctx, func(a *ask) error {
		p, err := a.prepare(q)
		if err != nil || p.none {
			return err
		}
		p.oldest = false
		c := &search{ask: a, p: p, start: place{at: latest + 1}, n: math.MaxInt32}
		if len(p.rivals) > 0 {
			if p.lead.way != byBlocks {
				p.rivals = nil
			} else if err := c.settleLead(); err != nil {
				return err
			}
		}
		total, err = c.count()
		return err
	})
	return total, err
}

func (s *search) count() (total int64, err error) {
	switch s.p.lead.way {
	case byID:
		err := s.ids()
		return int64(len(s.hits)), err
	case byBlocks:
		blocks, err := s.pieces()
		if err != nil {
			return 0, err
		}
		whole := slices.DeleteFunc(slices.Clone(blocks), func(b piece) bool { return !b.whole })
		parts := slices.DeleteFunc(blocks, func(b piece) bool { return b.whole })
		for len(whole)+len(parts) > 0 {
			from := &whole
			if len(whole) == 0 {
				from = &parts
			}
			group := (*from)[:min(maxCounted, len(*from))]
			*from = (*from)[len(group):]
			n, err := s.countBlocks(group)
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, nil
	}
	parts, err := s.partitions()
	if err != nil {
		return 0, err
	}
	for _, x := range parts {
		if x.to < s.p.from || x.from > s.p.to {
			continue
		}
		n, err := s.countPart(x)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// countBlocks counts by an index that begins with the block; all of the blocks
// are whole or none is.
func (s *search) countBlocks(group []piece) (n int64, err error) {
	if err := s.plan(byValue); err != nil {
		return 0, err
	}
	numbers := make([]int32, len(group))
	least, greatest := make([]time.Time, len(group)), make([]time.Time, len(group))
	for i, b := range group {
		numbers[i], least[i], greatest[i] = b.block, timeOf(b.min), timeOf(b.max)
	}
	var w where
	w.add("SELECT coalesce(sum(p.n), 0)::bigint")
	if err := s.inBlocks(&w, "count(*) AS n", numbers, least, greatest, group[0].whole); err != nil {
		return 0, err
	}
	w.add(") p")
	err = s.tx.QueryRow(s.ctx, s.s.sql(w.sql.String()), w.args...).Scan(&n)
	return n, err
}

// countPart counts in a partition: by the bitmap of the index, or where there is
// none as PostgreSQL likes best, which for all records is an index without the rows.
func (s *search) countPart(x part) (n int64, err error) {
	var w where
	w.add(" r WHERE true")
	at, mode := fencedTime, byBitmaps
	switch s.p.lead.way {
	case byTime:
		at, mode = "r.occurred_at", byCost
	case byWords:
		w.add(" AND r.search @@ ", w.arg(s.p.lead.query), "::tsquery")
	}
	if err := s.plan(mode); err != nil {
		return 0, err
	}
	if x.from < s.p.from {
		w.add(" AND ", at, " >= ", w.arg(timeOf(s.p.from)))
	}
	if x.to > s.p.to {
		w.add(" AND ", at, " <= ", w.arg(timeOf(s.p.to)))
	}
	if err := s.also(&w); err != nil {
		return 0, err
	}
	err = s.tx.QueryRow(s.ctx, "SELECT count(*) FROM "+x.name+s.s.sql(w.sql.String()), w.args...).Scan(&n)
	return n, err
}
