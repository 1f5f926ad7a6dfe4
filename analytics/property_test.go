package analytics_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

func TestStreamAgreesWithLoops(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		rs, q := genRecords.Draw(t, "corpus"), genQuery.Draw(t, "query")
		unit := rapid.SampledFrom([]analytics.Unit{analytics.Minute, analytics.Hour, analytics.Day}).Draw(t, "unit")
		dimension := rapid.SampledFrom([]string{"actor", "tenant", "outcome", "enriched", "enrichment_mode", "toolkit_kind"}).Draw(t, "dimension")
		limit := rapid.IntRange(1, 5).Draw(t, "groups")
		ask := func(a analytics.Analyzer) map[string]any {
			answers := map[string]any{}
			add := func(name string) func(any, error) {
				return func(v any, err error) {
					if err != nil {
						t.Fatalf("%s for %s: %v", name, describe(q), err)
					}
					answers[name] = v
				}
			}
			add("overview")(a.Overview(ctx, q))
			add("timeseries")(a.Timeseries(ctx, q, unit))
			add("breakdown")(a.Breakdown(ctx, q, dimension, limit))
			add("performance")(a.Performance(ctx, q))
			add("discovery")(a.Discovery(ctx, q, analytics.DefaultDiscoveryKinds()))
			add("enrichment")(a.Enrichment(ctx, q))
			add("distinct")(a.Distinct(ctx, q, "actor"))
			add("pairs")(a.DistinctPairs(ctx, q, "actor", "actor_email"))
			return answers
		}
		if d := cmp.Diff(ask(naive{rs}), ask(analytics.Stream(rs))); d != "" {
			t.Fatalf("%s (-loops +stream):\n%s", describe(q), d)
		}
	})
}

func TestCallsKeepsCallsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs, q := genRecords.Draw(t, "corpus"), genQuery.Draw(t, "query")
		calls, ok, err := analytics.Calls(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			want := q.Match(r) && r.Kind == audit.KindEvent && r.Outcome != audit.Pending
			if got := ok && calls.Match(r); got != want {
				t.Fatalf("%s: selects %v is %v, want %v", describe(q), r, got, want)
			}
		}
		if !ok {
			return
		}
		again, err := calls.Validate()
		if d := cmp.Diff(calls, again); err != nil || d != "" {
			t.Fatalf("%s is not canonical: %v %s", describe(calls), err, d)
		}
	})
}

func TestCallsNarrowsConditions(t *testing.T) {
	kindIs, notPending := audit.Is("kind", "event"), audit.Not("outcome", "pending")
	for name, c := range map[string]struct {
		asked []audit.Filter
		want  []audit.Filter // nil: no call can meet it
	}{
		"nothing asked":    {nil, []audit.Filter{kindIs, notPending}},
		"any of":           {[]audit.Filter{audit.Is("outcome", "pending", "denied")}, []audit.Filter{kindIs, audit.Is("outcome", "denied")}},
		"failures":         {[]audit.Filter{audit.Is("outcome", "failure", "denied")}, []audit.Filter{kindIs, audit.Is("outcome", "denied", "failure")}},
		"none of":          {[]audit.Filter{audit.Not("outcome", "success", "denied")}, []audit.Filter{kindIs, audit.Not("outcome", "denied", "pending", "success")}},
		"not intents":      {[]audit.Filter{notPending}, []audit.Filter{kindIs, notPending}},
		"any kind":         {[]audit.Filter{audit.Is("kind", "gap", "event")}, []audit.Filter{kindIs, notPending}},
		"other dimensions": {[]audit.Filter{audit.Is("tenant", "t"), audit.Is("actor", "a")}, []audit.Filter{audit.Is("actor", "a"), kindIs, notPending, audit.Is("tenant", "t")}},
		"intents":          {[]audit.Filter{audit.Is("outcome", "pending")}, nil},
		"gaps":             {[]audit.Filter{audit.Is("kind", "gap")}, nil},
	} {
		q := &audit.Query{Filters: c.asked, Limit: 7}
		calls, ok, err := analytics.Calls(q)
		if err != nil || ok != (c.want != nil) {
			t.Errorf("%s: ok is %v, error %v", name, ok, err)
			continue
		}
		if ok {
			wantEqual(t, calls.Filters, c.want)
		}
	}
	if _, ok, err := analytics.Calls(&audit.Query{Open: true}); ok || err != nil {
		t.Errorf("open intents: ok is %v, error %v", ok, err)
	}
}
