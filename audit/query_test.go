package audit

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ptr(n int64) *int64 { return &n }

func TestValidateRefuses(t *testing.T) {
	many := make([]string, MaxValues+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, tc := range []struct {
		field string
		q     Query
	}{
		{"limit", Query{Limit: -1}},
		{"limit", Query{Limit: MaxLimit + 1}},
		{"order", Query{Order: 2}},
		{"to", Query{From: fixedNow, To: fixedNow.Add(-1)}},
		{"from", Query{From: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"from", Query{From: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"to", Query{To: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)}},
		{"q", Query{Text: " ... "}},
		{"filter", Query{Filters: make([]Filter, MaxFilters+1)}},
		{"colour", Query{Filters: []Filter{Is("colour", "red")}}},
		{"payload", Query{Filters: []Filter{Is("payload", "1")}}},
		{"error", Query{Filters: []Filter{Is("error", "x")}}},
		{"occurred_at", Query{Filters: []Filter{{Field: "occurred_at", Op: OpRange, Min: ptr(1)}}}},
		{"actor", Query{Filters: []Filter{{Field: "actor", Op: OpRange, Min: ptr(1)}}}},
		{"actor", Query{Filters: []Filter{{Field: "actor", Op: OpIs | OpNot, Values: []string{"a"}}}}},
		{"actor", Query{Filters: []Filter{{Field: "actor", Values: []string{"a"}}}}},
		{"actor", Query{Filters: []Filter{Is("actor")}}},
		{"actor", Query{Filters: []Filter{Prefix("actor", "a", "")}}},
		{"actor", Query{Filters: []Filter{Prefix("actor", "a"), Prefix("actor", "b")}}},
		{"actor", Query{Filters: []Filter{Is("actor", "a"), Is("actor", "b")}}},
		{"actor", Query{Filters: []Filter{Is("actor", many...)}}},
		{"actor", Query{Filters: []Filter{Not("actor", many[1:]...), Not("actor", "x")}}},
		{"actor", Query{Filters: []Filter{Prefix("actor", strings.Repeat("x", limitLong+1))}}},
		{"tenant", Query{Filters: []Filter{Is("tenant", "a\x00")}}},
		{"tenant", Query{Filters: []Filter{Is("tenant", strings.Repeat("x", limitScope+1))}}},
		{"namespace", Query{Filters: []Filter{Prefix("namespace", "\xff")}}},
		{"enriched", Query{Filters: []Filter{Is("enriched", "1")}}},
		{"enriched", Query{Filters: []Filter{Prefix("enriched", "t")}}},
		{"request_bytes", Query{Filters: []Filter{Is("request_bytes", "-1")}}},
		{"request_bytes", Query{Filters: []Filter{Is("request_bytes", "1.5")}}},
		{"request_bytes", Query{Filters: []Filter{{Field: "request_bytes", Op: OpRange}}}},
		{"recorded_at", Query{Filters: []Filter{{Field: "recorded_at", Op: OpRange, Max: ptr(math.MaxInt64)}}}},
		{"recorded_at", Query{Filters: []Filter{{Field: "recorded_at", Op: OpRange, Min: ptr(math.MinInt64)}}}},
		{"recorded_at", Query{Filters: []Filter{Is("recorded_at", "2026-01-01")}}},
		{"id", Query{Filters: []Filter{Is("id", "")}}},
		{"id", Query{Filters: []Filter{Is("id", "a\x00")}}},
		{"metadata.", Query{Filters: []Filter{Is("metadata.", "x")}}},
		{"metadata.k", Query{Filters: []Filter{{Field: "metadata.k", Op: OpRange, Min: ptr(1)}}}},
		{"metadata.k", Query{Filters: []Filter{Is("metadata.k")}}},
		{clip("metadata." + strings.Repeat("k", MaxMetadataKey+1)), Query{Filters: []Filter{Is("metadata."+strings.Repeat("k", MaxMetadataKey+1), "x")}}},
	} {
		_, err := tc.q.Validate()
		if err == nil {
			t.Errorf("%s: %v is accepted", tc.field, tc.q)
			continue
		}
		wantInvalid(t, err, tc.field)
	}
}

func TestValidateBringsIntoOneForm(t *testing.T) {
	values := []string{"b", "a", "b"}
	in := Query{
		Filters: []Filter{
			Not("tenant", "x"), Is("actor", values...), {Field: "duration_ms", Op: OpRange, Min: ptr(5)}, Is("metadata.k", "z"), Not("tenant", "w"),
			{Field: "duration_ms", Op: OpRange, Min: ptr(3), Max: ptr(9)}, Is("actor", "b", "c"), Is("request_bytes", "007"), Is("id", "abc"),
			Is("user_agent", "a\x00b\xff\xfe"), Is("correlation_id", strings.Repeat("c", 300)), Prefix("action", "a\x00"), Is("metadata.\x00", "\xff"),
		},
		From: fixedNow, To: fixedNow.Add(time.Hour).Truncate(time.Microsecond),
	}
	got, err := in.Validate()
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := IDFrom("abc")
	want := &Query{
		Filters: []Filter{
			Prefix("action", "a\ufffd"), Is("actor", "b"), Is("correlation_id", cut(strings.Repeat("c", 300), limitName)),
			{Field: "duration_ms", Op: OpRange, Min: ptr(5), Max: ptr(9)}, Is("id", id.String()), Is("metadata.k", "z"), Is("metadata.\ufffd", "\ufffd"),
			Is("request_bytes", "7"), Not("tenant", "w", "x"), Is("user_agent", "a\ufffdb\ufffd"),
		},
		From: fixedNow.Truncate(time.Microsecond).Add(time.Microsecond), To: in.To, Limit: DefaultLimit,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(values, []string{"b", "a", "b"}) || in.Limit != 0 || in.Filters[0].Field != "tenant" {
		t.Error("Validate changed the question it was given")
	}
}

// A long or broken text is found by what the sender knows of it.
func TestValuesAreMendedLikeRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genText().Draw(t, "value")
		r := &Record{Event: Event{Action: "a", Request: Request{CorrelationID: s}}}
		if err := Normalize(r, fixedNow); err != nil {
			t.Fatalf("%v", err)
		}
		q, err := (&Query{Filters: []Filter{Is("correlation_id", s)}}).Validate()
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !q.Match(r) {
			t.Fatalf("%q is not found by %q", r.Request.CorrelationID, s)
		}
	})
}

