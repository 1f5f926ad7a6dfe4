package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// notCalls are records that no statistic counts.
func notCalls() []*audit.Record {
	return []*audit.Record{
		call(0, outcome(audit.Pending), tool("datahub", "search"), actor("intent", ""), took(time.Hour)),
		call(0, kind(audit.KindGap), tool("trino", "run"), actor("gap", "")),
		call(0, kind(audit.KindPrune), actor("prune", "")),
	}
}

func TestOverview(t *testing.T) {
	enriched := func(r *audit.Record) { r.Tool.Enrichment.Applied = true }
	got := must[*analytics.Overview](t)(over(append(notCalls(),
		call(0, took(10*time.Millisecond), actor("a", ""), tool("k", "x"), enriched),
		call(1, took(21*time.Millisecond), actor("a", "a@example.org"), tool("k", "y")),
		call(2, outcome(audit.Failure), actor("b", ""), tool("k", "y")),
		call(3, outcome(audit.Denied)),
	)...).Overview(context.Background(), &audit.Query{}))
	wantEqual(t, got, &analytics.Overview{
		Total: 4, SuccessRate: 0.5, ErrorCount: 2, AvgDurationMS: 15.5,
		UniqueActors: 2, UniqueTools: 2, EnrichmentRate: 0.25,
	})
}

func TestBreakdown(t *testing.T) {
	a := over(append(notCalls(),
		call(0, actor("u1", "b@example.org"), tool("", "x"), took(2*time.Millisecond)),
		call(1, actor("u1", ""), tool("", "x"), outcome(audit.Failure)),
		call(2, actor("u2", "b@example.org"), tool("", "y")),
		call(3, actor("a", ""), tool("", "é")),
		call(4, actor("", ""), tool("", "")),
	)...)
	ctx, q := context.Background(), &audit.Query{}
	for _, c := range []struct {
		dimension string
		limit     int
		want      []analytics.Group
	}{
		{"actor", 0, []analytics.Group{{"b@example.org", 2, 1, 2}, {"a", 1, 1, 0}, {"u1", 1, 0, 0}}},
		{"tool_name", 0, []analytics.Group{{"x", 2, 0.5, 2}, {"y", 1, 1, 0}, {"é", 1, 1, 0}}},
		{"tool_name", 1, []analytics.Group{{"x", 2, 0.5, 2}}},
		{"outcome", 0, []analytics.Group{{"success", 4, 1, 2}, {"failure", 1, 0, 0}}},
		{"enriched", 0, []analytics.Group{{"false", 5, 0.8, 2}}},
		{"persona", 0, []analytics.Group{}},
	} {
		wantEqual(t, must[[]analytics.Group](t)(a.Breakdown(ctx, q, c.dimension, c.limit)), c.want)
	}
}

func TestBreakdownTakesEveryTextAndFlagDimension(t *testing.T) {
	a := over(call(0))
	for _, f := range audit.Dimensions() {
		_, err := a.Breakdown(context.Background(), &audit.Query{}, f.Name, analytics.MaxGroups)
		if f.Kind == audit.Text || f.Kind == audit.Flag {
			if err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		} else {
			wantInvalid(t, err, "dimension")
		}
	}
}

func TestPerformance(t *testing.T) {
	size := func(request, response int64) func(*audit.Record) {
		return func(r *audit.Record) { r.Request.Bytes, r.Response.Bytes = request, response }
	}
	got := must[*analytics.Performance](t)(over(append(notCalls(),
		call(0, took(10*time.Millisecond), size(100, 0)),
		call(1, took(40*time.Millisecond), size(201, 7)),
		call(2, took(20*time.Millisecond)),
		call(3, took(30*time.Millisecond)),
		call(4),
	)...).Performance(context.Background(), &audit.Query{}))
	// Ranks 1.5, 2.85 and 2.97 of 10, 20, 30, 40.
	wantEqual(t, got, &analytics.Performance{
		P50MS: 25, P95MS: 38.5, P99MS: 39.7, AvgMS: 25, MaxMS: 40, AvgRequestBytes: 150.5, AvgResponseBytes: 7,
	})
}

