package postgres

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
	"github.com/annals-dev/annals/internal/enginetest"
)

// The benchmark of questions needs many records on a server with its default
// settings, durable as it comes. The environment says where they are:
//
//	ANNALS_BENCH_DIR           a folder that keeps them from one run to the next; the server's
//	                           account must be able to enter it
//	ANNALS_BENCH_POSTGRES_URL  a running server that does so, in a schema of their own
//	ANNALS_BENCH_RECORDS       how many, 5,000,000
//	ANNALS_BENCH_TEXT          anything: with full text
//
// Without the first two a server is started and filled for each benchmark.
// -benchtime=1x is enough, as one operation asks each question many times:
//
//	ANNALS_BENCH_DIR=/var/tmp/annals-bench go test ./store/postgres -run xxx -bench 'Questions|Export|Count' -benchtime 1x -timeout 2h

const benchSpan = 90 * 24 * time.Hour

func benchRecords(b *testing.B) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("ANNALS_BENCH_RECORDS"), "5000000"))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// benchTables gives the store of so many records.
func benchTables(b *testing.B) *Store {
	b.Helper()
	server := os.Getenv("ANNALS_BENCH_POSTGRES_URL")
	if server == "" {
		server = benchServer(b)
	}
	n := benchRecords(b)
	opt := Options{URL: server, Schema: fmt.Sprintf("bench_%d", n), NoFullText: os.Getenv("ANNALS_BENCH_TEXT") == ""}
	if !opt.NoFullText {
		opt.Schema += "_text"
	}
	s := open(b, opt)
	have, err := s.Count(b.Context(), &audit.Query{})
	if err != nil {
		b.Fatal(err)
	}
	if have == 0 {
		fill(b, s, n)
	}
	settle(b, s)
	return s
}

// benchServer starts a server, whose data are in ANNALS_BENCH_DIR where there is one.
func benchServer(b *testing.B) string {
	b.Helper()
	server := enginetest.StartPostgres(b, enginetest.PostgresOptions{Durable: true})
	dir := os.Getenv("ANNALS_BENCH_DIR")
	if dir == "" {
		return server.URL()
	}
	at, err := url.Parse(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	major, _, _ := strings.Cut(server.Version(), ".")
	data, kept := filepath.Join(at.Query().Get("host"), "data"), filepath.Join(dir, "postgres-"+major)
	steps := []func() error{server.Stop, func() error { return os.MkdirAll(dir, 0o755) }}
	if _, err := os.Stat(kept); err != nil {
		steps = append(steps, func() error { return exec.CommandContext(b.Context(), "mv", data, kept).Run() })
	} else {
		steps = append(steps, func() error { return os.RemoveAll(data) })
	}
	steps = append(steps, func() error { return os.Symlink(kept, data) }, func() error { return server.Restart(b.Context()) })
	for _, step := range steps {
		if err := step(); err != nil {
			b.Fatal(err)
		}
	}
	return server.URL()
}

// fill stores the records as a batch after the other would, on two connections.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	c := newStranger(b, s)
	for from := benchdata.Start; from.Before(benchdata.Start.Add(benchSpan)); from = from.AddDate(0, 1, 0) {
		c.must(b, fmt.Sprintf("CREATE TABLE @records_%s PARTITION OF @records FOR VALUES FROM ('%s') TO ('%s')", from.Format("200601"), from.Format(time.RFC3339), from.AddDate(0, 1, 0).Format(time.RFC3339)))
	}
	const batch = 5000
	type load struct {
		items []*item
		block int32
	}
	loads := make(chan load, 2)
	var copying sync.WaitGroup
	for range 2 {
		copying.Go(func() {
			conn, err := pgx.Connect(context.Background(), s.opt.URL)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close(context.Background())
			for l := range loads {
				src := newCopySource(l.items, l.block, s.text, nil)
				if _, err := conn.PgConn().CopyFrom(context.Background(), src, s.copySQL); err != nil {
					b.Error(err)
				}
				src.close(true)
			}
		})
	}
	g := benchdata.New(n, benchSpan)
	sequences := map[int32]int64{}
	start := time.Now()
	for done := 0; done < n; done += batch {
		recs := g.Batch(min(batch, n-done))
		items := make([]*item, len(recs))
		for i, r := range recs {
			scope, err := s.makeScope(b.Context(), r.Scope())
			if err != nil {
				b.Fatal(err)
			}
			sequences[scope]++
			r.Sequence = sequences[scope]
			items[i] = &item{rec: r, scope: scope}
		}
		loads <- load{items, int32(done / (s.unitRows * s.blockUnits))}
		if done%250_000 == 0 {
			if err := s.summarize(b.Context()); err != nil {
				b.Fatal(err)
			}
			fmt.Fprintf(os.Stderr, "%d records in %v\n", done, time.Since(start).Round(time.Second))
		}
	}
	close(loads)
	copying.Wait()
	c.must(b, "SELECT setval('@units', $1)", n/s.unitRows)
	c.must(b, "VACUUM (ANALYZE) @records")
	c.must(b, "CHECKPOINT")
	for _, size := range []string{"table", "indexes"} {
		fmt.Fprintf(os.Stderr, "%s: %d bytes a record\n", size, c.number(b, "SELECT sum(pg_"+size+"_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = to_regclass('@records')")/int64(n))
	}
}

