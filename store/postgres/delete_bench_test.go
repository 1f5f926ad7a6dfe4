package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
)

// fillDue stores n records; the first due of them have expired, and are older by
// a day.
func fillDue(t testing.TB, s *Store, n, due int, make func(n int) []*audit.Record) {
	t.Helper()
	for done := 0; done < n; {
		recs := make(min(5000, n-done))
		for i, r := range recs {
			if done+i < due {
				r.ExpiresAt = r.RecordedAt.Add(time.Hour)
			} else {
				r.ExpiresAt = r.RecordedAt.AddDate(10, 0, 0)
				r.RecordedAt = r.RecordedAt.AddDate(0, 0, 1)
			}
		}
		chainAll(t, s, recs)
		done += len(recs)
	}
}

// small makes records that have little more than what every record has.
func small(n int) []*audit.Record { return batch(n, 10, 1) }

// writeUntil has a writer put records of its own tenants and of those whose
// records are being deleted until stop is closed, and gives how long each of
// its batches took.
func writeUntil(ctx context.Context, s *Store, seed uint64, size int, stop <-chan struct{}, stored *atomic.Int64) (took []time.Duration, err error) {
	g := newTraffic(seed)
	for {
		select {
		case <-stop:
			return took, nil
		default:
		}
		start := time.Now()
		results, err := s.AppendChained(ctx, g.batch(size))
		if err != nil {
			return took, err
		}
		for _, r := range results {
			if r.Err != nil {
				return took, r.Err
			}
		}
		took = append(took, time.Since(start))
		stored.Add(int64(size))
	}
}

// 50,000 of 200,000 records go in five transactions while others write, newer
// ones stay, and everything is accounted for.
func TestDeletionInFiveBatches(t *testing.T) {
	all, due, limit := 200_000, 50_000, 10_000
	if testing.Short() {
		all, due, limit = all/20, due/20, limit/20
	}
	s := open(t, Options{RollupInterval: -1, NoFullText: true})
	fillDue(t, s, all, due, small)
	stop := make(chan struct{})
	var stored atomic.Int64
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			if _, err := writeUntil(context.Background(), s, uint64(100+w), 50, stop, &stored); err != nil {
				t.Error(err)
			}
		})
	}
	c := newStranger(t, s)
	cut := audit.Cut{ExpiredAt: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), Reason: "expired"}
	for i := range 6 {
		want := limit
		if i == 5 {
			want = 0
		}
		before := stored.Load()
		if n, err := s.DeleteExpired(t.Context(), cut, limit); n != want || err != nil {
			t.Fatalf("batch %d: %d were deleted, %v", i, n, err)
		}
		if n := c.number(t, `SELECT count(DISTINCT xmin::text) FROM @records WHERE kind = 'prune'`); n != int64(min(i+1, 5)) {
			t.Errorf("batch %d: %d transactions left anchors", i, n)
		}
		for stored.Load() == before { // the writers go on
		}
	}
	close(stop)
	wg.Wait()
	if n := c.number(t, `SELECT count(*) FROM @records WHERE kind = 'event'`); n != int64(all-due)+stored.Load() {
		t.Errorf("%d events are left, want %d and the %d that came in", n, all-due, stored.Load())
	}
	if n := c.number(t, `SELECT count(*) FROM @records WHERE expires_at <= '2026-04-01Z'`); n != 0 {
		t.Errorf("%d that have expired are left", n)
	}
	intact(t, s)
	if got, want := fmt.Sprint(reasons(t, s)), fmt.Sprint(map[string]int64{"expired": int64(due)}); got != want {
		t.Errorf("the anchors: %s, want %s", got, want)
	}
}

// What is due is found by an index, in its order, however the table is told to be.
func TestDeletionGoesByIndexes(t *testing.T) {
	s := open(t, Options{RollupInterval: -1, NoFullText: true})
	fillDue(t, s, 2000, 1000, small)
	c := newStranger(t, s)
	cut := audit.Cut{ExpiredAt: time.Now(), RecordedBefore: time.Now(), Holds: []*audit.Query{{Filters: []audit.Filter{audit.Is("tenant", "nobody"), audit.Is("metadata.env", "test")}}}}
	for i, want := range []string{"expires_at", "recorded_at"} {
		for _, analyze := range []bool{false, true} {
			if analyze {
				c.must(t, `ANALYZE @records`)
			}
			var w where
			due := dueOf(&cut)
			if err := s.due(&w, &due[i]); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Exec(t.Context(), `SET enable_seqscan = off; SET jit = off; SET enable_bitmapscan = off; SET enable_sort = off`); err != nil {
				t.Fatal(err)
			}
			rows, err := c.Query(t.Context(), s.sql(`EXPLAIN SELECT r.ctid FROM @records r WHERE `)+w.text()+` ORDER BY `+due[i].order+` LIMIT 100`, w.args...)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			plan := strings.Join(lines, "\n")
			if !strings.Contains(plan, "Index Scan using annals_records_default_"+want+"_idx") || strings.Contains(plan, "Seq Scan on annals_records") {
				t.Errorf("analyzed %v: %s is not found by its index:\n%s", analyze, want, plan)
			}
		}
	}
}

// BenchmarkDeletion writes with four writers in batches of 100 for a while
// without and with deletions beside them, of 50,000 in batches of 10,000, on a
// server with PostgreSQL's default settings; use -benchtime=1x.
func BenchmarkDeletion(b *testing.B) {
	server := enginetest.StartPostgres(b, enginetest.PostgresOptions{Durable: true})
	for b.Loop() {
		url, drop, err := server.CreateDatabase(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		s := open(b, Options{URL: url, RollupInterval: -1})
		fillDue(b, s, 200_000, 50_000, newTraffic(7).batch)
		run := func(beside func()) []time.Duration {
			stop := make(chan struct{})
			var stored atomic.Int64
			var mu sync.Mutex
			var all []time.Duration
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					took, err := writeUntil(b.Context(), s, uint64(100+w), 100, stop, &stored)
					if err != nil {
						b.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					all = append(all, took...)
				})
			}
			beside()
			close(stop)
			wg.Wait()
			slices.Sort(all)
			return all
		}
		var batches []time.Duration
		began := time.Now()
		with := run(func() {
			cut := audit.Cut{ExpiredAt: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), Reason: "expired"}
			for {
				start := time.Now()
				n, err := s.DeleteExpired(b.Context(), cut, 10_000)
				if err != nil {
					b.Fatal(err)
				}
				if n == 0 {
					return
				}
				batches = append(batches, time.Since(start))
				time.Sleep(4 * time.Since(start)) // as package retention rests
			}
		})
		lasted := time.Since(began)
		without := run(func() { time.Sleep(lasted) })
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		for name, list := range map[string][]time.Duration{"with": with, "without": without} {
			b.ReportMetric(ms(list[len(list)/2]), name+"-p50-ms")
			b.ReportMetric(ms(list[len(list)*99/100]), name+"-p99-ms")
			b.ReportMetric(float64(len(list))*100/lasted.Seconds(), name+"-rows/s")
		}
		slices.Sort(batches)
		b.ReportMetric(ms(batches[len(batches)/2]), "batch-ms")
		_ = s.Close()
		_ = drop(context.Background())
	}
}
