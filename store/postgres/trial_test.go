package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// asking is what the statistics of a question are asked for.
type asking struct {
	units      []analytics.Unit
	dimensions []string
	columns    []string
	pairs      [][2]string
	limit      int
}

var everyAsking = asking{
	units:      []analytics.Unit{analytics.Minute, analytics.Hour, analytics.Day},
	dimensions: []string{"actor", "actor_email", "tool_name", "toolkit_kind", "tenant", "namespace", "outcome", "enriched", "persona", "action", "kind", "resource", "session_id"},
	columns:    []string{"actor", "tool_name", "tenant", "resource"},
	pairs:      [][2]string{{"actor", "actor_email"}, {"session_id", "tenant"}, {"namespace", "tool_name"}},
	limit:      analytics.MaxGroups,
}

// some gives one of each.
func (a asking) some(r *rand.Rand) asking {
	return asking{
		units:      []analytics.Unit{a.units[r.IntN(len(a.units))]},
		dimensions: []string{a.dimensions[r.IntN(len(a.dimensions))], a.dimensions[r.IntN(len(a.dimensions))]},
		columns:    []string{a.columns[r.IntN(len(a.columns))]},
		pairs:      [][2]string{a.pairs[r.IntN(len(a.pairs))]},
		limit:      1 + r.IntN(5),
	}
}

// answers asks every statistic of a question.
func answers(ctx context.Context, a analytics.Analyzer, q *audit.Query, what asking) (map[string]any, error) {
	out := map[string]any{}
	var failed []error
	add := func(name string) func(any, error) {
		return func(v any, err error) {
			out[name] = v
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	add("overview")(a.Overview(ctx, q))
	add("performance")(a.Performance(ctx, q))
	add("discovery")(a.Discovery(ctx, q, analytics.DefaultDiscoveryKinds()))
	add("discovery of other kinds")(a.Discovery(ctx, q, analytics.DiscoveryKinds{Discovery: []string{"s3", "trino"}, Query: []string{"datahub", "trino"}}))
	add("enrichment")(a.Enrichment(ctx, q))
	series := *q
	if series.From.IsZero() || series.To.IsZero() {
		series.From, series.To = storetest.CorpusStart.Add(-time.Microsecond), storetest.CorpusStart.Add(storetest.CorpusSpan)
	}
	for _, unit := range what.units {
		series := series
		if unit == analytics.Minute && series.To.Sub(series.From) > 100*time.Hour {
			series.To = series.From.Add(100 * time.Hour)
		} else if series.To.Sub(series.From) > 400*24*time.Hour {
			series.To = series.From.Add(400 * 24 * time.Hour)
		}
		add("series by " + string(unit))(a.Timeseries(ctx, &series, unit))
	}
	for _, dimension := range what.dimensions {
		add("by " + dimension)(a.Breakdown(ctx, q, dimension, what.limit))
	}
	for _, column := range what.columns {
		add("distinct " + column)(a.Distinct(ctx, q, column))
	}
	for _, pair := range what.pairs {
		add(fmt.Sprint("pairs ", pair))(a.DistinctPairs(ctx, q, pair[0], pair[1]))
	}
	return out, errors.Join(failed...)
}

// compareAnswers compares to the last bit, but for percentiles that say they are estimates.
func compareAnswers(got, want map[string]any) string {
	g, w := got["performance"].(*analytics.Performance), want["performance"].(*analytics.Performance)
	if g.PercentileError > 0 {
		for _, p := range [][2]float64{{g.P50MS, w.P50MS}, {g.P95MS, w.P95MS}, {g.P99MS, w.P99MS}} {
			if math.Abs(p[0]-p[1]) > (g.PercentileError+1e-9)*p[1] {
				return fmt.Sprintf("a percentile is %v, want %v", p[0], p[1])
			}
		}
		g.P50MS, g.P95MS, g.P99MS, g.PercentileError = w.P50MS, w.P95MS, w.P99MS, 0
	}
	return cmp.Diff(want, got)
}

// trial is a store, and the records that should be in it.
type trial struct {
	s    *Store
	c    stranger
	recs storetest.Records
}

func newTrial(t testing.TB) *trial {
	s := open(t, Options{RollupInterval: -1})
	s.rollups.exactCalls = -1
	s.unitRows, s.blockUnits = 1, 8 // many blocks, so that values are looked up block by block
	c := newStranger(t, s)
	// Nobody's session may change what a bucket or a bound is.
	c.must(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kolkata''', current_database()); END $$`)
	s.main.Reset()
	return &trial{s: s, c: c}
}

// remove deletes some of the records as retention does.
func (x *trial) remove(t testing.TB, keep func(*audit.Record) bool) {
	var ids []string
	var hours []time.Time
	x.recs = slices.DeleteFunc(x.recs, func(r *audit.Record) bool {
		if keep(r) {
			return false
		}
		ids, hours = append(ids, r.ID.String()), append(hours, r.OccurredAt.Truncate(time.Hour))
		return true
	})
	tx, err := x.c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if _, err := tx.Exec(t.Context(), x.s.sql(`DELETE FROM @records WHERE id = $1::text::uuid AND occurred_at >= $2 AND occurred_at < $2 + interval '1 hour'`), id, hours[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), x.s.sql(`INSERT INTO @stale(hour) VALUES($1)`), hours[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (x *trial) clear(t testing.TB) {
	x.recs = nil
	x.c.must(t, `DELETE FROM @records`)
	x.c.must(t, `DELETE FROM @stale`)
	x.c.must(t, `DELETE FROM @rollup_sums`)
}

// rapidT is what tests and property tests have in common.
type rapidT interface {
	Fatalf(format string, args ...any)
}

func (x *trial) check(t rapidT, q *audit.Query) { x.checkSome(t, q, everyAsking) }

func (x *trial) checkSome(t rapidT, q *audit.Query, what asking) {
	ctx := context.Background()
	got, err := answers(ctx, x.s, q, what)
	if err != nil {
		t.Fatalf("%s: %v", q.Params().Encode(), err)
	}
	want, err := answers(ctx, analytics.Stream(x.recs), q, what)
	if err != nil {
		t.Fatalf("the reference, %s: %v", q.Params().Encode(), err)
	}
	if d := compareAnswers(got, want); d != "" {
		t.Fatalf("%s (-reference +postgres):\n%s", q.Params().Encode(), d)
	}
}
