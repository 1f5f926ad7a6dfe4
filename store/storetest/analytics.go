package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// Records is a slice as an audit.Scanner, the plainest there is.
type Records []*audit.Record

// Scan implements audit.Scanner by [Answer].
func (recs Records) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	for _, r := range Answer(recs, q) {
		if err := ctx.Err(); err != nil {
			return audit.Unavailable("the walk was given up", err)
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// testAnalytics compares the engine's own statistics with the streaming
// reference, for random questions.
func testAnalytics(t *testing.T, h *Harness) {
	s := h.open(t)
	native := capability[analytics.Analyzer](t, s)
	recs := Corpus(131, 500)
	h.store(t, s, CloneAll(recs))
	reference := analytics.Stream(Records(recs))

	nothing := valid(t, audit.Query{Filters: []audit.Filter{audit.Is("actor", "nobody at all")}})
	for _, q := range []*audit.Query{valid(t, audit.Query{}), nothing, valid(t, audit.Query{Filters: []audit.Filter{audit.Is("outcome", "pending")}})} {
		sameStatistics(t, native, reference, q)
	}
	r := NewRand(132)
	for range Rounds(40) {
		q := RandomQuery(r, recs...)
		if q.Text != "" && !s.Capabilities().Text {
			q.Text = ""
		}
		sameStatistics(t, native, reference, q)
	}
	t.Run("bad arguments", func(t *testing.T) { testBadStatistics(t, native, reference) })
}

// sameStatistics compares every statistic of one question.
func sameStatistics(t *testing.T, native, reference analytics.Analyzer, q *audit.Query) {
	t.Helper()
	ctx := t.Context()
	compare := func(what string, ask func(analytics.Analyzer) (any, error)) {
		t.Helper()
		got, err := ask(native)
		want, wantErr := ask(reference)
		if audit.CodeOf(err) != audit.CodeOf(wantErr) {
			t.Errorf("%s %s: got error %v, want %v", what, show(q), err, wantErr)
		} else if d := diffJSON("", tree(t, want), tree(t, got)); d != "" {
			t.Errorf("%s %s: %s", what, show(q), d)
		}
	}
	compare("Overview", func(a analytics.Analyzer) (any, error) { return a.Overview(ctx, q) })
	compare("Performance", func(a analytics.Analyzer) (any, error) { return a.Performance(ctx, q) })
	compare("Enrichment", func(a analytics.Analyzer) (any, error) { return a.Enrichment(ctx, q) })
	compare("Discovery", func(a analytics.Analyzer) (any, error) {
		return a.Discovery(ctx, q, analytics.DefaultDiscoveryKinds())
	})
	compare("Discovery with other kinds", func(a analytics.Analyzer) (any, error) {
		return a.Discovery(ctx, q, analytics.DiscoveryKinds{Discovery: []string{"s3", "none"}, Query: []string{"trino", "datahub"}})
	})
	window := *q
	window.From, window.To = CorpusStart.Add(90*time.Minute+time.Microsecond), CorpusStart.Add(CorpusSpan-7*time.Minute)
	for unit, to := range map[analytics.Unit]time.Time{
		analytics.Minute: window.From.Add(9 * time.Hour), analytics.Hour: window.To, analytics.Day: CorpusStart.Add(3 * CorpusSpan),
	} {
		window := window
		window.To = to
		compare("Timeseries by "+string(unit), func(a analytics.Analyzer) (any, error) { return a.Timeseries(ctx, &window, unit) })
	}
	for _, f := range audit.Dimensions() {
		if f.Ops&audit.OpIs == 0 || f.Kind != audit.Text && f.Kind != audit.Flag {
			continue
		}
		for _, limit := range []int{3, analytics.MaxGroups} {
			compare(fmt.Sprintf("Breakdown by %s, %d", f.Name, limit), func(a analytics.Analyzer) (any, error) {
				return a.Breakdown(ctx, q, f.Name, limit)
			})
		}
	}
	for _, column := range []string{"actor", "tool_name", "tenant", "resource", "action_id"} {
		compare("Distinct "+column, func(a analytics.Analyzer) (any, error) { return a.Distinct(ctx, q, column) })
	}
	for _, pair := range [][2]string{{"actor", "actor_email"}, {"action", "tool_name"}, {"session_id", "actor"}, {"tool_name", "tool_name"}} {
		compare(fmt.Sprint("DistinctPairs ", pair), func(a analytics.Analyzer) (any, error) { return a.DistinctPairs(ctx, q, pair[0], pair[1]) })
	}
}

func testBadStatistics(t *testing.T, native, reference analytics.Analyzer) {
	ctx := t.Context()
	q := valid(t, audit.Query{})
	long := valid(t, audit.Query{From: CorpusStart, To: CorpusStart.AddDate(10, 0, 0)})
	for name, ask := range map[string]func(analytics.Analyzer) error{
		"a series without a window": func(a analytics.Analyzer) error { _, err := a.Timeseries(ctx, q, analytics.Hour); return err },
		"too many buckets":          func(a analytics.Analyzer) error { _, err := a.Timeseries(ctx, long, analytics.Minute); return err },
		"an unknown unit":           func(a analytics.Analyzer) error { _, err := a.Timeseries(ctx, long, "week"); return err },
		"an unknown dimension":      func(a analytics.Analyzer) error { _, err := a.Breakdown(ctx, q, "shoe_size", 10); return err },
		"hostile dimension": func(a analytics.Analyzer) error {
			_, err := a.Breakdown(ctx, q, `action"; DROP TABLE records; --`, 10)
			return err
		},
		"a negative limit": func(a analytics.Analyzer) error { _, err := a.Breakdown(ctx, q, "action", -1); return err },
		"a limit too high": func(a analytics.Analyzer) error {
			_, err := a.Breakdown(ctx, q, "action", analytics.MaxGroups+1)
			return err
		},
		"an unknown column":   func(a analytics.Analyzer) error { _, err := a.Distinct(ctx, q, "shoe_size"); return err },
		"an unknown pair":     func(a analytics.Analyzer) error { _, err := a.DistinctPairs(ctx, q, "actor", "shoe_size"); return err },
		"a document's column": func(a analytics.Analyzer) error { _, err := a.Distinct(ctx, q, "payload"); return err },
	} {
		got, want := audit.CodeOf(ask(native)), audit.CodeOf(ask(reference))
		if got != want || got == "" {
			t.Errorf("%s: got the error code %q, want %q", name, got, want)
		}
	}
}

// tree gives the value as JSON would have it.
func tree(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// diffJSON says where two JSON values differ. Numbers may differ in the last
// of their digits, as sums of fractions depend on the order of the terms.
func diffJSON(at string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(w) != len(g) {
			return fmt.Sprintf("%s: want %v, got %v", at, want, got)
		}
		for k := range w {
			if d := diffJSON(at+"."+k, w[k], g[k]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) != len(g) {
			return fmt.Sprintf("%s: want %v, got %v", at, want, got)
		}
		for i := range w {
			if d := diffJSON(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); d != "" {
				return d
			}
		}
		return ""
	case float64:
		if g, ok := got.(float64); ok && math.Abs(w-g) <= 1e-9*max(1, math.Abs(w), math.Abs(g)) {
			return ""
		}
	default:
		if want == got {
			return ""
		}
	}
	return fmt.Sprintf("%s: want %v, got %v", at, want, got)
}
