package sqlite

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkGrowth is the cost of a chained record in batches of 500, the median
// over one block of 16,384, when the file holds a thousand records and when it
// holds a million. One operation is the whole block.
func BenchmarkGrowth(b *testing.B) {
	b.Run("thousand", func(b *testing.B) {
		s := benchStore(b, Options{NoFullText: true})
		_, err := s.AppendChained(b.Context(), newGenerator().batch(1000))
		check(b, err)
		growth(b, s)
	})
	b.Run("million", func(b *testing.B) {
		path := million(b).opt.Path
		s, err := Open(b.Context(), Options{Path: path, NoFullText: true})
		check(b, err)
		b.Cleanup(func() { _ = s.Close() })
		growth(b, s)
	})
}

func growth(b *testing.B, s *Store) {
	const size = 500
	g := newGenerator()
	g.Skip(benchRecords)
	var took []time.Duration
	for range b.N {
		for range blockSize / size {
			recs := g.batch(size)
			start := time.Now()
			_, err := s.AppendChained(b.Context(), recs)
			check(b, err)
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000/size, "us/rec")
	b.ReportMetric(0, "ns/op")
	heads, err := s.Heads(b.Context(), nil)
	check(b, err)
	if len(heads) == 0 || heads[0].Sequence == 0 {
		b.Fatal("nothing was chained")
	}
}
