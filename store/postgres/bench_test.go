package postgres

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
	"github.com/annals-dev/annals/internal/enginetest"
)

// traffic makes records of a busy month.
type traffic struct {
	g     *benchdata.Generator
	later time.Duration // than the generator's times
	names string        // begins the tenants' names
}

func newTraffic(seed uint64) *traffic {
	const many = 1_000_000_000
	return &traffic{g: benchdata.Seeded(seed, many, many*1500*time.Microsecond), later: 59 * 24 * time.Hour, names: "tenant-"}
}

func (g *traffic) next() *audit.Record {
	r := g.g.Plain()
	r.OccurredAt, r.RecordedAt = r.OccurredAt.Add(g.later), r.RecordedAt.Add(g.later)
	r.Tenant = g.names + strings.TrimPrefix(r.Tenant, "tenant-")
	return r
}

func (g *traffic) batch(n int) []*audit.Record {
	out := make([]*audit.Record, n)
	for i := range out {
		out[i] = g.next()
	}
	return out
}

// BenchmarkAppend writes about 60,000 records on a server with PostgreSQL's
// default settings, each way into tables of its own, and counts them
// afterwards; use -benchtime=1x. The raw way is pgx's CopyFrom of rows made
// beforehand into the same table with the same indexes; the others make theirs
// as they go. With four connections the raw way has four writers; the others
// share out a large batch themselves, and small ones come from four callers
// with tenants of their own.
func BenchmarkAppend(b *testing.B) {
	server := enginetest.StartPostgres(b, enginetest.PostgresOptions{Durable: true})
	for _, size := range []int{500, 5000} {
		for _, conns := range []int{1, 4} {
			for _, way := range []string{"raw", "plain", "chained"} {
				b.Run(fmt.Sprintf("batch=%d/connections=%d/%s", size, conns, way), func(b *testing.B) {
					url, drop, err := server.CreateDatabase(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					defer func() { _ = drop(context.Background()) }()
					s, err := Open(b.Context(), Options{URL: url, Writers: conns, MaxConnections: conns + 1})
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					benchWay(b, s, way, size, conns)
				})
			}
		}
	}
}

func benchWay(b *testing.B, s *Store, way string, size, conns int) {
	const records = 60_000
	callers := conns
	if size == 5000 && way != "raw" {
		callers = 1
	}
	var elapsed, client, server time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		work := make([][]func(context.Context) error, callers)
		for c := range work {
			g := newTraffic(uint64(n + c))
			if callers > 1 && way != "raw" {
				g.names = fmt.Sprintf("caller-%d-", c)
			}
			for range records / callers / size {
				recs := g.batch(size)
				n += size
				switch way {
				case "raw":
					work[c] = append(work[c], rawCopy(b, s, recs, n))
				case "plain":
					work[c] = append(work[c], func(ctx context.Context) error { return firstError(s.Append(ctx, recs)) })
				case "chained":
					work[c] = append(work[c], func(ctx context.Context) error { return firstError(s.AppendChained(ctx, recs)) })
				}
			}
		}
		if _, err := s.main.Exec(b.Context(), "CHECKPOINT"); err != nil {
			b.Fatal(err)
		}
		client0, server0 := cpuTime(b, s)
		b.StartTimer()
		start := time.Now()
		var wg sync.WaitGroup
		for _, list := range work {
			wg.Go(func() {
				for _, do := range list {
					if err := do(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		elapsed += time.Since(start)
		b.StopTimer()
		client1, server1 := cpuTime(b, s)
		client, server = client+client1-client0, server+server1-server0
		b.StartTimer()
	}
	b.StopTimer()
	var stored int
	if err := s.main.QueryRow(b.Context(), s.sql(`SELECT count(*) FROM @records`)).Scan(&stored); err != nil || stored != n {
		b.Fatalf("%d records stored, want %d: %v", stored, n, err)
	}
	b.ReportMetric(float64(n)/elapsed.Seconds(), "records/s")
	b.ReportMetric(float64(client.Microseconds())/float64(n), "client-µs/record")
	b.ReportMetric(float64(server.Microseconds())/float64(n), "server-µs/record")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is the processor time that this process and the server's have spent,
// where the system tells: on a busy machine it says more than the time that passed.
func cpuTime(b *testing.B, s *Store) (client, server time.Duration) {
	rows, err := s.main.Query(b.Context(), `SELECT pid FROM pg_stat_activity`)
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		server += processTime(pid)
	}
	return processTime(os.Getpid()), server
}

func processTime(pid int) (sum time.Duration) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // another system, or it has ended
	}
	const tick = time.Second / 100 // USER_HZ
	_, rest, _ := strings.Cut(string(stat), ") ")
	for _, f := range strings.Fields(rest)[11:13] { // utime and stime
		n, _ := strconv.Atoi(f)
		sum += time.Duration(n) * tick
	}
	return sum
}

func firstError(results []audit.Result, err error) error {
	for _, r := range results {
		if err == nil {
			err = r.Err
		}
	}
	return err
}

// rawCopy makes the rows of the records and gives what writes them.
func rawCopy(b *testing.B, s *Store, recs []*audit.Record, n int) func(context.Context) error {
	names := []string{columnBlock, columnScope}
	for _, f := range columns {
		names = append(names, column(f))
	}
	names = append(names, columnSearch)
	lex := newLexemes()
	rows := make([][]any, len(recs))
	for i, r := range recs {
		scope, err := s.makeScope(b.Context(), r.Scope())
		if err != nil {
			b.Fatal(err)
		}
		row := []any{int32(n / unitRows / blockUnits), scope}
		for _, f := range columns {
			row = append(row, rawValue(f, r))
		}
		lex.collect(r, s.text)
		v := pgtype.TSVector{Valid: true}
		for _, word := range lex.list {
			v.Lexemes = append(v.Lexemes, pgtype.TSVectorLexeme{Word: strings.Clone(word)})
		}
		rows[i] = append(row, v)
	}
	return func(ctx context.Context) error {
		return s.main.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			_, err := c.CopyFrom(ctx, pgx.Identifier{s.opt.Schema, s.opt.Prefix + "records"}, names, pgx.CopyFromRows(rows))
			return err
		})
	}
}

func rawValue(f *audit.Field, r *audit.Record) any {
	if f.Absent(r) {
		return nil
	}
	switch f.Kind {
	case audit.Text, audit.Document:
		return f.Text(r)
	case audit.Identity:
		return [16]byte(f.Bytes(r))
	case audit.Hash:
		return f.Bytes(r)
	case audit.Flag:
		return f.Int(r) != 0
	case audit.Instant:
		return audit.FromMicros(f.Int(r))
	}
	return f.Int(r)
}

// BenchmarkCopyRows makes the binary form of 500 records, without a server.
func BenchmarkCopyRows(b *testing.B) {
	recs := newTraffic(1).batch(500)
	items := make([]*item, len(recs))
	for i, r := range recs {
		items[i] = &item{rec: r, scope: 1, at: i}
	}
	for _, text := range []bool{false, true} {
		b.Run(fmt.Sprintf("text=%v", text), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				src := newCopySource(items, 1, text, nil)
				n, err := io.Copy(io.Discard, src)
				if err != nil {
					b.Fatal(err)
				}
				src.close(true)
				b.SetBytes(n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/record")
		})
	}
}
