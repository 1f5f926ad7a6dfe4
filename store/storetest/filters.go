package storetest

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// testFilters asks for every dimension with every operator it has, and
// compares with Query.Match.
func testFilters(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(41, 300)
	h.store(t, s, CloneAll(recs))

	for i, d := range audit.Dimensions() {
		t.Run(d.Name, func(t *testing.T) {
			r := NewRand(uint64(1000 + i))
			for _, op := range Operators() {
				if d.Ops&op == 0 {
					continue
				}
				for range Rounds(5) {
					q, err := (&audit.Query{Filters: []audit.Filter{FilterOn(r, d, op, recs...)}, Limit: audit.MaxLimit}).Validate()
					if err == nil {
						ask(t, s, recs, q)
					}
				}
			}
			for _, f := range some(edges(d)) {
				q, err := (&audit.Query{Filters: []audit.Filter{f}, Limit: audit.MaxLimit}).Validate()
				if err == nil { // times have narrower bounds than numbers
					ask(t, s, recs, q)
				}
			}
		})
	}
	t.Run("together", func(t *testing.T) {
		r := NewRand(42)
		for range Rounds(200) {
			q := RandomQuery(r, recs...)
			if q.Text != "" && !s.Capabilities().Text {
				q.Text = ""
			}
			q.Limit = audit.MaxLimit
			ask(t, s, recs, q)
		}
	})
	t.Run("as many as are allowed", func(t *testing.T) { testManyFilters(t, s, recs) })
	t.Run("metadata", func(t *testing.T) { testMetadata(t, h) })
	t.Run("letters that mean something elsewhere", func(t *testing.T) { testHostileValues(t, h) })
}

// edges are conditions at the limits of a dimension: absent values, bounds
// that nothing reaches.
func edges(d *audit.Field) (out []audit.Filter) {
	if d.Kind == audit.Text {
		out = append(out, audit.Is(d.Name, ""), audit.Not(d.Name, ""), audit.Is(d.Name, "", "alice", "prod"), audit.Not(d.Name, "", "alice", "event"))
	}
	if d.Kind == audit.Number {
		out = append(out, audit.Is(d.Name, "0"), audit.Not(d.Name, "0"), audit.Is(d.Name, "9223372036854775807"))
	}
	if d.Ops&audit.OpRange != 0 {
		for _, bound := range []int64{math.MinInt64, -1, 0, 1, CorpusStart.UnixMicro(), math.MaxInt64} {
			out = append(out, audit.Filter{Field: d.Name, Op: audit.OpRange, Min: &bound}, audit.Filter{Field: d.Name, Op: audit.OpRange, Max: &bound})
		}
		lo, hi := int64(5), int64(4)
		out = append(out, audit.Filter{Field: d.Name, Op: audit.OpRange, Min: &lo, Max: &hi})
	}
	return out
}

func testManyFilters(t *testing.T, s audit.Store, recs []*audit.Record) {
	r := NewRand(43)
	q := &audit.Query{Limit: audit.MaxLimit}
	dims := audit.Dimensions()
	for i := range audit.MaxFilters {
		d := dims[i%len(dims)]
		f := audit.Filter{Field: d.Name, Op: audit.OpNot}
		if d.Ops&audit.OpNot == 0 {
			f = audit.Filter{Field: audit.MetadataPrefix + d.Name, Op: audit.OpNot}
		}
		f.Values = []string{d.Text(sample(r, recs))}
		if v, err := (&audit.Query{Filters: append(q.Filters, f)}).Validate(); err == nil && len(Answer(recs, v)) > 0 {
			q.Filters = append(q.Filters, f)
		}
	}
	many := audit.Is("action_id")
	for i := range audit.MaxValues {
		many.Values = append(many.Values, recs[i].ActionID)
	}
	q.Filters = append(q.Filters[:min(len(q.Filters), audit.MaxFilters-1)], many)
	ask(t, s, recs, valid(t, *q))
}

