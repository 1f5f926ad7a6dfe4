package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/benchdata"
)

// The benchmarks of this file need a million records; -benchtime=1x is enough
// for those that say so, as they measure many questions themselves.

var benchStart = benchdata.Start

const (
	benchRecords = 1_000_000
	benchDays    = 90
)

// generator makes records evenly over 90 days.
type generator struct{ *benchdata.Generator }

func newGenerator() *generator {
	return &generator{benchdata.New(benchRecords, benchDays*24*time.Hour)}
}

func (g *generator) next() *audit.Record { return g.Plain() }

func (g *generator) batch(n int) []*audit.Record {
	out := make([]*audit.Record, n)
	for i := range out {
		out[i] = g.next()
	}
	return out
}

func benchStore(b *testing.B, opt Options) *Store {
	b.Helper()
	opt.Path = filepath.Join(b.TempDir(), "annals.db")
	s, err := Open(b.Context(), opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// BenchmarkAppend is one record; the raw ones are the same rows through the same
// prepared statements into the same schema, and nothing else.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{500, 5000} {
		for _, text := range []bool{false, true} {
			name := fmt.Sprintf("batch=%d/text=%v/", size, text)
			opt := Options{NoFullText: !text}
			b.Run(name+"raw", func(b *testing.B) { benchRaw(b, opt, size, false) })
			b.Run(name+"plain", func(b *testing.B) {
				s := benchStore(b, opt)
				benchAppend(b, size, func(recs []*audit.Record) error { _, err := s.Append(b.Context(), recs); return err })
			})
			b.Run(name+"rawchained", func(b *testing.B) { benchRaw(b, opt, size, true) })
			b.Run(name+"chained", func(b *testing.B) {
				s := benchStore(b, opt)
				benchAppend(b, size, func(recs []*audit.Record) error { _, err := s.AppendChained(b.Context(), recs); return err })
			})
		}
	}
}

func benchAppend(b *testing.B, size int, add func([]*audit.Record) error) {
	g := newGenerator()
	var took meter
	for done := 0; done < b.N; {
		recs := g.batch(min(size, b.N-done))
		took.start()
		if err := add(recs); err != nil {
			b.Fatal(err)
		}
		took.stop()
		done += len(recs)
	}
	took.report(b, b.N)
}

// meter measures time, and the processor's time, which tells more on a machine
// that others use too.
type meter struct {
	wall, cpu time.Duration
	w         time.Time
	c         time.Duration
}

func (m *meter) start() { m.w, m.c = time.Now(), cpuTime() }
func (m *meter) stop() {
	m.wall += time.Since(m.w)
	m.cpu += cpuTime() - m.c
}

