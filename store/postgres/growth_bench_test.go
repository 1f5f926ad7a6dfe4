package postgres

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkGrowth compares what a chained batch of 500 costs in small tables and
// in those of BenchmarkQuestions, by turns on one server; use -benchtime=1x. What
// it stores in the large ones it removes again. The indexes of 1,000 records have
// one level where those of 200,000 have as many as those of 5,000,000.
func BenchmarkGrowth(b *testing.B) {
	large := benchTables(b)
	c := newStranger(b, large)
	defer c.must(b, "DELETE FROM @records WHERE scope IN (SELECT scope FROM @scopes WHERE tenant LIKE 'growth-%')")
	g := newTraffic(1)
	g.names = "growth-"
	for _, size := range []int{1000, 200_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) { benchGrowth(b, size, g, large) })
	}
}

func benchGrowth(b *testing.B, size int, g *traffic, large *Store) {
	const rounds, batch = 48, 500
	perTable := max(6, size/batch/10) // so that it grows little meanwhile, but for the smallest
	small := func() *Store {
		s := open(b, Options{URL: large.opt.URL, Schema: "growth", NoFullText: large.opt.NoFullText})
		newStranger(b, s).must(b, "DROP SCHEMA growth CASCADE")
		s = open(b, s.opt)
		for range size / 1000 {
			chainAll(b, s, newTraffic(0).batch(1000))
		}
		newStranger(b, s).must(b, "VACUUM (ANALYZE) @records")
		return s
	}
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
				newStranger(b, s).must(b, "CHECKPOINT")
				took(s) // what its connections have to learn
				took(large)
			}
			few, many = append(few, took(s)), append(many, took(large))
		}
		slices.Sort(few)
		slices.Sort(many)
		micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
		b.ReportMetric(micros(few[rounds/2]), "µs/record-of-few")
		b.ReportMetric(micros(many[rounds/2]), "µs/record-of-many")
		b.ReportMetric(micros(many[rounds/2])/micros(few[rounds/2]), "×")
		b.ReportMetric(0, "ns/op")
	}
}