func TestDiscovery(t *testing.T) {
	search, run := tool("datahub", "search"), tool("trino", "run")
	got := must[*analytics.Discovery](t)(over(append(notCalls(),
		// The same id in two tenants is two sessions: one looked first, one did not.
		call(0, search, inSession("t1", "s")), call(1000, run, inSession("t1", "s")),
		call(0, run, inSession("t2", "s")), call(1000, search, inSession("t2", "s")),
		// At the same instant is not before.
		call(5000, search, inSession("t1", "tie")), call(5000, run, inSession("t1", "tie")),
		call(0, run, inSession("t1", "query only")),
		call(0, search, inSession("t1", "discovery only")),
		call(0, tool("other", "x"), inSession("t1", "neither")),
		call(0, search, inSession("t1", "")), call(1000, run, inSession("t1", "")),
		// An intent before the query is no discovery call.
		call(0, search, outcome(audit.Pending), inSession("t1", "intent")), call(1000, run, inSession("t1", "intent")),
		call(0, tool("datahub", "lineage"), outcome(audit.Failure), took(time.Millisecond)),
		call(0, tool("datahub", "")),
	)...).Discovery(context.Background(), &audit.Query{}, analytics.DiscoveryKinds{}))
	wantEqual(t, got, &analytics.Discovery{
		TotalSessions: 6, DiscoverySessions: 4, QuerySessions: 5, Before: 1, Without: 4, Rate: 0.2,
		TopTools: []analytics.Group{{"search", 5, 1, 0}, {"lineage", 1, 0, 1}},
	})
}

func TestDiscoveryKinds(t *testing.T) {
	ctx, q := context.Background(), &audit.Query{}
	a := over(
		call(0, tool("a", "look"), inSession("t", "s")),
		call(1000, tool("b", "ask"), inSession("t", "s")),
		call(0, tool("both", "x"), inSession("t", "one call of both kinds")),
	)
	kinds := analytics.DiscoveryKinds{Discovery: []string{"both", "a"}, Query: []string{"both", "b"}}
	got := must[*analytics.Discovery](t)(a.Discovery(ctx, q, kinds))
	wantEqual(t, got, &analytics.Discovery{
		TotalSessions: 2, DiscoverySessions: 2, QuerySessions: 2, Before: 1, Without: 1, Rate: 0.5,
		TopTools: []analytics.Group{{"look", 1, 1, 0}, {"x", 1, 1, 0}},
	})

	// A condition on the kind narrows the question; it does not contradict it.
	filtered := &audit.Query{Filters: []audit.Filter{audit.Is("toolkit_kind", "b", "other")}}
	got = must[*analytics.Discovery](t)(a.Discovery(ctx, filtered, kinds))
	wantEqual(t, got, &analytics.Discovery{TotalSessions: 1, QuerySessions: 1, Without: 1, TopTools: []analytics.Group{}})
	filtered = &audit.Query{Filters: []audit.Filter{audit.Is("toolkit_kind", "other")}}
	got = must[*analytics.Discovery](t)(a.Discovery(ctx, filtered, kinds))
	wantEqual(t, got, &analytics.Discovery{TopTools: []analytics.Group{}})

	_, err := a.Discovery(ctx, q, analytics.DiscoveryKinds{Discovery: []string{"a", ""}})
	wantInvalid(t, err, "discovery")
	_, err = a.Discovery(ctx, q, analytics.DiscoveryKinds{Query: make([]string, 101)})
	wantInvalid(t, err, "query")
}

func TestDiscoveryGivesTenTools(t *testing.T) {
	var rs []*audit.Record
	for i := range 12 {
		rs = append(rs, call(0, tool("datahub", string(rune('a'+i)))))
	}
	rs = append(rs, call(0, tool("datahub", "l")))
	got := must[*analytics.Discovery](t)(over(rs...).Discovery(context.Background(), &audit.Query{}, analytics.DefaultDiscoveryKinds()))
	var names strings.Builder
	for _, g := range got.TopTools {
		names.WriteString(g.Value)
	}
	if names.String() != "labcdefghi" {
		t.Errorf("top tools are %q", names.String())
	}
}

