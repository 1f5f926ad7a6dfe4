package postgres

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkGrowth compares what a chained batch of 500 costs in tables of 1,000
// records and in those of BenchmarkQuestions, by turns on one server; use
// -benchtime=1x. What it stores it removes again.
func BenchmarkGrowth(b *testing.B) {
	const rounds, perTable, batch = 48, 6, 500
	large := benchTables(b)
	small := func() *Store {
		s := open(b, Options{URL: large.opt.URL, Schema: "growth", NoFullText: large.opt.NoFullText})
		newStranger(b, s).must(b, "DROP SCHEMA growth CASCADE")
		s = open(b, s.opt)
		chainAll(b, s, newTraffic(0).batch(1000))
		newStranger(b, s).must(b, "VACUUM (ANALYZE) @records")
		return s
	}
	c := newStranger(b, large)
	defer c.must(b, "DELETE FROM @records WHERE scope IN (SELECT scope FROM @scopes WHERE tenant LIKE 'growth-%')")
	g := newTraffic(1)
	g.names = "growth-"
	chainAll(b, large, g.batch(batch))
	took := func(s *Store) time.Duration {
		recs := g.batch(batch)
		start := time.Now()
		chainAll(b, s, recs)
		return time.Since(start) / batch
	}
	for b.Loop() {
		var few, many []time.Duration
		var s *Store
		for i := range rounds {
			if i%perTable == 0 {
				s = small()
				c.must(b, "CHECKPOINT")
				took(s) // what its connections have to learn
			}
			few, many = append(few, took(s)), append(many, took(large))
		}
		slices.Sort(few)
		slices.Sort(many)
		micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
		b.ReportMetric(micros(few[rounds/2]), "µs/record-of-1k")
		b.ReportMetric(micros(many[rounds/2]), "µs/record-of-many")
		b.ReportMetric(micros(many[rounds/2])/micros(few[rounds/2]), "×")
		b.ReportMetric(0, "ns/op")
	}
}
