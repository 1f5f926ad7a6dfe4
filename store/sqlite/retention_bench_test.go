package sqlite

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// BenchmarkRetention compares how long single chained records take to be stored,
// by eight goroutines, while 50,000 expired of 200,000 are deleted in batches of
// 10,000 and while they are not; the two take turns. After a batch comes the
// rest that package retention gives. In the paced runs each goroutine has a
// record forty times a second, come what may, and the time counts from when it
// was due. The figures of "in-batch" are of those due while a batch was under way.
func BenchmarkRetention(b *testing.B) {
	for _, text := range []bool{false, true} {
		for _, pace := range []time.Duration{0, 25 * time.Millisecond} {
			b.Run(fmt.Sprintf("text=%v/pace=%v", text, pace), func(b *testing.B) {
				for range b.N {
					benchRetention(b, text, pace)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func benchRetention(b *testing.B, text bool, pace time.Duration) {
	const total, every, batch, rest = 200_000, 4, 10_000, 4
	s := benchStore(b, Options{NoFullText: !text})
	g := newGenerator()
	for n := 0; n < total; n += 2000 {
		recs := g.batch(2000)
		for i := 0; i < len(recs); i += every {
			recs[i].ExpiresAt = benchStart
		}
		chainAll(b, s, recs)
	}
	cut := audit.Cut{ExpiredAt: benchStart, Reason: "expired"}
	a := &arrivals{s: s, pace: pace}
	a.while(b, g, func() { time.Sleep(2 * time.Second) }) // the file's state of every day
	var alone, during, within []time.Duration
	var took time.Duration
	for range total / every / batch {
		start := time.Now()
		during = append(during, a.while(b, g, func() {
			a.counted.Store(true)
			n, err := s.DeleteExpired(b.Context(), cut, batch)
			a.counted.Store(false)
			if err != nil || n != batch {
				b.Errorf("%d, %v", n, err)
			}
			took += time.Since(start)
			time.Sleep(rest * time.Since(start))
		})...)
		within = append(within, a.within...)
		// As long: what comes now and then, such as a merge of the full text index,
		// must have its share in both.
		alone = append(alone, a.while(b, g, func() { time.Sleep(time.Since(start)) })...)
	}
	without := quantile(alone, 0.99)
	b.ReportMetric(quantile(during, 0.99)/without, "p99-ratio")
	b.ReportMetric(quantile(within, 0.99)/without, "in-batch-ratio")
	b.ReportMetric(took.Seconds()*batch*every/total, "s/batch")
	for _, of := range []struct {
		name string
		took []time.Duration
	}{{"alone", alone}, {"during", during}, {"in-batch", within}} {
		b.Logf("%-8s %6d inserts, ms: p50 %.1f p90 %.1f p95 %.1f p99 %.1f p99.9 %.1f max %.1f", of.name, len(of.took), quantile(of.took, 0.5),
			quantile(of.took, 0.9), quantile(of.took, 0.95), quantile(of.took, 0.99), quantile(of.took, 0.999), quantile(of.took, 1))
	}
}

// arrivals inserts records one by one.
type arrivals struct {
	s       *Store
	pace    time.Duration // from one record of a goroutine to its next; 0 is as fast as it goes
	counted atomic.Bool
	within  []time.Duration // of those due while counted was set
}

// while inserts until fn returns, and says how long each record took.
func (a *arrivals) while(b *testing.B, g *generator, fn func()) []time.Duration {
	const writers = 8
	var mu sync.Mutex
	var stop atomic.Bool
	var wg sync.WaitGroup
	var took, within [writers][]time.Duration
	for w := range writers {
		wg.Go(func() {
			due := time.Now().Add(a.pace * time.Duration(w) / writers)
			for !stop.Load() {
				mu.Lock()
				rec := g.next()
				mu.Unlock()
				if a.pace == 0 {
					due = time.Now()
				}
				time.Sleep(time.Until(due))
				counted := a.counted.Load()
				if _, err := a.s.AppendChained(b.Context(), []*audit.Record{rec}); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(due))
				if counted {
					within[w] = append(within[w], time.Since(due))
				}
				due = due.Add(a.pace)
			}
		})
	}
	fn()
	stop.Store(true)
	wg.Wait()
	a.within = slices.Concat(within[:]...)
	return slices.Concat(took[:]...)
}