func TestEnrichment(t *testing.T) {
	with := func(applied bool, mode string, full, dedup int64) func(*audit.Record) {
		return func(r *audit.Record) {
			r.Tool.Enrichment = audit.Enrichment{Applied: applied, Mode: mode, TokensFull: full, TokensDedup: dedup}
		}
	}
	got := must[*analytics.Enrichment](t)(over(append(notCalls(),
		call(0, with(true, "full", 100, 40), inSession("t1", "s")),
		call(1, with(true, "summary", 51, 60), inSession("t1", "s")),
		call(2, with(false, "none", 0, 0), inSession("t2", "s")),
		call(3, with(false, "", 0, 5)),
		call(4, with(true, "own", 0, 0)),
	)...).Enrichment(context.Background(), &audit.Query{}))
	wantEqual(t, got, &analytics.Enrichment{
		Calls: 5, Enriched: 3, Rate: 0.6,
		ByMode:     map[string]int64{"full": 1, "summary": 1, "reference": 0, "none": 2, "own": 1},
		TokensFull: 151, TokensDedup: 105, TokensSaved: 60,
		AvgTokensFull: 75.5, AvgTokensDedup: 35, UniqueSessions: 2,
	})
}

func TestHugeNumbersDoNotOverflow(t *testing.T) {
	huge := func(r *audit.Record) {
		r.Request.Bytes, r.Response.Bytes = math.MaxInt64, math.MaxInt64
		r.Tool.Enrichment.TokensFull = math.MaxInt64
		r.Duration = audit.MaxDuration
	}
	rs := make([]*audit.Record, 5000) // the sum of their durations passes 2^63 microseconds
	for i := range rs {
		rs[i] = call(0, huge)
	}
	ctx, q := context.Background(), &audit.Query{}
	p := must[*analytics.Performance](t)(over(rs...).Performance(ctx, q))
	ms := audit.MaxDuration.Seconds() * 1000
	wantEqual(t, p, &analytics.Performance{P50MS: ms, P95MS: ms, P99MS: ms, AvgMS: ms, MaxMS: ms, AvgRequestBytes: 1 << 63, AvgResponseBytes: 1 << 63})
	e := must[*analytics.Enrichment](t)(over(rs...).Enrichment(ctx, q))
	if e.TokensFull != math.MaxInt64 || e.TokensSaved != math.MaxInt64 || e.AvgTokensFull != 1<<63 {
		t.Errorf("got %+v", e)
	}
}

