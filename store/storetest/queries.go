package storetest

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// RandomQuery gives a validated question. Its values are taken from the given
// records, or from new random ones when there are none, so that most questions
// select something. Any part may occur: filters of every dimension and
// operator, metadata keys, a window, full text, Open, order and limit; never After.
func RandomQuery(r *rand.Rand, from ...*audit.Record) *audit.Query {
	for {
		q := &audit.Query{Order: pick(r, audit.NewestFirst, audit.OldestFirst), Limit: pick(r, 1, 2, 7, 50, audit.MaxLimit)}
		for range pick(r, 0, 1, 1, 2, 3) {
			q.Filters = append(q.Filters, RandomFilter(r, from...))
		}
		randomWindow(r, q, from)
		if chance(r, 15) {
			q.Text = RandomText(r, from...)
		}
		q.Open = chance(r, 10)
		if v, err := q.Validate(); err == nil {
			return v
		}
		// Two conditions on one field contradicted each other.
	}
}

// RandomFilter gives one valid condition, on a dimension or on a metadata key.
func RandomFilter(r *rand.Rand, from ...*audit.Record) audit.Filter {
	if chance(r, 20) {
		return randomMetadataFilter(r, from)
	}
	dims := audit.Dimensions()
	d := dims[r.IntN(len(dims))]
	var ops []audit.Ops
	for _, op := range Operators() {
		if d.Ops&op != 0 {
			ops = append(ops, op)
		}
	}
	return FilterOn(r, d, ops[r.IntN(len(ops))], from...)
}

// Operators are all operators.
func Operators() []audit.Ops {
	return []audit.Ops{audit.OpIs, audit.OpNot, audit.OpPrefix, audit.OpRange}
}

// FilterOn gives a condition on one dimension with one of its operators.
func FilterOn(r *rand.Rand, d *audit.Field, op audit.Ops, from ...*audit.Record) audit.Filter {
	f := audit.Filter{Field: d.Name, Op: op}
	if op == audit.OpRange {
		a, b := d.Int(sample(r, from)), d.Int(sample(r, from))
		lo, hi := min(a, b), max(a, b)
		if chance(r, 70) {
			f.Min = &lo
		}
		if f.Min == nil || chance(r, 70) {
			f.Max = &hi
		}
		return f
	}
	for range pick(r, 1, 1, 1, 2, 4) {
		v := d.Text(sample(r, from))
		switch {
		case op == audit.OpPrefix:
			if v = prefixOf(r, v); v == "" {
				v = "%"
			}
		case d.Kind == audit.Identity && v == "":
			continue
		case d.Kind == audit.Text && chance(r, 10):
			v = pick(r, "", "no such value", hostile(r))
		}
		f.Values = append(f.Values, v)
	}
	return f
}

func randomMetadataFilter(r *rand.Rand, from []*audit.Record) audit.Filter {
	key, value := "env", "prod"
	// A record may have no filterable member; a few tries find one that has.
	for range 4 {
		n := 0
		audit.EachMetadata(sample(r, from).Metadata, func(k, v string) {
			if n++; k != "" && r.IntN(n) == 0 {
				key, value = k, v
			}
		})
	}
	if chance(r, 10) {
		value = pick(r, "", "no such value", hostile(r))
	}
	f := audit.Filter{Field: audit.MetadataPrefix + key, Op: pick(r, audit.OpIs, audit.OpNot, audit.OpPrefix)}
	if f.Op == audit.OpPrefix {
		if value = prefixOf(r, value); value == "" {
			value = "%"
		}
	}
	f.Values = []string{value}
	return f
}

func randomWindow(r *rand.Rand, q *audit.Query, from []*audit.Record) {
	if chance(r, 60) {
		return
	}
	a, b := sample(r, from).OccurredAt, sample(r, from).OccurredAt
	if b.Before(a) {
		a, b = b, a
	}
	// Between two records, on one, and a nanosecond beside it.
	nudge := func(t time.Time) time.Time {
		return t.Add(time.Duration(r.IntN(3)-1) * pick(r, time.Nanosecond, time.Microsecond))
	}
	if chance(r, 70) {
		q.From = nudge(a)
	}
	if chance(r, 70) {
		q.To = nudge(b)
	}
}

// RandomText gives what a person might type into the search box, drawn from
// the tokens of the records. It always holds at least one token.
func RandomText(r *rand.Rand, from ...*audit.Record) string {
	var words []string
	for len(words) < 1 || chance(r, 40) && len(words) < 4 {
		var tokens []string
		audit.EachToken(sample(r, from), func(tok string) { tokens = append(tokens, tok) })
		w := tokens[r.IntN(len(tokens))] // never empty: every record has an action
		switch r.IntN(6) {
		case 0:
			w = prefixOf(r, w) + "*"
		case 1:
			w = strings.ToUpper(w)
		case 2:
			w = pick(r, `"`, `(`, `-`, `'`, `%`, `^`) + w + pick(r, `"`, `)`, `:`, `;`, `_`)
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// prefixOf gives the first letters of v, at least one.
func prefixOf(r *rand.Rand, v string) string {
	runes := []rune(v)
	if len(runes) == 0 {
		return ""
	}
	return string(runes[:1+r.IntN(len(runes))])
}

func sample(r *rand.Rand, from []*audit.Record) *audit.Record {
	if len(from) == 0 {
		return RandomRecord(r)
	}
	return from[r.IntN(len(from))]
}
