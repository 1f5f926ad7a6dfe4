package recorder

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// BenchmarkSpool runs recorders under durability spool and the bare spool in
// turn, a third of a second each, with entries of the same bytes, and gives the
// medians of the acknowledged, synced events a second and of the ratio within a
// round: what all that the recorder does, delivery included, leaves of the
// speed of the disk. Run it with -benchtime=15x for 15 rounds.
func BenchmarkSpool(b *testing.B) {
	for _, producers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			ctx := context.Background()
			open := func() *spool.Spool {
				s, err := spool.Open(b.TempDir(), spool.Options{MaxBytes: 16 << 30, SegmentBytes: spool.DefaultSegmentBytes, Logger: quiet})
				if err != nil {
					b.Fatal(err)
				}
				return s
			}
			through, bare := open(), open()
			r, err := New(discard, Options{Durability: Spool, Spool: through, Logger: quiet, FlushInterval: time.Second})
			if err != nil {
				b.Fatal(err)
			}
			var it item
			if err := r.accept(typicalEvent(), audit.ID{}, &it); err != nil {
				b.Fatal(err)
			}
			entry := appendEntry(nil, it.rec, true)
			drain := func() {
				for bare.Stats().Depth > 0 {
					batch, err := bare.Read(ctx, 5000, 16<<20)
					if err == nil {
						err = bare.Commit(batch.Token)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			sides := [2]func() error{
				func() error { _, err := r.Record(ctx, typicalEvent()); return err },
				func() error { return bare.Append(ctx, entry) },
			}
			var rates [2][]float64
			var ratios []float64
			for round := range b.N {
				var now [2]float64
				for i := range sides {
					i = (i + round) % 2
					now[i] = acknowledged(b, producers, sides[i])
					if err := r.Flush(ctx); err != nil {
						b.Fatal(err)
					}
					drain()
				}
				rates[0], rates[1] = append(rates[0], now[0]), append(rates[1], now[1])
				ratios = append(ratios, now[0]/now[1])
			}
			a, err := r.Close(ctx)
			if err != nil || a.Stored != a.Offered {
				b.Fatal(a, err)
			}
			for _, s := range []*spool.Spool{through, bare} {
				if err := s.Close(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(middle(rates[0]), "recorder/s")
			b.ReportMetric(middle(rates[1]), "bare/s")
			b.ReportMetric(middle(ratios), "×bare")
			b.ReportMetric(float64(len(entry)), "B/entry")
		})
	}
}

func acknowledged(b *testing.B, producers int, one func() error) float64 {
	var wg sync.WaitGroup
	counts := make([]int, producers)
	begin := time.Now()
	for p := range producers {
		wg.Go(func() {
			for time.Since(begin) < 300*time.Millisecond {
				if err := one(); err != nil {
					b.Error(err)
					return
				}
				counts[p]++
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / took.Seconds()
}

func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
