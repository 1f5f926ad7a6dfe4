package postgres

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
)

// benchSums makes the sums of the tables of [benchTables], which were filled
// without those rows that say so, unless they are there. The newest hour stays
// stale, as it is where records arrive.
func benchSums(b *testing.B, s *Store) {
	b.Helper()
	c := newStranger(b, s)
	// Other benchmarks leave sums of hours of their own.
	if c.number(b, `SELECT coalesce(sum(calls), 0)::bigint FROM @rollup_sums WHERE whole AND hours = 24`) < int64(benchRecords(b)/2) {
		c.must(b, `INSERT INTO @stale(hour) SELECT DISTINCT date_bin('1 hour', occurred_at, '2000-01-01 00:00:00+00') FROM @records`)
		start := time.Now()
		if err := s.Rollup(b.Context()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		c.must(b, `VACUUM (ANALYZE) @stale, @rollup_sums`)
		n := c.number(b, `SELECT sum(calls)::bigint FROM @rollup_sums WHERE whole AND hours = 24`)
		fmt.Fprintf(os.Stderr, "sums of %d calls in %v, %d bytes a call\n", n, took.Round(time.Second), c.number(b, `SELECT pg_total_relation_size(to_regclass('@rollup_sums'))`)/max(n, 1))
	}
	c.must(b, `INSERT INTO @stale(hour, noted_at) SELECT date_bin('1 hour', max(occurred_at), '2000-01-01 00:00:00+00'), now() + interval '1 hour' FROM @records`)
}

// BenchmarkStatistics asks each statistic of windows that begin and end within
// an hour; use -benchtime=1x.
func BenchmarkStatistics(b *testing.B) {
	s := benchTables(b)
	benchSums(b, s)
	end := benchdata.Start.Add(benchSpan - 29*time.Minute)
	tenant := []audit.Filter{audit.Is("tenant", "tenant-3")}
	for _, window := range []struct {
		name  string
		q     audit.Query
		limit float64 // of a p95, in milliseconds
	}{
		{"24h", audit.Query{From: end.Add(-24 * time.Hour), To: end}, 60},
		{"90d", audit.Query{From: benchdata.Start.Add(13 * time.Minute), To: end}, 150},
		{"24h/tenant", audit.Query{From: end.Add(-24 * time.Hour), To: end, Filters: tenant}, 60},
		{"90d/tenant", audit.Query{From: benchdata.Start.Add(13 * time.Minute), To: end, Filters: tenant}, 150},
	} {
		q := &window.q
		statistics := []struct {
			name string
			ask  func(ctx context.Context) error
		}{
			{"overview", func(ctx context.Context) error { _, err := s.Overview(ctx, q); return err }},
			{"series-by-hour", func(ctx context.Context) error { _, err := s.Timeseries(ctx, q, analytics.Hour); return err }},
			{"series-by-day", func(ctx context.Context) error { _, err := s.Timeseries(ctx, q, analytics.Day); return err }},
			{"performance", func(ctx context.Context) error { _, err := s.Performance(ctx, q); return err }},
			{"discovery", func(ctx context.Context) error {
				_, err := s.Discovery(ctx, q, analytics.DiscoveryKinds{})
				return err
			}},
			{"enrichment", func(ctx context.Context) error { _, err := s.Enrichment(ctx, q); return err }},
		}
		for _, dimension := range []string{"tool_name", "actor", "action", "resource_type", "outcome", "tenant"} {
			statistics = append(statistics, struct {
				name string
				ask  func(ctx context.Context) error
			}{"breakdown-" + dimension, func(ctx context.Context) error {
				_, err := s.Breakdown(ctx, q, dimension, 0)
				return err
			}})
		}
		for _, stat := range statistics {
			b.Run(window.name+"/"+stat.name, func(b *testing.B) {
				for range b.N {
					var took []time.Duration
					for i := range 22 {
						start := time.Now()
						if err := stat.ask(b.Context()); err != nil {
							b.Fatal(err)
						}
						if i >= 2 {
							took = append(took, time.Since(start))
						}
					}
					p95 := benchQuantile(took, 0.95)
					b.ReportMetric(benchQuantile(took, 0.5), "p50-ms")
					b.ReportMetric(p95, "p95-ms")
					b.ReportMetric(0, "ns/op")
					if p95 > window.limit {
						fmt.Fprintf(os.Stderr, "%s/%s: p95 %.1f ms, wanted %.0f\n", window.name, stat.name, p95, window.limit)
					}
				}
			})
		}
	}
}

// BenchmarkDistinct fills the boxes that people filter by, over everything.
func BenchmarkDistinct(b *testing.B) {
	s := benchTables(b)
	for _, column := range []string{"tool_name", "action", "tenant", "actor", "persona"} {
		b.Run(column, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Distinct(b.Context(), &audit.Query{}, column); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("pairs/actor-email", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.DistinctPairs(b.Context(), &audit.Query{}, "actor", "actor_email"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
