package sqlite

import (
	"bytes"
	"container/heap"
	"math"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// found is one record that a question selects: its place in the total order
// and in the order of arrival.
type found struct {
	at int64
	id audit.ID
	n  int64
}

// compare is the total order, oldest first; n decides between records of
// several scopes that share an id and a time.
func (f *found) compare(o *found) int {
	switch {
	case f.at != o.at:
		if f.at < o.at {
			return -1
		}
		return 1
	case f.id != o.id:
		return bytes.Compare(f.id[:], o.id[:])
	case f.n < o.n:
		return -1
	case f.n > o.n:
		return 1
	}
	return 0
}

// samePlace reports whether both share a position, so that no cursor can stand between them.
func (f *found) samePlace(o *found) bool { return f.at == o.at && f.id == o.id }

// stream gives what one way into one block selects, in the question's order,
// a few at a time.
type stream struct {
	block *block
	key   any
	next  found // to go on after
	ready []found
	ended bool
	dense bool // the last look found as many as it had asked for
}

// merge gives what a question selects in its order, over all blocks. Blocks
// are opened, from the end that the order begins with, only when they may hold
// what comes next. A merge may go on in a later view than the one it was made in.
type merge struct {
	plan   *plan
	last   int64 // the newest record of the first view: later ones are left out
	closed []block
	open   []*stream
	start  found
	chunk  int // how many to look for at a time
	opened int // blocks opened so far
	looks  statements
}

// merge begins after the question's cursor; chunk is how many records the
// caller wants at a time.
func (v *view) merge(q *audit.Query, chunk int) (*merge, error) {
	p, err := v.plan(q)
	if err != nil {
		return nil, err
	}
	m := &merge{plan: p, last: v.last, closed: v.within(p), chunk: chunk, start: startOf(q)}
	if p.ids && !p.none {
		m.closed = nil
		s := &stream{next: m.start}
		if err := m.look(v, v.conns[0], s); err != nil {
			return nil, err
		}
		if len(s.ready) > 0 {
			m.open = append(m.open, s)
		}
		return m, nil
	}
	slices.SortFunc(m.closed, func(a, b block) int {
		if m.before(bound(p, &a), bound(p, &b)) {
			return -1
		}
		return 1
	})
	return m, nil
}

// startOf gives the place that everything the question selects comes after.
func startOf(q *audit.Query) found {
	oldest := q.Order == audit.OldestFirst
	switch {
	case !q.After.IsZero() && oldest:
		return found{at: q.After.OccurredAt.UnixMicro(), id: q.After.ID, n: math.MaxInt64}
	case !q.After.IsZero():
		return found{at: q.After.OccurredAt.UnixMicro(), id: q.After.ID, n: math.MinInt64}
	case oldest:
		return found{at: math.MinInt64}
	}
	return found{at: math.MaxInt64}
}

// bound gives the time before which, in the order, the block holds nothing.
func bound(p *plan, b *block) int64 {
	if p.oldest {
		return b.minOccurred
	}
	return b.maxOccurred
}

// before reports whether time a comes before b in the order.
func (m *merge) before(a, b int64) bool {
	if m.plan.oldest {
		return a < b
	}
	return a > b
}

// take gives the next records, at least n unless it is the end, and all that
// share the position of the last one.
func (m *merge) take(v *view, n int) ([]found, error) {
	var out []found
	for {
		best, err := m.best(v)
		if err != nil || best == nil {
			return out, err
		}
		f := best.ready[0]
		if len(out) >= n && !f.samePlace(&out[len(out)-1]) {
			return out, nil
		}
		out = append(out, f)
		if err := m.advance(v, best); err != nil {
			return nil, err
		}
	}
}

// best gives the stream whose first record is the next one, nil at the end.
func (m *merge) best(v *view) (*stream, error) {
	for {
		var best *stream
		if len(m.open) > 0 {
			best = m.open[0]
		}
		if len(m.closed) == 0 || best != nil && m.before(best.ready[0].at, bound(m.plan, &m.closed[0])) {
			return best, nil
		}
		if err := m.openMore(v); err != nil {
			return nil, err
		}
	}
}

// advance passes over the first record of the best stream.
func (m *merge) advance(v *view, best *stream) error {
	best.ready = best.ready[1:]
	if len(best.ready) == 0 && !best.ended {
		if err := m.look(v, v.conns[0], best); err != nil {
			return err
		}
	}
	if len(best.ready) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return nil
}

// Len, Less, Swap, Push and Pop implement heap.Interface over the open streams,
// each of which has a record ready.
func (m *merge) Len() int           { return len(m.open) }
func (m *merge) Less(i, j int) bool { return m.order(&m.open[i].ready[0], &m.open[j].ready[0]) < 0 }
func (m *merge) Swap(i, j int)      { m.open[i], m.open[j] = m.open[j], m.open[i] }
func (m *merge) Push(x any)         { m.open = append(m.open, x.(*stream)) }
func (m *merge) Pop() any {
	last := len(m.open) - 1
	s := m.open[last]
	m.open = m.open[:last]
	return s
}

func (m *merge) order(a, b *found) int {
	if m.plan.oldest {
		return a.compare(b)
	}
	return b.compare(a)
}

// maxOpen is how many blocks are opened at once at most.
const maxOpen = 64

// openMore opens the next blocks: one at first, as it may be enough, then ever
// more at once, by several connections where each must be read from end to end.
func (m *merge) openMore(v *view) error {
	n := min(len(m.closed), max(1, min(2*m.opened, maxOpen)))
	first := m.opened == 0
	m.opened += n
	var fresh []*stream
	for i := range m.closed[:n] {
		fresh = append(fresh, m.streams(&m.closed[i])...)
	}
	m.closed = m.closed[n:]
	for _, s := range fresh {
		// The very first look goes by time and so ends early where much is found.
		s.dense = first
	}
	err := v.each(len(fresh), !m.plan.scans(), func(c *conn, i int) error { return m.look(v, c, fresh[i]) })
	if err != nil {
		return err
	}
	for _, s := range fresh {
		if len(s.ready) > 0 {
			heap.Push(m, s)
		}
	}
	return nil
}

// streams gives the ways into one block.
func (m *merge) streams(b *block) (out []*stream) {
	if m.plan.keys == nil {
		return []*stream{{block: b, next: m.start}}
	}
	for _, key := range m.plan.keys {
		out = append(out, &stream{block: b, key: key, next: m.start})
	}
	return out
}

// look fetches more of a stream.
func (m *merge) look(v *view, c *conn, s *stream) error {
	p := m.plan
	var values slotValues
	from, to := p.from, p.to
	if p.oldest {
		from = max(from, s.next.at)
	} else {
		to = min(to, s.next.at)
	}
	how := p.index
	switch {
	case p.ids:
		how = byID
	case p.scans() && s.dense, how == "" && !p.scans():
		how = byTime
	case how == "" && s.block.whole(from, to):
		how = byWhole
	case how == "":
		how = byNumber
	}
	if s.block != nil {
		v.fill(p, s.block, s.key, &values)
	}
	values[slotLast], values[slotFrom], values[slotTo] = min(m.last, lastOf(s.block)), from, to
	values[slotTime], values[slotID], values[slotN] = s.next.at, s.next.id, s.next.n
	st, err := m.looks.get(how, func() *statement { return m.statement(v.s, how) }).prepare(c, &values)
	if err != nil {
		return err
	}
	s.ready = make([]found, 0, 8)
	for {
		more, err := st.Step()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		f := found{at: st.ColumnInt64(0), n: st.ColumnInt64(2)}
		st.ColumnBytes(1, f.id[:])
		s.ready = append(s.ready, f)
	}
	s.dense = len(s.ready) >= m.chunk
	s.ended = !s.dense
	if n := len(s.ready); n > 0 {
		s.next = s.ready[n-1]
	}
	return nil
}

func lastOf(b *block) int64 {
	if b == nil {
		return math.MaxInt64
	}
	return b.end() - 1
}

// statement looks for records after a place in one way's order.
func (m *merge) statement(s *Store, how string) *statement {
	p := m.plan
	var w where
	w.add("SELECT r.occurred_at, r.id, r.n")
	if how == byID {
		w.add(" FROM @records r INDEXED BY @records_id WHERE +r.occurred_at BETWEEN ? AND ? AND r.n <= ?", slotFrom, slotTo, slotLast)
		w.append(&p.rest)
	} else {
		p.way(&w, how)
	}
	compare, order := "<", " DESC"
	if p.oldest {
		compare, order = ">", ""
	}
	// The + keeps SQLite from taking this for a bound of the index, which the window already gives.
	w.add(" AND (+r.occurred_at, +r.id, +r.n) "+compare+" (?, ?, ?)", slotTime, slotID, slotN)
	// No parameter for the limit: SQLite prepares a statement anew whenever one is bound there.
	w.add(" ORDER BY r.occurred_at" + order + ", r.id" + order + ", r.n" + order + " LIMIT " + itoa(m.chunk))
	return &statement{sql: s.sql(w.sql.String()), args: w.args}
}
