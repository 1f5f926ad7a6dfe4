package redact_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The naive implementation that the rewriter is held against: a document as a
// tree, and every rule tried on the whole path of every value.

type tree struct {
	Literal  string // a scalar, as JSON
	Open     byte   // '{' or '[', 0 for a scalar
	Members  []member
	Elements []*tree
}

type member struct {
	raw   string // the key as it is written, without quotes
	Key   string
	Value *tree
}

type part struct {
	key   string
	index int // -1 is a key
}

// rule is a compiled entry for one document: a key at any depth, or a path.
type rule struct {
	anywhere bool
	steps    []string
}

func ruleOf(entry string) rule {
	steps := strings.Split(entry, ".")
	return rule{anywhere: len(steps) == 1 && entry != "*", steps: steps}
}

func (r rule) hits(path []part) bool {
	if r.anywhere {
		last := path[len(path)-1]
		return last.index < 0 && strings.EqualFold(last.key, r.steps[0])
	}
	return pathMatches(r.steps, path)
}

func pathMatches(steps []string, path []part) bool {
	if len(path) == 0 || len(steps) == 0 {
		return len(path) == len(steps)
	}
	if p := path[0]; p.index >= 0 {
		return pathMatches(steps, path[1:]) ||
			(steps[0] == "*" || steps[0] == strconv.Itoa(p.index)) && pathMatches(steps[1:], path[1:])
	}
	return (steps[0] == "*" || strings.EqualFold(steps[0], path[0].key)) && pathMatches(steps[1:], path[1:])
}

// redacted gives the tree with every value replaced that a rule hits.
func redacted(t *tree, rules []rule, path []part, mark string) *tree {
	hits := func(path []part) bool {
		return slices.ContainsFunc(rules, func(r rule) bool { return r.hits(path) })
	}
	out := &tree{Literal: t.Literal, Open: t.Open}
	for _, m := range t.Members {
		at, hit := slices.Clone(path), false
		for _, key := range strings.Split(m.Key, ".") {
			at = append(at, part{key, -1})
			hit = hit || hits(at)
		}
		v := &tree{Literal: mark}
		if !hit {
			v = redacted(m.Value, rules, at, mark)
		}
		out.Members = append(out.Members, member{m.raw, m.Key, v})
	}
	for i, e := range t.Elements {
		at := append(slices.Clone(path), part{"", i})
		v := &tree{Literal: mark}
		if !hits(at) {
			v = redacted(e, rules, at, mark)
		}
		out.Elements = append(out.Elements, v)
	}
	return out
}

func (t *tree) render(b *strings.Builder) {
	switch t.Open {
	case '{':
		b.WriteByte('{')
		for i, m := range t.Members {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + m.raw + `":`)
			m.Value.render(b)
		}
		b.WriteByte('}')
	case '[':
		b.WriteByte('[')
		for i, e := range t.Elements {
			if i > 0 {
				b.WriteByte(',')
			}
			e.render(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(t.Literal)
	}
}

func (t *tree) String() string {
	var b strings.Builder
	t.render(&b)
	return b.String()
}

// parse reads a document by encoding/json, keeping order and repeated keys.
func parse(t testing.TB, doc []byte) *tree {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	token := func() json.Token {
		tok, err := d.Token()
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		return tok
	}
	var value func() *tree
	value = func() *tree {
		tok := token()
		delim, ok := tok.(json.Delim)
		if !ok {
			b, err := json.Marshal(tok)
			if err != nil {
				t.Fatal(err)
			}
			return &tree{Literal: string(b)}
		}
		out := &tree{Open: byte(delim)}
		for d.More() {
			if delim == '{' {
				key := token().(string)
				out.Members = append(out.Members, member{Key: key, Value: value()})
			} else {
				out.Elements = append(out.Elements, value())
			}
		}
		token()
		return out
	}
	return value()
}