// testMetadata has keys and values that end up in paths and patterns.
func testMetadata(t *testing.T, h *Harness) {
	s := h.open(t)
	keys := []string{
		"env", "a.b", "a", "b", `quo"te`, "it's", "back\\slash", "ключ", "100%", "under_score", "a b", "$.x", "[0]", "*", "0", "#", "é", "e\u0301",
		"a\nb", "\x01", "null", "'; --", ".", "..", "x.not", "x.prefix", "日本😀", "__proto__",
	}
	values := append([]string{"", "prod", "100%", "1000", "a_c", "abc", `a\c`, "true", "1", "null"}, hostiles...)
	var recs []*audit.Record
	at := CorpusStart
	add := func(doc map[string]any) {
		at = at.Add(time.Second)
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, event(scopeA, at, func(r *audit.Record) { r.Metadata = raw }))
	}
	for i, k := range keys {
		add(map[string]any{k: values[i%len(values)]})
		add(map[string]any{k: values[(i+7)%len(values)], "other": k})
	}
	for i, v := range values {
		add(map[string]any{"env": v, keys[i%len(keys)]: v})
	}
	for _, v := range []any{nil, true, false, 1, 1.5, json.Number("1e400"), json.Number("18446744073709551616"), json.Number("1.0"), json.Number("-0"), []string{"prod"}, map[string]string{"env": "prod"}} {
		add(map[string]any{"env": v})
	}
	add(map[string]any{})
	at = at.Add(time.Second)
	recs = append(recs, event(scopeA, at, nil))
	h.store(t, s, CloneAll(recs))

	try := func(f audit.Filter) {
		q := audit.Query{Filters: []audit.Filter{f}, Limit: audit.MaxLimit}
		ask(t, s, recs, valid(t, q))
	}
	for i, k := range some(append(keys, "absent", "env ", "ENV")) {
		v := values[i%len(values)]
		field := audit.MetadataPrefix + k
		try(audit.Is(field, v))
		try(audit.Is(field, ""))
		try(audit.Not(field, v))
		try(audit.Not(field, ""))
		for _, p := range []string{"%", "_", `\`, "p", "1", v} {
			if p != "" {
				try(audit.Prefix(field, p))
			}
		}
	}
	for _, v := range some(append(values, "1.5", "1e400", "18446744073709551616", "1.0", "-0", "false", `["prod"]`, "PROD", "prod ")) {
		try(audit.Is("metadata.env", v))
		try(audit.Not("metadata.env", v, "prod"))
		if v != "" {
			try(audit.Prefix("metadata.env", v))
			try(audit.Prefix("metadata.env", string([]rune(v)[:1])+"\u00ff", v))
		}
	}
}

// testHostileValues compares values that differ only in letters which a
// pattern, a collation or a query language treats specially.
func testHostileValues(t *testing.T, h *Harness) {
	s := h.open(t)
	values := append([]string{
		"a", "A", "á", "a\u0301", "ａ", "ß", "ss", "SS", "i", "I", "İ", "ı", "a%", "a_", "a*", "a?", `a\`, `a\%`, `a\\`, "ab", "a b", "a ", " a",
		"%", "_", `\`, "*", "?", "[a]", "[", "a[b", "^a", "a.b", "a-b", "'", "''", `"`, "`", ";", "--", "\U0010ffff", "\U0010ffffx", "a\uffff", "\x7f", "\x01",
	}, hostiles...)
	var recs []*audit.Record
	for i, v := range values {
		recs = append(recs, event(scopeA, CorpusStart.Add(time.Duration(i)*time.Minute), func(r *audit.Record) { r.Resource.ID, r.Action = v, v }))
	}
	h.store(t, s, CloneAll(recs))
	for _, v := range some(append(values, "b", "aa", `a\_`)) {
		for _, f := range []audit.Filter{
			audit.Is("resource", v), audit.Not("resource", v), audit.Prefix("resource", v), audit.Prefix("action", v),
			audit.Is("resource", v, "' OR 1=1 --"), audit.Prefix("resource", v+"%", v+"_", v+`\`),
		} {
			ask(t, s, recs, valid(t, audit.Query{Filters: []audit.Filter{f}, Limit: audit.MaxLimit}))
		}
	}
}
