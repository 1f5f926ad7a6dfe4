package postgres

import (
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
)

// This file writes the statements, one kind for each way.

// direction gives the comparison with the place before and the order.
func (p *plan) direction() (compare, order string) {
	if p.oldest {
		return " > ", " ASC"
	}
	return " < ", " DESC"
}

// after adds the condition that a place comes after start; from and to are the
// window that the statement looks at, in which the place must lie: a B-tree
// begins at one bound only, and it may be this one.
func (s *search) after(w *where, at string, from, to int64) {
	start := s.start
	switch {
	case s.p.oldest && start.at < from:
		start = place{at: from - 1, id: lastID}
	case !s.p.oldest && start.at > to:
		start = place{at: to + 1}
	}
	compare, _ := s.p.direction()
	w.add(" AND (", at, ", r.id)", compare, "(", w.arg(timeOf(start.at)), "::timestamptz, ", w.arg([16]byte(start.id)), "::uuid)")
}

// lastID comes after every other.
var lastID = audit.ID{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}

// ordered ends a statement that gives the next n places.
func (s *search) ordered(w *where, at string) {
	_, order := s.p.direction()
	w.add(" ORDER BY ", at, order, ", r.id", order, " FETCH FIRST (", w.arg(s.n), "::bigint) ROWS WITH TIES")
}

// fencedTime is the time of a record in a form that no index holds.
const fencedTime = "(r.occurred_at + interval '0')"

// also adds the plan's conditions to those of a statement that has some.
func (s *search) also(w *where) error { return s.p.conditions(w, &s.p.lead) }

// keys adds the values of a lead's index, as k.
func (p *plan) keys(w *where, l *lead) {
	switch keys := l.keys.(type) {
	case []string:
		w.add(" CROSS JOIN unnest(", w.arg(keys), "::text[]) AS k(key)")
	case []int32:
		w.add(" CROSS JOIN unnest(", w.arg(keys), "::int[]) AS k(key)")
	}
}

// served adds what the index of a lead by blocks serves besides the block.
func (p *plan) served(w *where, l *lead) error {
	switch {
	case l.index == indexFailed:
		w.add(" AND r.outcome IN ('failure', 'denied')")
	case l.keys != nil:
		w.add(" AND r.", l.index, " = k.key")
	default:
		return w.filter(&p.filters[l.plain[0]], true)
	}
	return nil
}

// blockMode is how statements by blocks are planned: a prefix has no order, so
// that nothing but its cost speaks for its index.
func (p *plan) blockMode() mode {
	if p.lead.keys == nil && p.lead.index != indexFailed {
		return byValue
	}
	return byOrder
}

// inBlocks writes the part that looks up each value in each block, and what it
// selects there; the caller orders and closes it. Where the blocks are whole,
// every time in them will do, and where nothing else is asked the index alone answers.
func (s *search) inBlocks(w *where, columns string, numbers []int32, least, greatest []time.Time, whole bool) error {
	l := &s.p.lead
	w.add(" FROM unnest(", w.arg(numbers), "::int[], ", w.arg(least), "::timestamptz[], ", w.arg(greatest), "::timestamptz[]) AS b(block, least, greatest)")
	s.p.keys(w, l)
	w.add(" CROSS JOIN LATERAL (SELECT ", columns, " FROM @records r WHERE r.block = b.block")
	if l.keys != nil || l.index == indexFailed {
		if err := s.p.served(w, l); err != nil {
			return err
		}
	}
	if !whole {
		// By these the partitions are chosen, block by block.
		w.add(" AND r.occurred_at >= b.least AND r.occurred_at <= b.greatest")
		at := blockTime("r.")
		w.add(" AND ", at, " >= b.least AND ", at, " <= b.greatest")
	}
	return s.also(w)
}

// byBlocks gives the next places of each value in each block.
func (s *search) byBlocks(group []piece) ([]hit, error) {
	if err := s.plan(s.p.blockMode()); err != nil {
		return nil, err
	}
	numbers := make([]int32, len(group))
	least, greatest := make([]time.Time, len(group)), make([]time.Time, len(group))
	from, to := s.window()
	for i, b := range group {
		numbers[i], least[i], greatest[i] = b.block, timeOf(max(b.min, from)), timeOf(min(b.max, to))
	}
	var w where
	w.add("SELECT p.occurred_at, p.id, p.scope")
	if err := s.inBlocks(&w, placeColumns, numbers, least, greatest, false); err != nil {
		return nil, err
	}
	s.after(&w, blockTime("r."), from, to)
	s.ordered(&w, blockTime("r."))
	w.add(") p")
	return s.places(s.s.sql(w.sql.String()), w.args)
}

