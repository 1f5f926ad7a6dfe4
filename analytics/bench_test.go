package analytics_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// repeated hands out the same records, for measuring Stream without a store.
type repeated []*audit.Record

func (rs repeated) Scan(_ context.Context, _ *audit.Query, fn func(*audit.Record) error) error {
	for _, r := range rs {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkStream gives the cost of one record in each statistic.
func BenchmarkStream(b *testing.B) {
	rs := make(repeated, 100_000)
	for i := range rs {
		word := fmt.Sprint(i % 500)
		rs[i] = call(time.Duration(i)*time.Millisecond, tool("trino", word), actor(word, ""), inSession("t", word), took(time.Duration(i)*time.Microsecond))
	}
	ctx, q, a := context.Background(), &audit.Query{From: noon, To: noon.Add(time.Hour)}, analytics.Stream(rs)
	for _, c := range []struct {
		name string
		ask  func() error
	}{
		{"overview", func() error { _, err := a.Overview(ctx, q); return err }},
		{"timeseries", func() error { _, err := a.Timeseries(ctx, q, analytics.Minute); return err }},
		{"breakdown", func() error { _, err := a.Breakdown(ctx, q, "actor", 0); return err }},
		{"performance", func() error { _, err := a.Performance(ctx, q); return err }},
		{"discovery", func() error { _, err := a.Discovery(ctx, q, analytics.DiscoveryKinds{}); return err }},
		{"enrichment", func() error { _, err := a.Enrichment(ctx, q); return err }},
		{"distinct", func() error { _, err := a.Distinct(ctx, q, "actor"); return err }},
		{"pairs", func() error { _, err := a.DistinctPairs(ctx, q, "session_id", "actor"); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.ask(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rs)), "ns/record")
		})
	}
}
