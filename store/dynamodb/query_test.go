package dynamodb

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// The index knows milliseconds only, and gives what shares one in no order. The
// answers are in order all the same, with a bounded number of records in memory.
func TestManyRecordsOfOneMillisecond(t *testing.T) {
	s := open(t, newTable(t))
	r := storetest.NewRand(401)
	var recs []*audit.Record
	for i := range 900 {
		at := start.Add(time.Duration(r.IntN(3)) * time.Millisecond)
		recs = append(recs, event(scopeA, at, func(rec *audit.Record) {
			rec.OccurredAt = at.Add(time.Duration(r.IntN(20)) * time.Microsecond)
			rec.ID[0] = byte(i * 37)
		}))
	}
	if _, err := s.AppendFresh(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	for _, order := range []audit.Order{audit.NewestFirst, audit.OldestFirst} {
		q := &audit.Query{Order: order, Limit: 40} // a stream holds at most 200 of about 300
		want := storetest.Answer(recs, q)
		var got []*audit.Record
		for {
			page, err := s.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Records...)
			if page.Next.IsZero() {
				break
			}
			if len(page.Records) != q.Limit {
				t.Fatalf("a page of %d", len(page.Records))
			}
			q.After = page.Next
		}
		sameOrder(t, want, got)

		// And one walk through all, with less room than a millisecond needs.
		q.After = audit.Position{}
		st := s.byTime(t.Context(), q, []string{partition(scopeA)}, 0)[0].(*stream)
		st.most = 50
		got = nil
		for {
			rec, err := st.next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if rec == nil {
				break
			}
			if len(st.ready) > 2*st.most || len(st.group) > 2*st.most {
				t.Fatalf("%d and %d records are held", len(st.ready), len(st.group))
			}
			got = append(got, rec)
		}
		sameOrder(t, want, got)
	}
}

func sameOrder(t *testing.T, want, got []*audit.Record) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if want[i].ID != got[i].ID {
			t.Fatalf("record %d is %v, want %v", i, got[i].ID, want[i].ID)
		}
	}
}