// all asks everything and gives the answers as JSON.
func all(t *testing.T, a analytics.Analyzer, q *audit.Query) string {
	t.Helper()
	ctx := context.Background()
	var parts []any
	add := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, v)
	}
	add(a.Overview(ctx, q))
	add(a.Timeseries(ctx, q, analytics.Hour))
	add(a.Breakdown(ctx, q, "actor", 0))
	add(a.Performance(ctx, q))
	add(a.Discovery(ctx, q, analytics.DiscoveryKinds{}))
	add(a.Enrichment(ctx, q))
	b, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNoRowsAndQuestionsThatNoCallMeets(t *testing.T) {
	window := func(f ...audit.Filter) *audit.Query {
		return &audit.Query{From: noon, To: noon.Add(time.Hour), Filters: f}
	}
	const want = `[{"total":0,"success_rate":0,"error_count":0,"avg_duration_ms":0,"unique_actors":0,"unique_tools":0,"enrichment_rate":0},` +
		`[{"start":"2026-03-04T12:00:00Z","count":0,"success_count":0,"error_count":0,"avg_duration_ms":0}],` +
		`[],` +
		`{"p50_ms":0,"p95_ms":0,"p99_ms":0,"avg_ms":0,"max_ms":0,"avg_request_bytes":0,"avg_response_bytes":0},` +
		`{"total_sessions":0,"discovery_sessions":0,"query_sessions":0,"before":0,"without":0,"rate":0,"top_tools":[]},` +
		`{"calls":0,"enriched":0,"rate":0,"by_mode":{"full":0,"none":0,"reference":0,"summary":0},"tokens_full":0,"tokens_dedup":0,"tokens_saved":0,"avg_tokens_full":0,"avg_tokens_dedup":0,"unique_sessions":0}]`
	if got := all(t, over(), window()); got != want {
		t.Errorf("no rows: got %s", got)
	}
	rows := append(notCalls(), call(0, tool("trino", "run"), inSession("t", "s"), took(1)))
	for name, q := range map[string]*audit.Query{
		"intents":           window(audit.Is("outcome", "pending")),
		"gaps":              window(audit.Is("kind", "gap", "prune")),
		"no events":         window(audit.Not("kind", "event")),
		"intents by prefix": window(audit.Prefix("outcome", "pend")),
		"open":              {From: noon, To: noon.Add(time.Hour), Open: true},
	} {
		if got := all(t, over(rows...), q); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestOrderLimitAndAfterDoNotApply(t *testing.T) {
	rs := []*audit.Record{call(0, actor("a", "")), call(1000, actor("b", "")), call(2000, actor("c", ""))}
	plain := &audit.Query{From: noon, To: noon.Add(time.Hour)}
	paged := *plain
	paged.Order, paged.Limit, paged.After = audit.OldestFirst, 1, rs[1].Position()
	if got, want := all(t, over(rs...), &paged), all(t, over(rs...), plain); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if paged.Limit != 1 || paged.After != rs[1].Position() || len(paged.Filters) != 0 {
		t.Error("the caller's question was changed")
	}
}

type failing struct{ err error }

func (f failing) Scan(context.Context, *audit.Query, func(*audit.Record) error) error { return f.err }

func TestErrors(t *testing.T) {
	ctx, q := context.Background(), &audit.Query{From: noon, To: noon.Add(time.Hour)}
	each := func(a analytics.Analyzer, q *audit.Query) []error {
		var errs []error
		add := func(_ any, err error) { errs = append(errs, err) }
		add(a.Overview(ctx, q))
		add(a.Timeseries(ctx, q, analytics.Day))
		add(a.Breakdown(ctx, q, "tenant", 1))
		add(a.Performance(ctx, q))
		add(a.Discovery(ctx, q, analytics.DiscoveryKinds{}))
		add(a.Enrichment(ctx, q))
		add(a.Distinct(ctx, q, "tenant"))
		add(a.DistinctPairs(ctx, q, "actor", "actor_name"))
		return errs
	}
	broken := audit.Unavailable("the disk is gone", nil)
	for i, err := range each(analytics.Stream(failing{broken}), q) {
		if !errors.Is(err, broken) {
			t.Errorf("method %d: got %v", i, err)
		}
	}
	// A wrong question is wrong also where no call could meet it.
	bad := *q
	bad.Open, bad.Filters = true, []audit.Filter{audit.Is("colour", "red")}
	for _, err := range each(over(), &bad) {
		wantInvalid(t, err, "colour")
	}

	a := over(call(0))
	_, err := a.Breakdown(ctx, q, "colour", 0)
	wantInvalid(t, err, "dimension")
	_, err = a.Breakdown(ctx, q, "error", 0)
	wantInvalid(t, err, "dimension")
	_, err = a.Breakdown(ctx, q, "actor", -1)
	wantInvalid(t, err, "limit")
	_, err = a.Breakdown(ctx, q, "actor", analytics.MaxGroups+1)
	wantInvalid(t, err, "limit")
	_, err = a.Distinct(ctx, q, "enriched")
	wantInvalid(t, err, "column")
	_, err = a.DistinctPairs(ctx, q, "sequence", "actor")
	wantInvalid(t, err, "a")
	_, err = a.DistinctPairs(ctx, q, "actor", "")
	wantInvalid(t, err, "b")
}