// byRuns looks through the runs of pages that may hold what is asked for, in
// every partition that the blocks may reach into.
func (s *search) byRuns(group []piece) (out []hit, err error) {
	numbers := make([]int32, len(group))
	from, to := group[0].min, group[0].max
	for i, b := range group {
		numbers[i] = b.block
		from, to = min(from, b.min), max(to, b.max)
	}
	x := s.p.lead.runs
	parts, err := s.partitions()
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if part.to < from || part.from > to {
			continue
		}
		found, err := s.inPart(part.name, func(w *where) {
			w.add(x.block("r."), " >= ", w.arg(slices.Min(numbers)+x.offset), " AND ", x.block("r."), " <= ", w.arg(slices.Max(numbers)+x.offset),
				" AND (r.block * 1) = ANY(", w.arg(numbers), "::int[])")
		})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// byWords looks up the lexemes in partitions.
func (s *search) byWords(group []piece) (out []hit, err error) {
	for _, x := range group {
		found, err := s.inPart(x.name, func(w *where) {
			w.add("r.search @@ ", w.arg(s.p.lead.query), "::tsquery")
		})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// inPart looks through one partition by a bitmap; index adds the conditions
// that are the index's own.
func (s *search) inPart(name string, index func(w *where)) ([]hit, error) {
	if err := s.plan(byBitmap); err != nil {
		return nil, err
	}
	from, to := s.window()
	var w where
	w.add(" r WHERE ")
	index(&w)
	w.add(" AND ", fencedTime, " >= ", w.arg(timeOf(from)), " AND ", fencedTime, " <= ", w.arg(timeOf(to)))
	if err := s.also(&w); err != nil {
		return nil, err
	}
	s.after(&w, fencedTime, from, to)
	s.ordered(&w, fencedTime)
	return s.places(s.s.sql("SELECT "+placeColumns+" FROM ")+name+s.s.sql(w.sql.String()), w.args)
}

// ids looks up ids.
func (s *search) ids() error {
	if err := s.plan(byValue); err != nil {
		return err
	}
	from, to := s.window()
	ids, err := idsOf(&s.p.filters[s.p.lead.takes[0]])
	if err != nil {
		return err
	}
	var w where
	w.add("SELECT ", placeColumns, " FROM @records r WHERE r.id = ANY(", w.arg(ids), "::uuid[]) AND ",
		fencedTime, " >= ", w.arg(timeOf(from)), " AND ", fencedTime, " <= ", w.arg(timeOf(to)))
	if err := s.also(&w); err != nil {
		return err
	}
	s.after(&w, fencedTime, from, to)
	s.ordered(&w, fencedTime)
	found, err := s.places(s.s.sql(w.sql.String()), w.args)
	if err != nil {
		return err
	}
	s.add(found)
	return nil
}

// walk reads the records in the order of time. Where conditions remain, it
// goes in steps of so many blocks, so that no statement has to read everything.
func (s *search) walk() error {
	if len(s.p.filters) == 0 && len(s.p.terms) == 0 && s.p.all {
		from, to := s.window()
		return s.between(from, to)
	}
	rest, err := s.pieces()
	if err != nil {
		return err
	}
	from, to := s.window()
	for size := 4; !s.full(); size = min(4*size, maxGroup) {
		if size >= len(rest) {
			return s.between(from, to)
		}
		edge := s.p.bound(rest[size])
		rest = rest[size:]
		if s.p.oldest {
			err = s.between(from, edge-1)
			from = max(from, edge)
		} else {
			err = s.between(edge+1, to)
			to = min(to, edge)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// between reads the records of a window in the order of time.
func (s *search) between(from, to int64) error {
	if from > to {
		return nil
	}
	if err := s.plan(byOrder); err != nil {
		return err
	}
	var w where
	w.add("SELECT ", rowColumns, " FROM @records r WHERE r.occurred_at >= ", w.arg(timeOf(from)), " AND r.occurred_at <= ", w.arg(timeOf(to)))
	l := lead{way: byTime}
	if err := s.p.conditions(&w, &l); err != nil {
		return err
	}
	s.after(&w, "r.occurred_at", from, to)
	s.ordered(&w, "r.occurred_at")
	found, err := s.read(s.s.sql(w.sql.String()), w.args)
	if err != nil {
		return err
	}
	s.add(found)
	return nil
}

// glanceRecords is how many of the next records are looked at before an index
// without an order is asked.
const glanceRecords = 20_000

// glance looks at the next records in the order of time. What it finds is the
// answer if it is full, and else nothing, as it does not know where it ended.
func (s *search) glance() error {
	if s.s.glanceRecords == 0 {
		return nil
	}
	if err := s.plan(byOrder); err != nil {
		return err
	}
	from, to := s.window()
	_, order := s.p.direction()
	var w where
	w.add("SELECT ", rowColumns, " FROM (SELECT * FROM @records r WHERE r.occurred_at >= ", w.arg(timeOf(from)), " AND r.occurred_at <= ", w.arg(timeOf(to)))
	s.after(&w, "r.occurred_at", from, to)
	w.add(" ORDER BY r.occurred_at", order, ", r.id", order, " FETCH FIRST (", w.arg(max(s.s.glanceRecords, 10*s.n)), "::bigint) ROWS WITH TIES) r WHERE true")
	l := lead{way: byTime}
	if err := s.p.conditions(&w, &l); err != nil {
		return err
	}
	s.ordered(&w, "r.occurred_at")
	found, err := s.read(s.s.sql(w.sql.String()), w.args)
	if err != nil {
		return err
	}
	s.add(found)
	return nil
}