// A question is asked where the answer lies, not of everything.
func TestPlans(t *testing.T) {
	s, f := openFaulty(t, newTable(t))
	var recs []*audit.Record
	for tenant := range 10 {
		recs = append(recs, events(audit.Scope{Namespace: "ns", Tenant: fmt.Sprint(tenant)}, start, 20, func(i int, r *audit.Record) {
			r.ActionID = fmt.Sprint("act-", i%7)
			r.Actor.ID = fmt.Sprint("actor-", i%3)
		})...)
	}
	appendChained(t, s, recs)
	anchor := event(audit.Scope{Namespace: "ns", Tenant: "3"}, start, func(r *audit.Record) { r.Kind = audit.KindPrune })
	appendChained(t, s, []*audit.Record{anchor})
	in := func(filters ...audit.Filter) audit.Query { return audit.Query{Filters: filters, Limit: 1000} }
	tenant := audit.Is("tenant", "3")
	namespace := audit.Is("namespace", "ns")
	for _, c := range []struct {
		name  string
		q     audit.Query
		want  map[string]int // calls by index, "" is none: the directory, records by key
		found int
	}{
		{"everything", in(), map[string]int{"": 1, indexDispatched: 10}, 201},
		{"one scope", in(namespace, tenant), map[string]int{indexDispatched: 1}, 21},
		{"one tenant", in(tenant), map[string]int{"": 1, indexDispatched: 1}, 21},
		{"all tenants but some", in(audit.Not("tenant", "1", "2"), audit.Prefix("namespace", "n")), map[string]int{"": 1, indexDispatched: 8}, 161},
		{"another namespace", in(audit.Is("namespace", "other")), map[string]int{"": 1}, 0},
		{"an action", in(audit.Is("action_id", "act-2")), map[string]int{indexAction: 1}, 30},
		{"two actions of a tenant", in(audit.Is("action_id", "act-2", "act-6"), tenant), map[string]int{indexAction: 2}, 5},
		{"no action", in(audit.Is("action_id", ""), namespace, tenant), map[string]int{indexDispatched: 1}, 1},
		{"an id", in(audit.Is("id", recs[25].ID.String())), map[string]int{"": 2}, 1},
		{"an id in a scope", in(audit.Is("id", recs[25].ID.String()), namespace, tenant), map[string]int{"": 1}, 0},
		{"a place", in(audit.Is("sequence", "5"), namespace, tenant), map[string]int{indexSequence: 1}, 1},
		{"places", in(audit.Is("sequence", "5", "21")), map[string]int{"": 1, indexSequence: 20}, 11},
		{"outside a chain", in(audit.Is("sequence", "0"), namespace, tenant), map[string]int{indexDispatched: 1}, 0},
		{"anchors", in(audit.Is("kind", "prune"), namespace, tenant), map[string]int{indexAction: 1, "": 1}, 1},
		{"an empty window", audit.Query{From: start, To: start, Limit: 10}, map[string]int{"": 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, err := c.q.Validate()
			if err != nil {
				t.Fatal(err)
			}
			before := f.asked()
			page, err := s.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Records) != c.found {
				t.Errorf("%d records, want %d", len(page.Records), c.found)
			}
			for index, n := range f.asked() {
				if n -= before[index]; n != c.want[index] {
					t.Errorf("%d calls of index %q, want %d", n, index, c.want[index])
				}
			}
		})
	}
	// A count comes without records wherever DynamoDB can decide by itself.
	for _, c := range []struct {
		q     audit.Query
		exact bool
	}{
		{in(namespace, tenant), true},
		{in(namespace, tenant, audit.Is("actor", "actor-1")), true},
		{in(namespace, tenant, audit.Not("actor", "actor-1", ""), audit.Prefix("action", "thing")), true},
		{audit.Query{Filters: []audit.Filter{namespace, tenant}, From: start.Add(time.Microsecond), To: start.Add(5*time.Second + time.Microsecond)}, true},
		{in(namespace, tenant, audit.Is("metadata.env", "x")), false},
		{in(audit.Is("action_id", "act-1")), true},
		{in(audit.Is("action_id", "act-1"), tenant), false},
	} {
		q, err := c.q.Validate()
		if err != nil {
			t.Fatal(err)
		}
		sources, err := s.plan(t.Context(), q, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := sources[0].(*stream).exact; got != c.exact {
			t.Errorf("%+v: exact %v", c.q.Filters, got)
		}
		want := len(storetest.Answer(append(recs, anchor), q))
		if n, err := s.Count(t.Context(), q); err != nil || n != int64(want) {
			t.Errorf("%+v: %d, %v, want %d", c.q.Filters, n, err, want)
		}
	}
}

// A question without a scope goes to all of them, also where there are more than
// are asked at a time.
func TestManyScopes(t *testing.T) {
	s := open(t, newTable(t))
	var recs []*audit.Record
	for i := range 150 {
		recs = append(recs, events(audit.Scope{Namespace: fmt.Sprint(i % 3), Tenant: fmt.Sprint("tenant#", i)}, start, 2, nil)...)
	}
	if _, err := s.Append(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	for _, q := range []*audit.Query{{Limit: 7}, {Limit: 300, Order: audit.OldestFirst}, {Limit: 50, Filters: []audit.Filter{audit.Is("namespace", "1")}}} {
		page, err := s.Query(t.Context(), q)
		if err != nil || len(page.Records) < min(q.Limit, 100) {
			t.Fatalf("%d records, %v", len(page.Records), err)
		}
		if !slices.IsSortedFunc(page.Records, func(a, b *audit.Record) int {
			if q.Order == audit.NewestFirst {
				a, b = b, a
			}
			return a.Position().Compare(b.Position())
		}) {
			t.Error("out of order")
		}
	}
	if got := all(t, s); len(got) != len(recs) {
		t.Errorf("%d records, want %d", len(got), len(recs))
	}
	other := open(t, s.opt) // which has to read the directory
	if n, err := other.Count(t.Context(), &audit.Query{}); err != nil || n != int64(len(recs)) {
		t.Errorf("%d, %v", n, err)
	}
}