func (m *meter) report(b *testing.B, n int) {
	b.ReportMetric(float64(n)/m.wall.Seconds(), "rec/s")
	b.ReportMetric(float64(m.cpu.Nanoseconds())/1000/float64(n), "cpu-us/rec")
	b.ReportMetric(0, "ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchRaw inserts rows whose values are ready.
func benchRaw(b *testing.B, opt Options, size int, chained bool) {
	s := benchStore(b, opt)
	w := <-s.writer
	defer func() { s.writer <- w }()
	type row struct {
		record, body []any
		tokens       string
	}
	n := int64(0)
	head := chain.Head{}
	scopes := map[audit.Scope]int64{}
	benchAppendRows := func(recs []*audit.Record) []row {
		rows := make([]row, len(recs))
		if chained {
			head = chain.Seal(head, recs)
		}
		for i, r := range recs {
			n++
			if scopes[r.Scope()] == 0 {
				scopes[r.Scope()] = int64(len(scopes) + 1)
			}
			rows[i].record = append([]any{n, scopes[r.Scope()]}, values(recordColumns, r)...)
			rows[i].body = append([]any{n}, values(bodyColumns, r)...)
			if s.text {
				rows[i].tokens = audit.SearchText(r)
			}
		}
		return rows
	}
	g := newGenerator()
	var took meter
	for done := 0; done < b.N; {
		rows := benchAppendRows(g.batch(min(size, b.N-done)))
		took.start()
		check(b, w.run("BEGIN IMMEDIATE"))
		for _, r := range rows {
			rawInsert(b, w.record, r.record)
			rawInsert(b, w.body, r.body)
			if s.text {
				rawInsert(b, w.text, []any{r.record[0], r.tokens})
			}
		}
		check(b, w.run("COMMIT"))
		took.stop()
		done += len(rows)
	}
	took.report(b, b.N)
}

func values(fields []*audit.Field, r *audit.Record) []any {
	out := make([]any, len(fields))
	for i, f := range fields {
		if f.Absent(r) {
			continue
		}
		switch f.Kind {
		case audit.Text, audit.Document:
			out[i] = f.Text(r)
		case audit.Identity, audit.Hash:
			out[i] = slices.Clone(f.Bytes(r))
		default:
			out[i] = f.Int(r)
		}
	}
	return out
}

func rawInsert(b *testing.B, st *z.Stmt, values []any) {
	check(b, st.Reset())
	check(b, st.ClearBindings())
	for i, v := range values {
		if v != nil {
			bind(st, i+1, v)
		}
	}
	_, err := st.Step()
	check(b, err)
}

func check(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// million gives a store of a million chained records. ANNALS_BENCH_DIR keeps it
// from one run to the next.
func million(b *testing.B) *Store {
	b.Helper()
	dir := os.Getenv("ANNALS_BENCH_DIR")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "annals-bench")
	}
	s, err := Open(b.Context(), Options{Path: filepath.Join(dir, "million.db"), LosePowerFailure: true, NoFullText: os.Getenv("ANNALS_BENCH_TEXT") == ""})
	check(b, err)
	b.Cleanup(func() { _ = s.Close() })
	n, err := s.Count(b.Context(), &audit.Query{})
	check(b, err)
	g := newGenerator()
	if n < benchRecords {
		g.batch(int(n))
	}
	var mark meter
	mark.start()
	for ; n < benchRecords; n += 1000 {
		recs := g.batch(1000)
		_, err := s.AppendChained(b.Context(), recs)
		check(b, err)
		if (n+1000)%100_000 == 0 {
			mark.stop()
			fmt.Fprintf(os.Stderr, "%d records, the last 100,000 in %.1f s, %.1f µs of processor each with making them\n", n+1000, mark.wall.Seconds(), float64(mark.cpu.Microseconds())/100_000)
			mark = meter{}
			mark.start()
		}
	}
	runtime.GC()
	return s
}

func quantile(took []time.Duration, p float64) float64 {
	slices.Sort(took)
	return float64(took[int(p*float64(len(took)-1))].Microseconds()) / 1000
}

// BenchmarkQuestions asks for the newest 50 by each dimension; one operation is
// one round of 60 questions.
func BenchmarkQuestions(b *testing.B) {
	s := million(b)
	r := rand.New(rand.NewPCG(3, 4))
	sample := func(field string) func() []audit.Filter {
		f, _ := audit.FieldByName(field)
		var seen []string
		for range 60 {
			page, err := s.Query(b.Context(), &audit.Query{Limit: 1, To: benchStart.Add(time.Duration(r.Int64N(int64(benchDays * 24 * time.Hour))))})
			check(b, err)
			if len(page.Records) > 0 {
				seen = append(seen, f.Text(page.Records[0]))
			}
		}
		return func() []audit.Filter { return []audit.Filter{audit.Is(field, seen[r.IntN(len(seen))])} }
	}
	fixed := func(filters ...audit.Filter) func() []audit.Filter { return func() []audit.Filter { return filters } }
	type question struct {
		name    string
		filters func() []audit.Filter
		text    string
	}
	questions := []question{{name: "time", filters: fixed()}}
	for _, f := range []string{"tenant", "actor", "action", "resource", "action_id", "correlation_id", "session_id", "trace_id", "tool_name"} {
		questions = append(questions, question{name: f, filters: sample(f)})
	}
	questions = append(questions,
		question{name: "failures", filters: fixed(audit.Is("outcome", "denied", "failure"))},
		question{name: "tenant_rare", filters: fixed(audit.Is("tenant", "tenant-33"))},
		question{name: "actor_rare", filters: fixed(audit.Is("actor", "user-4321"))},
		question{name: "resource_rare", filters: fixed(audit.Is("resource", "table-19000"))},
		question{name: "resource_absent", filters: fixed(audit.Is("resource", "none"))},
		question{name: "tenant_failures", filters: fixed(audit.Is("tenant", "tenant-3"), audit.Is("outcome", "denied"))},
		question{name: "other_frequent", filters: fixed(audit.Is("host", "node-2"))},
		question{name: "other_rare", filters: fixed(audit.Is("request_id", "req-00400000"))},
		question{name: "other_absent", filters: fixed(audit.Is("actor_ip", "none"))},
		question{name: "other_prefix", filters: fixed(audit.Prefix("path", "/v9"))},
		question{name: "metadata_frequent", filters: fixed(audit.Is("metadata.env", "prod"))},
		question{name: "metadata_rare", filters: fixed(audit.Is("metadata.ticket", "T-4242"))},
		question{name: "metadata_absent", filters: fixed(audit.Is("metadata.none", "x"))},
		question{name: "metadata_not", filters: fixed(audit.Not("metadata.env", "prod"))},
	)
	if s.text {
		questions = append(questions,
			question{name: "text_frequent", filters: fixed(), text: "customer"},
			question{name: "text_rare", filters: fixed(), text: "corr T-4242"},
			question{name: "text_absent", filters: fixed(), text: "nowhere"},
			question{name: "text_two", filters: fixed(), text: "denied policy"},
		)
	}
	for _, q := range questions {
		b.Run(q.name, func(b *testing.B) {
			var took []time.Duration
			cpu := cpuTime()
			for range b.N {
				for range 60 {
					filters := q.filters()
					start := time.Now()
					_, err := s.Query(b.Context(), &audit.Query{Filters: filters, Text: q.text, Limit: 50})
					check(b, err)
					took = append(took, time.Since(start))
				}
			}
			b.ReportMetric(quantile(took, 0.5), "p50-ms")
			b.ReportMetric(quantile(took, 0.95), "p95-ms")
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/1000/float64(len(took)), "cpu-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkStatistics compares the statistics with the SQL that a person would
// write for them, on the same file and one connection.
func BenchmarkStatistics(b *testing.B) {
	s := million(b)
	end := benchStart.Add(benchDays * 24 * time.Hour)
	day := &audit.Query{From: end.Add(-24 * time.Hour), To: end}
	all := &audit.Query{From: benchStart, To: end}
	for _, w := range []struct {
		name string
		q    *audit.Query
	}{{"day", day}, {"quarter", all}} {
		run := func(name string, fn func(ctx context.Context) error) {
			b.Run(w.name+"/"+name, func(b *testing.B) {
				cpu := cpuTime()
				for b.Loop() {
					check(b, fn(b.Context()))
				}
				b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/1000/float64(b.N), "cpu-ms")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms")
			})
		}
		sql := func(name, text string) {
			run(name, func(ctx context.Context) error {
				return s.read(ctx, func(v *view) error {
					st, err := v.conns[0].stmt(s.sql(text))
					if err != nil {
						return err
					}
					st.BindInt64(1, w.q.From.UnixMicro())
					st.BindInt64(2, w.q.To.UnixMicro())
					for {
						if more, err := st.Step(); err != nil || !more {
							return err
						}
					}
				})
			})
		}
		const calls = " FROM @records WHERE occurred_at >= ? AND occurred_at < ? AND kind = 'event' AND outcome <> 'pending'"
		run("overview", func(ctx context.Context) error { _, err := s.Overview(ctx, w.q); return err })
		sql("overview-sql", "SELECT count(*), sum(outcome = 'success'), sum(duration_ms), sum(duration_ms > 0), sum(enriched), count(DISTINCT actor), count(DISTINCT tool_name)"+calls)
		run("hourly", func(ctx context.Context) error { _, err := s.Timeseries(ctx, w.q, analytics.Hour); return err })
		sql("hourly-sql", "SELECT occurred_at / 3600000000 AS hour, count(*), sum(outcome = 'success'), sum(duration_ms), sum(duration_ms > 0)"+calls+" GROUP BY hour")
		run("breakdown", func(ctx context.Context) error { _, err := s.Breakdown(ctx, w.q, "tool_name", 10); return err })
		run("performance", func(ctx context.Context) error { _, err := s.Performance(ctx, w.q); return err })
		run("discovery", func(ctx context.Context) error {
			_, err := s.Discovery(ctx, w.q, analytics.DefaultDiscoveryKinds())
			return err
		})
		run("enrichment", func(ctx context.Context) error { _, err := s.Enrichment(ctx, w.q); return err })
		run("distinct", func(ctx context.Context) error { _, err := s.Distinct(ctx, w.q, "actor"); return err })
		run("count", func(ctx context.Context) error { _, err := s.Count(ctx, w.q); return err })
		run("count-filtered", func(ctx context.Context) error {
			q := *w.q
			q.Filters = []audit.Filter{audit.Is("tenant", "tenant-3"), audit.Is("outcome", "denied")}
			_, err := s.Count(ctx, &q)
			return err
		})
	}
}

// BenchmarkWalk reads and hashes chained records by two walkers; one operation
// is one record.
func BenchmarkWalk(b *testing.B) {
	s := million(b)
	heads, err := s.Heads(b.Context(), nil)
	check(b, err)
	var took meter
	took.start()
	var mu sync.Mutex
	done, sum := 0, 0
	var wg sync.WaitGroup
	for worker := range 2 {
		wg.Go(func() {
			var buf []byte
			for i, h := range heads {
				if i%2 != worker {
					continue
				}
				err := s.Walk(b.Context(), h.Key, 1, h.Sequence, func(recs []*audit.Record) error {
					n := 0
					for _, r := range recs {
						var hash audit.Digest
						if hash, buf = chain.HashOf(r, buf); hash != r.Hash {
							return fmt.Errorf("record %d does not verify", r.Sequence)
						}
						n += len(buf)
					}
					mu.Lock()
					defer mu.Unlock()
					done += len(recs)
					sum += n
					if done >= b.N {
						return errDone
					}
					return nil
				})
				if err != nil {
					if err != errDone {
						b.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	took.stop()
	took.report(b, done)
	b.ReportMetric(float64(sum)/float64(done), "B/rec")
}

var errDone = fmt.Errorf("done")

// BenchmarkVerify verifies whole chains.
func BenchmarkVerify(b *testing.B) {
	s := million(b)
	heads, err := s.Heads(b.Context(), nil)
	check(b, err)
	n := int64(0)
	var took meter
	took.start()
	for i := range b.N {
		report, err := chain.Verify(b.Context(), s, heads[i%10].Key, chain.VerifyOptions{})
		check(b, err)
		if !report.Valid {
			b.Fatalf("%+v", report.FirstBroken)
		}
		n += report.RecordsChecked
	}
	took.stop()
	took.report(b, int(n))
}

// BenchmarkScan exports; one operation is one record.
func BenchmarkScan(b *testing.B) {
	s := million(b)
	for _, order := range []audit.Order{audit.NewestFirst, audit.OldestFirst} {
		b.Run(order.String(), func(b *testing.B) {
			done := 0
			var took meter
			took.start()
			err := s.Scan(b.Context(), &audit.Query{Order: order}, func(r *audit.Record) error {
				if done++; done >= b.N {
					return errDone
				}
				return nil
			})
			if err != nil && err != errDone {
				b.Fatal(err)
			}
			took.stop()
			took.report(b, done)
		})
	}
}