// BenchmarkQuestions asks for the newest 50 by each dimension, for frequent,
// rare and absent values.
func BenchmarkQuestions(b *testing.B) {
	s := benchTables(b)
	type question struct {
		name  string
		limit float64 // of its p95, in milliseconds
		ask   func(i int) *audit.Query
	}
	var questions []question
	add := func(name string, limit float64, ask func(i int) *audit.Query) {
		questions = append(questions, question{name: name, limit: limit, ask: ask})
	}
	is := func(field string, values ...string) func(int) *audit.Query {
		return func(int) *audit.Query { return &audit.Query{Filters: []audit.Filter{audit.Is(field, values...)}} }
	}
	samples := sampleRecords(b, s)
	of := func(f *audit.Field) func(int) *audit.Query {
		return func(i int) *audit.Query { return is(f.Name, f.Text(samples[i%len(samples)]))(i) }
	}
	add("time", 10, func(int) *audit.Query { return &audit.Query{} })
	add("time/in-window", 10, func(i int) *audit.Query { return &audit.Query{To: samples[i%len(samples)].OccurredAt} })
	add("tenant/frequent", 10, is("tenant", "tenant-3"))
	add("tenant/rare", 10, is("tenant", "tenant-33"))
	add("tenant/absent", 10, is("tenant", benchdata.Absent))
	add("failures", 10, is("outcome", "denied", "failure"))
	add("denials-of-tenant", 10, func(int) *audit.Query {
		return &audit.Query{Filters: []audit.Filter{audit.Is("outcome", "denied"), audit.Is("tenant", "tenant-3")}}
	})
	for _, name := range indexed {
		f, _ := audit.FieldByName(name)
		add(name+"/sample", 10, of(f))
		add(name+"/rare-4", 10, is(name, benchdata.Rare))
		add(name+"/rare-5", 10, is(name, benchdata.Rarest))
		add(name+"/absent", 10, is(name, benchdata.Absent))
	}
	for _, f := range audit.Dimensions() {
		switch {
		case slices.Contains(indexed, f.Name), f.Name == "id", f.Name == "namespace", f.Name == "tenant":
		case f.Kind == audit.Text:
			add(f.Name+"/sample", 300, of(f))
			add(f.Name+"/rare-4", 300, is(f.Name, benchdata.Rare))
			add(f.Name+"/rare-5", 300, is(f.Name, benchdata.Rarest))
			add(f.Name+"/absent", 300, is(f.Name, benchdata.Absent))
		case f.Kind == audit.Number:
			add(f.Name+"/sample", 300, of(f))
			add(f.Name+"/rare-4", 300, is(f.Name, strconv.Itoa(benchdata.RareNumber)))
			add(f.Name+"/rare-5", 300, is(f.Name, strconv.Itoa(benchdata.RarestNumber)))
			add(f.Name+"/absent", 300, is(f.Name, strconv.Itoa(benchdata.AbsentNumber)))
			least := int64(benchdata.RareNumber)
			add(f.Name+"/range", 300, func(int) *audit.Query {
				return &audit.Query{Filters: []audit.Filter{{Field: f.Name, Op: audit.OpRange, Min: &least}}}
			})
		}
	}
	for _, key := range []string{"env", "region", "build", "ticket"} {
		add("metadata."+key+"/sample", 300, func(i int) *audit.Query {
			v, _ := audit.MetadataValue(samples[i%len(samples)].Metadata, key)
			return is("metadata."+key, v)(i)
		})
		add("metadata."+key+"/absent", 300, is("metadata."+key, benchdata.Absent))
	}
	add("metadata/rare-4", 300, is("metadata."+benchdata.RareKey, benchdata.Rare))
	add("metadata/rare-5", 300, is("metadata."+benchdata.RareKey, benchdata.Rarest))
	add("metadata/no-key", 300, is("metadata.none", "prod"))
	both := func(filters ...audit.Filter) func(int) *audit.Query {
		return func(int) *audit.Query { return &audit.Query{Filters: filters} }
	}
	add("tenant+host/rare-4", 300, both(audit.Is("tenant", "tenant-3"), audit.Is("host", benchdata.Rare)))
	add("tenant-rare+host", 300, both(audit.Is("tenant", "tenant-33"), audit.Is("host", "node-1")))
	add("tenant+metadata/rare-4", 300, both(audit.Is("tenant", "tenant-3"), audit.Is("metadata."+benchdata.RareKey, benchdata.Rare)))
	add("actor+action", 300, both(audit.Is("actor", "user-7"), audit.Is("action", "tool.update")))
	// These have no index and read everything.
	add("metadata.env/not", 10_000, both(audit.Not("metadata.env", "prod")))
	add("path/prefix-absent", 10_000, both(audit.Prefix("path", "/v9")))
	if s.text {
		text := func(text string) func(int) *audit.Query {
			return func(int) *audit.Query { return &audit.Query{Text: text} }
		}
		add("text/frequent", 300, text("customer"))
		add("text/rare", 300, text("T 4242"))
		add("text/absent", 300, text("nowhere"))
		add("text/two", 300, text("denied policy"))
		add("text/tenant", 300, func(int) *audit.Query {
			return &audit.Query{Text: "4242", Filters: []audit.Filter{audit.Is("tenant", "tenant-3")}}
		})
	}
	for _, q := range questions {
		b.Run(q.name, func(b *testing.B) {
			rounds := 60
			switch {
			case q.limit > 300:
				rounds = 2
			case q.limit > 10:
				rounds = 10
			}
			for range b.N {
				var took []time.Duration
				var cpu time.Duration
				for i := range rounds + 2 {
					if i == 2 {
						cpu = serverCPU(b, s)
					}
					start := time.Now()
					page, err := s.Query(b.Context(), q.ask(i))
					if err != nil {
						b.Fatal(err)
					}
					if i >= 2 { // the first ones make plans
						took = append(took, time.Since(start))
					}
					if absent := strings.HasSuffix(q.name, "absent"); absent && len(page.Records) > 0 {
						b.Fatalf("%d records", len(page.Records))
					}
				}
				p95 := benchQuantile(took, 0.95)
				b.ReportMetric(benchQuantile(took, 0.5), "p50-ms")
				b.ReportMetric(p95, "p95-ms")
				b.ReportMetric(float64((serverCPU(b, s)-cpu).Microseconds())/1000/float64(rounds), "cpu-ms")
				b.ReportMetric(0, "ns/op")
				if p95 > q.limit {
					fmt.Fprintf(os.Stderr, "%s: p95 %.1f ms, wanted %.0f\n", q.name, p95, q.limit)
				}
			}
		})
	}
}

