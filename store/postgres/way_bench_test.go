package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/redact"
)

// BenchmarkWay takes 60,000 events the whole way: recorder, redaction, chain,
// PostgreSQL with its default settings. What was acknowledged is counted in the
// store. The raw way beside it is BenchmarkAppend's: pgx's CopyFrom of the same
// rows into the same table with the same indexes; -benchtime=1x.
func BenchmarkWay(b *testing.B) {
	server := enginetest.StartPostgres(b, enginetest.PostgresOptions{Durable: true})
	for _, size := range []int{500, 5000} {
		for _, conns := range []int{1, 4} {
			for _, way := range []string{"raw", "chained", "unchained"} {
				b.Run(fmt.Sprintf("batch=%d/connections=%d/%s", size, conns, way), func(b *testing.B) {
					url, drop, err := server.CreateDatabase(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					defer func() { _ = drop(context.Background()) }()
					s, err := Open(b.Context(), Options{URL: url, Writers: conns, MaxConnections: conns + 1, RollupInterval: -1})
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					if way == "raw" {
						benchWay(b, s, way, size, conns)
						return
					}
					benchTrail(b, s, size, way == "unchained")
				})
			}
		}
	}
}

// keptOpen is a store that the end of a trail does not close.
type keptOpen struct{ audit.Store }

func (keptOpen) Close() error          { return nil }
func (s keptOpen) Unwrap() audit.Store { return s.Store }

func benchTrail(b *testing.B, s *Store, size int, unchained bool) {
	const records = 60_000
	n := 0
	var elapsed time.Duration
	for b.Loop() {
		b.StopTimer()
		trail, err := annals.New(keptOpen{s}, annals.Options{
			Policy: policy.Config{Level: policy.All}, Unchained: unchained, FlushSize: size, Capacity: 4 * records,
			Redact: redact.Config{Enabled: true, Fields: []string{"password", "payload.arguments.secret"}},
		})
		if err != nil {
			b.Fatal(err)
		}
		g := newTraffic(uint64(n))
		events := make([]*audit.Event, records)
		for i := range events {
			events[i] = &g.next().Event
		}
		if _, err := s.main.Exec(b.Context(), "CHECKPOINT"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		start := time.Now()
		for _, ev := range events {
			if _, err := trail.Record(b.Context(), ev); err != nil {
				b.Fatal(err)
			}
		}
		if err := trail.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		elapsed += time.Since(start)
		b.StopTimer()
		n += records
		stored, err := trail.Count(b.Context(), &audit.Query{})
		if err != nil || stored != int64(n) {
			b.Fatalf("recorded %d events, found %d: %v", n, stored, err)
		}
		if _, err := trail.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(n)/elapsed.Seconds(), "records/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkOneChain has one writer and then 64 goroutines append single records
// and small batches to one chain; -benchtime=1x. The same in four processes is
// TestContention.
func BenchmarkOneChain(b *testing.B) {
	server := enginetest.StartPostgres(b, enginetest.PostgresOptions{Durable: true})
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			url, drop, err := server.CreateDatabase(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = drop(context.Background()) }()
			stores := make([]*Store, min(4, writers)) // each with connections of its own, as processes have
			for i := range stores {
				if stores[i], err = Open(b.Context(), Options{URL: url, RollupInterval: -1}); err != nil {
					b.Fatal(err)
				}
				defer stores[i].Close()
			}
			const batches, size = 1920, 10
			work := make(chan []*audit.Record, batches)
			g := newTraffic(1)
			for range batches {
				recs := g.batch(size)
				for _, r := range recs {
					r.Tenant = "one"
				}
				work <- recs
			}
			close(work)
			b.ResetTimer()
			start := time.Now()
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() {
					for recs := range work {
						if err := firstError(stores[i%len(stores)].AppendChained(b.Context(), recs)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(batches*size)/time.Since(start).Seconds(), "records/s")
			b.ReportMetric(0, "ns/op")
			heads, err := stores[0].Heads(b.Context(), nil)
			if err != nil || len(heads) != 1 || heads[0].Sequence != batches*size {
				b.Fatalf("%+v, %v", heads, err)
			}
		})
	}
}