func TestMatch(t *testing.T) {
	r := &Record{Event: Event{
		ID: ID{15: 1}, Tenant: "acme", Action: "tool.create", ActionID: "d1", Outcome: Pending, OccurredAt: fixedNow.Truncate(time.Microsecond),
		Duration: 1500 * time.Microsecond, Request: Request{Bytes: 10}, Metadata: json.RawMessage(`{"env":"prod","n":1.5,"z":null}`),
	}}
	at := r.OccurredAt
	for _, tc := range []struct {
		name string
		q    Query
		want bool
	}{
		{"nothing asked", Query{}, true},
		{"from is inclusive", Query{From: at}, true},
		{"from", Query{From: at.Add(time.Microsecond)}, false},
		{"to is exclusive", Query{To: at}, false},
		{"to", Query{To: at.Add(time.Microsecond)}, true},
		{"is", Query{Filters: []Filter{Is("tenant", "x", "acme")}}, true},
		{"is not", Query{Filters: []Filter{Is("tenant", "x", "ACME")}}, false},
		{"not", Query{Filters: []Filter{Not("tenant", "acme", "x")}}, false},
		{"not another", Query{Filters: []Filter{Not("tenant", "x")}}, true},
		{"absent is empty", Query{Filters: []Filter{Is("actor", "")}}, true},
		{"absent passes a negation", Query{Filters: []Filter{Not("actor", "x")}}, true},
		{"absent and not empty", Query{Filters: []Filter{Not("actor", "")}}, false},
		{"prefix", Query{Filters: []Filter{Prefix("action", "x", "tool.")}}, true},
		{"another prefix", Query{Filters: []Filter{Prefix("action", "ool")}}, false},
		{"range, inclusive", Query{Filters: []Filter{{Field: "duration_ms", Op: OpRange, Min: ptr(1500), Max: ptr(1500)}}}, true},
		{"range, above", Query{Filters: []Filter{{Field: "duration_ms", Op: OpRange, Min: ptr(1501)}}}, false},
		{"range, below", Query{Filters: []Filter{{Field: "duration_ms", Op: OpRange, Max: ptr(1499)}}}, false},
		{"an absent number is 0", Query{Filters: []Filter{{Field: "response_bytes", Op: OpRange, Max: ptr(0)}}}, true},
		{"an absent time is in no range", Query{Filters: []Filter{{Field: "expires_at", Op: OpRange, Max: ptr(1)}}}, false},
		{"a number", Query{Filters: []Filter{Is("request_bytes", "10")}}, true},
		{"a flag", Query{Filters: []Filter{Is("enriched", "false")}}, true},
		{"an id", Query{Filters: []Filter{Is("id", "00000000-0000-0000-0000-000000000001")}}, true},
		{"metadata", Query{Filters: []Filter{Is("metadata.env", "prod"), Is("metadata.n", "1.5")}}, true},
		{"metadata by prefix", Query{Filters: []Filter{Prefix("metadata.env", "pr")}}, true},
		{"other metadata", Query{Filters: []Filter{Is("metadata.env", "dev")}}, false},
		{"absent metadata", Query{Filters: []Filter{Is("metadata.none", ""), Is("metadata.z", ""), Not("metadata.none", "x")}}, true},
		{"an intent", Query{Open: true}, true},
		{"text", Query{Text: "create prod"}, true},
		{"other text", Query{Text: "create dev"}, false},
		{"all conditions", Query{Filters: []Filter{Is("tenant", "acme"), Is("action", "x")}}, false},
		{"an unknown field", Query{Filters: []Filter{Is("colour", "")}}, false},
	} {
		if got := tc.q.Match(r); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	for _, other := range []*Record{{Event: Event{Outcome: Success, ActionID: "d"}}, {Event: Event{Outcome: Pending}}} {
		if (&Query{Open: true}).Match(other) {
			t.Errorf("%v is no open intent", other.Event)
		}
	}
}

// genQuery makes a question that Validate accepts.
func genQuery() *rapid.Generator[*Query] {
	return rapid.Custom(func(t *rapid.T) *Query {
		q := &Query{
			Open: rapid.Bool().Draw(t, "open"), Order: rapid.SampledFrom([]Order{NewestFirst, OldestFirst}).Draw(t, "order"),
			Limit: rapid.IntRange(0, MaxLimit).Draw(t, "limit"), Text: rapid.SampledFrom([]string{"", "a b*", "é & =?"}).Draw(t, "text"),
		}
		if rapid.Bool().Draw(t, "from set") {
			q.From = time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "from"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
			if rapid.Bool().Draw(t, "to set") {
				q.To = q.From.Add(time.Duration(rapid.Int64Min(0).Draw(t, "to")))
			}
		}
		for range rapid.IntRange(0, 5).Draw(t, "filters") {
			q.Filters = append(q.Filters, genFilter().Draw(t, "filter"))
		}
		v, err := q.Validate()
		if err != nil {
			t.Skip(err) // two conditions that contradict each other
		}
		return v
	})
}

func genFilter() *rapid.Generator[Filter] {
	return rapid.Custom(func(t *rapid.T) Filter {
		if rapid.Bool().Draw(t, "metadata") {
			return Filter{
				Field:  MetadataPrefix + rapid.SampledFrom([]string{"k", "k.not", "k.is", "k.prefix", "k.min", "k.max.is", ".is", "é &=", "limit", "\x00"}).Draw(t, "key"),
				Op:     rapid.SampledFrom([]Ops{OpIs, OpNot, OpPrefix}).Draw(t, "op"),
				Values: rapid.SliceOfN(rapid.SampledFrom([]string{"v", "a=b&c", "é", "\xff", " "}), 1, 3).Draw(t, "values"),
			}
		}
		d := rapid.SampledFrom(Dimensions()).Draw(t, "dimension")
		var ops []Ops
		for _, op := range []Ops{OpIs, OpNot, OpPrefix, OpRange} {
			if d.Ops&op != 0 {
				ops = append(ops, op)
			}
		}
		f := Filter{Field: d.Name, Op: rapid.SampledFrom(ops).Draw(t, "op")}
		if f.Op == OpRange {
			bound := rapid.Ptr(rapid.Int64(), true)
			if d.Kind == Instant {
				bound = rapid.Ptr(rapid.Int64Range(-1e15, 2e17), true)
			}
			if f.Min, f.Max = bound.Draw(t, "min"), bound.Draw(t, "max"); f.Min == nil && f.Max == nil {
				f.Min = ptr(1)
			}
			return f
		}
		value := rapid.SampledFrom([]string{"a", "b ", "é", "x=y&z", "c.not", "+", "%", "true"})
		switch d.Kind {
		case Flag:
			value = rapid.SampledFrom([]string{"true", "false"})
		case Number:
			value = rapid.Map(rapid.Int64Min(0), func(n int64) string { return fmt.Sprint(n) })
		}
		f.Values = rapid.SliceOfN(value, 1, 3).Draw(t, "values")
		return f
	})
}

func TestValidateTwiceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuery().Draw(t, "q")
		again, err := q.Validate()
		if err != nil {
			t.Fatalf("%v", err)
		}
		if diff := cmp.Diff(q, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A question that was found valid is valid, also at the ends of time.
func TestValidAgain(t *testing.T) {
	end := time.Date(MaxYear, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	for _, to := range []time.Time{end, end.Add(-time.Nanosecond), end.Add(-999 * time.Nanosecond), end.Add(-time.Microsecond)} {
		q, err := (&Query{To: to}).Validate()
		if err != nil {
			t.Fatalf("%v: %v", to, err)
		}
		again, err := q.Validate()
		if err != nil || !again.To.Equal(q.To) || q.To.Before(to) || q.To.After(end) {
			t.Errorf("%v became %v, and then %v, %v", to, q.To, again, err)
		}
	}
	if q, err := (&Query{To: end.Add(time.Nanosecond)}).Validate(); err == nil {
		t.Errorf("got %v", q.To)
	}
}