func benchQuantile(took []time.Duration, p float64) float64 {
	slices.Sort(took)
	return float64(took[int(p*float64(len(took)-1))].Microseconds()) / 1000
}

// serverCPU is the processor's time of the server's processes for the store,
// which says more than the clock where others use the machine too; 0 where the
// server runs on another one.
func serverCPU(b *testing.B, s *Store) (total time.Duration) {
	b.Helper()
	rows, err := s.main.Query(b.Context(), "SELECT pid FROM pg_stat_activity WHERE application_name = $1", s.opt.ApplicationName)
	if err != nil {
		b.Fatal(err)
	}
	var pid int
	if _, err := pgx.ForEachRow(rows, []any{&pid}, func() error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if err != nil {
			return nil
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		total += time.Duration(n)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return total
}

// sampleRecords gives records from all over the span.
func sampleRecords(b *testing.B, s *Store) (out []*audit.Record) {
	b.Helper()
	for i := range 60 {
		page, err := s.Query(b.Context(), &audit.Query{Limit: 1, To: benchdata.Start.Add(time.Duration(i+1) * benchSpan / 60)})
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, page.Records...)
	}
	return out
}

// BenchmarkExport reads all records; one operation is one record.
func BenchmarkExport(b *testing.B) {
	s := benchTables(b)
	n := 0
	start := time.Now()
	err := s.Scan(b.Context(), &audit.Query{Order: audit.OldestFirst}, func(*audit.Record) error { n++; return nil })
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "rec/s")
}

// BenchmarkCount counts.
func BenchmarkCount(b *testing.B) {
	s := benchTables(b)
	for name, q := range map[string]*audit.Query{
		"all":           {},
		"tenant":        {Filters: []audit.Filter{audit.Is("tenant", "tenant-3")}},
		"actor":         {Filters: []audit.Filter{audit.Is("actor", "user-7")}},
		"host":          {Filters: []audit.Filter{audit.Is("host", "node-1")}},
		"host-rare":     {Filters: []audit.Filter{audit.Is("host", benchdata.Rare)}},
		"metadata-rare": {Filters: []audit.Filter{audit.Is("metadata."+benchdata.RareKey, benchdata.Rare)}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Count(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
