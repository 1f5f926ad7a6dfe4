package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

func testIsolation(t *testing.T, h *Harness) {
	t.Run("scopes", func(t *testing.T) { testScopes(t, h) })
	t.Run("memory", func(t *testing.T) { testMemory(t, h) })
}

// testScopes keeps one id in scopes that careless keys would confuse.
func testScopes(t *testing.T, h *Harness) {
	s := h.open(t)
	scopes := []audit.Scope{
		{Namespace: "", Tenant: ""}, {Namespace: "a", Tenant: ""}, {Namespace: "", Tenant: "a"}, {Namespace: "a", Tenant: "b"},
		{Namespace: "b", Tenant: "a"}, {Namespace: "ab", Tenant: ""}, {Namespace: "a#b", Tenant: ""}, {Namespace: "a", Tenant: "#b"},
		{Namespace: "a#", Tenant: "b"}, {Namespace: `a\#`, Tenant: "b"}, {Namespace: "a%23", Tenant: "b"}, {Namespace: "A", Tenant: "B"},
		{Namespace: "a ", Tenant: "b"}, {Namespace: "a", Tenant: hostileTenant}, {Namespace: "é", Tenant: "日本"}, {Namespace: "e\u0301", Tenant: "日本"},
		{Namespace: "%", Tenant: "_"}, {Namespace: "*", Tenant: "*"}, {Namespace: "'", Tenant: `"`},
	}
	id := audit.NewID()
	var recs []*audit.Record
	for i, scope := range scopes {
		recs = append(recs, event(scope, CorpusStart.Add(time.Duration(i)), func(r *audit.Record) { r.ID, r.Resource.ID = id, scope.Namespace+"/"+scope.Tenant }))
	}
	h.store(t, s, CloneAll(recs))
	for i, scope := range scopes {
		got, err := s.Get(t.Context(), audit.Ref{Namespace: scope.Namespace, Tenant: scope.Tenant, ID: id})
		if err != nil {
			t.Errorf("Get in %+v: %v", scope, err)
		} else if d := Diff(recs[i], got); d != "" {
			t.Errorf("Get in %+v:\n%s", scope, d)
		}
		ask(t, s, recs, valid(t, audit.Query{Filters: []audit.Filter{audit.Is("namespace", scope.Namespace), audit.Is("tenant", scope.Tenant)}}))
		ask(t, s, recs, valid(t, audit.Query{Filters: []audit.Filter{audit.Is("tenant", scope.Tenant)}}))
		ask(t, s, recs, valid(t, audit.Query{Filters: []audit.Filter{audit.Not("namespace", scope.Namespace)}}))
	}
	for _, absent := range []audit.Ref{{Namespace: "nobody", ID: id}, {Namespace: "a", Tenant: "B", ID: id}, {Namespace: "%", Tenant: "%", ID: id}} {
		if _, err := s.Get(t.Context(), absent); audit.CodeOf(err) != audit.CodeNotFound {
			t.Errorf("Get(%+v): got %v, want not_found", absent, err)
		}
	}
}

// testMemory changes everything that was handed in or out.
func testMemory(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(31, 50)
	given := CloneAll(recs)
	h.store(t, s, given)
	for i := range given {
		scribble(given[i])
	}
	q := valid(t, audit.Query{Limit: 100})
	ask(t, s, recs, q)
	for _, r := range walk(t, s, q) {
		scribble(r)
	}
	for _, want := range recs {
		for range 2 {
			got, err := s.Get(t.Context(), want.Ref())
			if err != nil {
				t.Fatal(err)
			}
			if d := Diff(want, got); d != "" {
				t.Fatalf("a change outside reached the store:\n%s", d)
			}
			scribble(got)
		}
	}
	if sc, ok := audit.As[audit.Scanner](s); ok {
		if err := sc.Scan(t.Context(), q, func(r *audit.Record) error { scribble(r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, s, recs, q)
	asked := *q
	asked.Filters = slices.Clone(q.Filters)
	walk(t, s, q)
	if show(&asked) != show(q) {
		t.Error("Query changed the question")
	}
}

func scribble(r *audit.Record) {
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			b := f.Bytes(r)
			for i := range b {
				b[i] = '#'
			}
		}
	}
	*r = audit.Record{Event: audit.Event{Action: "scribbled"}}
}
