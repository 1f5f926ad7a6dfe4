package sqlite

import (
	"math"
	"slices"
	"strconv"
	"sync"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// plan says how a question is answered: which way leads into a block, and
// which conditions remain. The way is chosen here and forced by INDEXED BY, so
// that no statistics of SQLite's can surprise.
type plan struct {
	from, to int64 // of occurred_at, both inclusive
	oldest   bool  // the order
	index    string
	cond     string // on the index's column; has one parameter where there are keys
	keys     []any  // the values of that column, each with a way of its own; nil is one way
	rest     where
	terms    string // the full text expression that leads the way, "" for none
	ids      bool   // answered by the index of ids, outside the blocks
	none     bool   // nothing can match
	covered  bool   // only the time is looked at, which an index holds
}

// The ways that are not the index of a column.
const (
	byTime   = "time" // every record of the block in the order of time
	byNumber = "n"    // every record of the block in the order of arrival
	byWhole  = "all"  // the same for a block that lies within the window, which is not looked at
	byText   = "text" // those that full text search finds
	byFailed = "failed"
	byScope  = "scope"
	byID     = "id"
)

// indexed are the fields with an index of their own, the most selective first.
var indexed = []string{"correlation_id", "trace_id", "action_id", "session_id", "resource", "actor", "tool_name", "action"}

// selective is how many of them are more selective than a word of full text.
const selective = 4

// maxKeys is how many values of an index are looked up one by one, each in the
// order of time; more are one statement that sorts.
const maxKeys = 16

// plan reads a validated question.
func (v *view) plan(q *audit.Query) (*plan, error) {
	if err := v.load(); err != nil {
		return nil, err
	}
	p := &plan{from: math.MinInt64, to: math.MaxInt64, oldest: q.Order == audit.OldestFirst}
	if !q.From.IsZero() {
		p.from = q.From.UnixMicro()
	}
	if !q.To.IsZero() {
		p.to = q.To.UnixMicro() - 1
	}
	scopes, all, err := v.scopesOf(q.Filters)
	if err != nil {
		return nil, err
	}
	if !all && len(scopes) == 0 || p.from > p.to {
		p.none = true
		return p, nil
	}
	lead := p.choose(q)
	for i := range q.Filters {
		f := &q.Filters[i]
		if f.Field == "namespace" || f.Field == "tenant" || i == lead {
			continue
		}
		if err := p.rest.filter(f); err != nil {
			return nil, err
		}
	}
	if q.Open {
		p.rest.open()
	}
	if q.Text != "" {
		if err := v.text(p, q.Text); err != nil {
			return nil, err
		}
	}
	if !all {
		p.scopes(scopes)
	}
	return p, nil
}

// choose picks the index and gives the place of the filter that it serves, or -1.
func (p *plan) choose(q *audit.Query) int {
	find := func(field string) int {
		return slices.IndexFunc(q.Filters, func(f audit.Filter) bool {
			return f.Field == field && f.Op == audit.OpIs && !slices.Contains(f.Values, "")
		})
	}
	if at := find("id"); at >= 0 {
		p.ids = true
		return -1
	}
	fields := indexed
	if q.Text != "" {
		fields = indexed[:selective]
	}
	for _, field := range fields {
		at := find(field)
		if at < 0 {
			continue
		}
		p.index = field
		values := q.Filters[at].Values
		if len(values) > maxKeys {
			var w where
			w.text("r."+field, &q.Filters[at])
			p.rest.append(&w)
			return at
		}
		p.cond = "r." + field + " = ?"
		for _, v := range values {
			p.keys = append(p.keys, v)
		}
		return at
	}
	if q.Text != "" {
		p.index = byText
		return -1
	}
	at := find("outcome")
	if at < 0 || slices.ContainsFunc(q.Filters[at].Values, func(v string) bool { return !audit.Outcome(v).Failed() }) {
		return -1
	}
	p.index, p.cond = byFailed, "r.outcome IN ('failure', 'denied')"
	if len(q.Filters[at].Values) == 1 {
		return -1 // the index holds both outcomes, so the filter itself stays
	}
	return at
}

// text adds the condition of a full text search, or makes it the way.
func (v *view) text(p *plan, text string) error {
	if !v.s.text {
		return audit.Unsupported("this database was made without full text search")
	}
	terms, err := audit.ParseText(text)
	if err != nil {
		return err
	}
	if p.index == byText {
		p.terms = match(terms)
		return nil
	}
	p.rest.and()
	p.rest.add("EXISTS (SELECT 1 FROM @text WHERE @text MATCH ? AND rowid = r.n)", match(terms))
	return nil
}

// scopes adds the condition on the scope, or makes it the way where there is none yet.
func (p *plan) scopes(numbers []int64) {
	if p.index == "" && !p.ids && len(numbers) <= maxKeys {
		p.index, p.cond = byScope, "r.scope = ?"
		for _, n := range numbers {
			p.keys = append(p.keys, n)
		}
		return
	}
	p.rest.and()
	p.rest.add("r.scope IN (")
	for i, n := range numbers {
		if i > 0 {
			p.rest.add(",")
		}
		p.rest.add(strconv.FormatInt(n, 10)) // our own numbers, of which there may be more than SQLite has parameters
	}
	p.rest.add(")")
}

// scans reports whether a block must be looked through to find what matches.
func (p *plan) scans() bool {
	return p.index == byText || p.index == "" && p.rest.sql.Len() > 0
}

// slot stands for an argument that differs from one execution to the next.
type slot int

const (
	slotBlock slot = iota // the block's number
	slotFirst             // the places of its records in the order of arrival
	slotLast
	slotKey // the value of the index's column
	slotFrom
	slotTo
	slotTime // the record to go on after
	slotID
	slotN
	slotLimit
	slotEscaped // whether metadata may be written with escapes; yes where it is left out
	slots
)

// slotValues are the arguments for the slots.
type slotValues [slots]any

// statement is text with parameters of which some are slots.
type statement struct {
	sql  string
	args []any
}

// statements keeps a question's statements by the way that they go.
type statements struct {
	mu   sync.Mutex
	made map[string]*statement
}

func (s *statements) get(how string, write func() *statement) *statement {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.made[how]
	if st == nil {
		if s.made == nil {
			s.made = map[string]*statement{}
		}
		st = write()
		s.made[how] = st
	}
	return st
}

// prepare gives the statement on the connection, bound.
func (s *statement) prepare(c *conn, values *slotValues) (*z.Stmt, error) {
	st, err := c.stmt(s.sql)
	if err != nil {
		return nil, err
	}
	for i, a := range s.args {
		if at, ok := a.(slot); ok {
			if a = values[at]; at == slotEscaped && a == nil {
				a = 1
			}
		}
		bind(st, i+1, a)
	}
	return st, nil
}

// way writes FROM and WHERE for one block (and one key). how is p.index, or
// byTime or byNumber where p has no index.
func (p *plan) way(w *where, how string) {
	switch how {
	case byNumber, byWhole:
		w.add(" FROM @records r NOT INDEXED WHERE r.n BETWEEN ? AND ?", slotFirst, slotLast)
	case byText:
		w.add(" FROM @records r NOT INDEXED WHERE r.n IN (SELECT rowid FROM @text WHERE @text MATCH ? AND rowid BETWEEN ? AND ?)", p.terms, slotFirst, slotLast)
	default:
		w.add(" FROM @records r INDEXED BY @records_"+how+" WHERE (r.n >> 14) = ?", slotBlock)
		if how == p.index && p.cond != "" {
			w.add(" AND " + p.cond)
			if p.keys != nil {
				w.args = append(w.args, slotKey)
			}
		}
		w.add(" AND +r.n <= ?", slotLast)
	}
	switch how {
	case byWhole:
	case byNumber, byText:
		w.add(" AND +r.occurred_at BETWEEN ? AND ?", slotFrom, slotTo)
	default:
		w.add(" AND r.occurred_at BETWEEN ? AND ?", slotFrom, slotTo)
	}
	w.append(&p.rest)
	if p.terms != "" && how != byText { // the search is a condition here
		w.add(" AND r.n IN (SELECT rowid FROM @text WHERE @text MATCH ? AND rowid BETWEEN ? AND ?)", p.terms, slotFirst, slotLast)
	}
}

// fill sets the slots that name the block, its key and the window.
func (v *view) fill(p *plan, b *block, key any, values *slotValues) {
	values[slotBlock], values[slotFirst], values[slotLast] = b.number, b.first(), min(b.end()-1, v.last)
	values[slotKey], values[slotFrom], values[slotTo] = key, p.from, p.to
	if !b.escaped {
		values[slotEscaped] = 0
	}
}

// whole reports whether every record of the block lies within the window.
func (b *block) whole(from, to int64) bool { return from <= b.minOccurred && b.maxOccurred <= to }

// within gives the view's blocks that may hold records of the plan's window.
func (v *view) within(p *plan) []block {
	if p.none {
		return nil
	}
	var out []block
	for _, b := range v.blocks {
		if b.maxOccurred >= p.from && b.minOccurred <= p.to {
			out = append(out, b)
		}
	}
	return out
}
