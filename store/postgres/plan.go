package postgres

import (
	"slices"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

// plan says how a question is answered: which way leads to the records, and
// which conditions remain.
type plan struct {
	q        *audit.Query
	filters  []audit.Filter // but those on namespace and tenant
	from, to int64          // of occurred_at in microseconds, both inclusive
	oldest   bool           // the order
	none     bool           // nothing can match
	scopes   []int32        // that the question is about
	all      bool           // it is about every scope
	terms    []audit.Term   // of full text
	open     []int32        // the blocks, where Query.Open asks whether an outcome is in one of them

	lead   lead
	rivals []lead // which may be narrower: what holds is only known once it was tried
}

// lead is a way to the records. Every condition that it does not serve is
// fenced, so that no other index can.
type lead struct {
	way   way
	index string // of byBlocks: a field of indexed, or one of the two below
	keys  any    // of byBlocks: the values, each looked up by itself; nil for a prefix, and for indexFailed
	query string // of byWords
	runs  *runs  // of byRuns
	takes []int  // the filters that are served and not asked again
	plain []int  // the filters that are served by their condition
}

type way int

const (
	byTime   way = iota // every record in the order of time
	byBlocks            // an index that begins with the block, block after block
	byID                // the index of ids
	byRuns              // a block range index, see schema_brin.go
	byWords             // the index over metadata and full text
)

// The indexes by block that are not of a field.
const (
	indexFailed = "failed"
	indexScope  = "scope"
)

// selective is how many of the indexed fields lead whatever else is asked: a
// value of theirs has few records.
const selective = 4

// maxKeys is how many scopes are looked up one by one, and how many values
// through a whole index of block ranges; with more it is not worth it.
const maxKeys = 16

// prepare reads a validated question.
func (a *ask) prepare(q *audit.Query) (*plan, error) {
	p := &plan{q: q, from: earliest, to: latest, oldest: q.Order == audit.OldestFirst}
	if !q.From.IsZero() {
		p.from = q.From.UnixMicro()
	}
	if !q.To.IsZero() {
		p.to = q.To.UnixMicro() - 1
	}
	for _, f := range q.Filters {
		if f.Field != "namespace" && f.Field != "tenant" {
			p.filters = append(p.filters, f)
		}
	}
	if q.Open {
		p.filters = append(p.filters, audit.Is("outcome", string(audit.Pending)))
	}
	p.listRanges()
	if q.Text != "" {
		if !a.s.text {
			return nil, &audit.Error{Code: audit.CodeUnsupported, Field: audit.ParamText, Message: "the tables were made without a full text index"}
		}
		var err error
		if p.terms, err = audit.ParseText(q.Text); err != nil {
			return nil, err
		}
	}
	var err error
	if p.scopes, p.all, err = a.scopesOf(q.Filters); err != nil {
		return nil, err
	}
	if !p.all && len(p.scopes) == 0 || p.from > p.to {
		p.none = true
		return p, nil
	}
	if q.Open {
		blocks, err := a.allBlocks()
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			p.open = append(p.open, b.number)
		}
		slices.Reverse(p.open) // an outcome is mostly near the newest, as the intent is
	}
	p.choose(a.s.text)
	return p, nil
}

// choose picks the ways.
func (p *plan) choose(words bool) {
	if at := p.find("id"); at >= 0 {
		p.lead = lead{way: byID, takes: []int{at}}
		return
	}
	var leads []lead
	for i, field := range indexed {
		l, ok := p.byField(field)
		if !ok {
			continue
		}
		if i < selective && l.keys != nil {
			p.lead = l
			return
		}
		leads = append(leads, l)
	}
	if at := p.find("outcome"); at >= 0 && !slices.ContainsFunc(p.filters[at].Values, func(v string) bool { return !audit.Outcome(v).Failed() }) {
		leads = append(leads, lead{way: byBlocks, index: indexFailed})
	}
	if !p.all && len(p.scopes) <= maxKeys {
		leads = append(leads, lead{way: byBlocks, index: indexScope, keys: p.scopes})
	}
	switch query := p.words(words); {
	case query != "":
		leads = append(leads, lead{way: byWords, query: query})
	default:
		if l, ok := p.byRuns(); ok {
			leads = append(leads, l)
		}
	}
	if len(leads) > 0 {
		p.lead, p.rivals = leads[0], leads[1:]
	}
}

// find gives the place of a filter that an index can serve, or -1: an absent
// value is in none.
func (p *plan) find(field string) int {
	return slices.IndexFunc(p.filters, func(f audit.Filter) bool {
		return f.Field == field && f.Op == audit.OpIs && !hasEmpty(f.Values)
	})
}

// byField gives the way by a field's own index.
func (p *plan) byField(field string) (lead, bool) {
	l := lead{way: byBlocks, index: field}
	if at := p.find(field); at >= 0 {
		l.keys, l.takes = p.filters[at].Values, []int{at}
		return l, true
	}
	at := slices.IndexFunc(p.filters, func(f audit.Filter) bool {
		return f.Field == field && f.Op == audit.OpPrefix && len(f.Values) == 1
	})
	l.plain = []int{at}
	return l, at >= 0
}

// words gives what the vectors are searched for, empty where nothing is.
func (p *plan) words(words bool) string {
	query := ""
	if len(p.terms) > 0 {
		query = "(" + wordsQuery(p.terms) + ")"
	}
	for i := range p.filters {
		member, ok := memberQuery(&p.filters[i], words)
		if !ok {
			continue
		}
		if query != "" {
			query += " & "
		}
		query += "(" + member + ")"
	}
	return query
}

// conditions adds what has to hold besides what the lead serves.
func (p *plan) conditions(w *where, l *lead) error {
	for i := range p.filters {
		if slices.Contains(l.takes, i) {
			continue
		}
		form := bare
		if l.way == byRuns {
			form = l.runs.form
		}
		if err := w.filterAs(&p.filters[i], slices.Contains(l.plain, i), form); err != nil {
			return err
		}
	}
	if p.q.Open {
		w.open(p.open)
	}
	if len(p.terms) > 0 && l.way != byWords {
		w.words(p.terms)
	}
	if !p.all && l.index != indexScope {
		w.scopes(p.scopes)
	}
	return nil
}

// listRanges adds short ranges of numbers as lists of their values, which a
// Bloom filter can be asked for.
func (p *plan) listRanges() {
	for _, f := range p.filters {
		d, ok := f.Dimension()
		if !ok || f.Op != audit.OpRange || d.Kind != audit.Number || f.Min == nil || f.Max == nil || *f.Min < 1 || *f.Max < *f.Min || *f.Max-*f.Min >= maxKeys {
			continue
		}
		var values []string
		for n := *f.Min; ; n++ {
			if values = append(values, strconv.FormatInt(n, 10)); n == *f.Max {
				break
			}
		}
		p.filters = append(p.filters, audit.Is(f.Field, values...))
	}
}

// scopesOf gives the numbers of the scopes that meet every condition on
// namespace and tenant; all is true when there is none.
func (a *ask) scopesOf(filters []audit.Filter) (numbers []int32, all bool, err error) {
	namespaces, tenants := true, true
	var w where
	var exact audit.Scope
	for i := range filters {
		f := &filters[i]
		one := f.Op == audit.OpIs && len(f.Values) == 1
		switch f.Field {
		case "namespace":
			if namespaces = false; one {
				exact.Namespace, namespaces = f.Values[0], true
			}
		case "tenant":
			if tenants = false; one {
				exact.Tenant, tenants = f.Values[0], true
			}
		default:
			continue
		}
		w.and()
		w.texts("s."+f.Field, f, true)
	}
	if len(w.args) == 0 {
		return nil, true, nil
	}
	if namespaces && tenants && len(w.args) == 2 {
		number, ok, err := a.s.scopeNumber(a.ctx, a.tx, exact)
		if ok {
			numbers = []int32{number}
		}
		return numbers, false, err
	}
	rows, err := a.tx.Query(a.ctx, a.s.sql("SELECT s.scope FROM @scopes s WHERE "+w.text()), w.args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int32
		if err := rows.Scan(&n); err != nil {
			return nil, false, err
		}
		numbers = append(numbers, n)
	}
	return numbers, false, rows.Err()
}
