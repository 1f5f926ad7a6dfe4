package clickhouse

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
	"github.com/annals-dev/annals/internal/enginetest"
)

// BenchmarkAppend writes records in batches, each way into tables of its own,
// and counts them afterwards; use -benchtime=1x. The raw way is a columnar batch
// of clickhouse-go with the same fields into the same tables with the same
// indexes, with the driver's own settings; columns are made from the records as
// they go, as in the others.
func BenchmarkAppend(b *testing.B) {
	server := enginetest.StartClickHouse(b)
	for _, size := range []int{500, 5000} {
		for _, way := range []string{"raw", "plain", "chained", "plain,text", "chained,text"} {
			b.Run(fmt.Sprintf("batch=%d/%s", size, way), func(b *testing.B) {
				for range b.N {
					name := "bench_" + strconv.FormatUint(newInsert(), 16)
					s := opened(b, strings.TrimSuffix(server.DirectURL(), "default")+name, func(o *Options) {
						o.NoFullText, o.Fsync = !strings.Contains(way, "text"), true
					})
					benchWay(b, s, server.PID(), way, size)
					run(b, s, "DROP DATABASE "+name+" SYNC")
				}
			})
		}
	}
}

// cpuOf gives the time that processors have worked for a process (proc(5), stat).
func cpuOf(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		b.Skip("the time of processors is read from /proc: ", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func benchWay(b *testing.B, s *Store, server int, way string, size int) {
	records := 100_000
	if size < 1000 {
		records = 30_000
	}
	g := benchdata.New(records, 30*24*time.Hour)
	batches := make([][]*audit.Record, records/size)
	for i := range batches {
		batches[i] = g.Batch(size)
		for _, r := range batches[i] {
			r.RecordedAt = benchdata.Start.Add(time.Minute) // of one month, as in life
		}
	}
	ctx := b.Context()
	add := func(recs []*audit.Record) error { _, err := s.Append(ctx, recs); return err }
	switch {
	case way == "raw":
		add = func(recs []*audit.Record) error { return rawBatch(ctx, s.conn, s.records, recs) }
	case strings.HasPrefix(way, "chained"):
		add = func(recs []*audit.Record) error { _, err := s.AppendChained(ctx, recs); return err }
	}
	var took []time.Duration
	servers, ours := cpuOf(b, server), cpuOf(b, os.Getpid())
	begin := time.Now()
	for _, recs := range batches {
		start := time.Now()
		if err := add(recs); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	elapsed := time.Since(begin)
	b.ReportMetric(float64((cpuOf(b, server)-servers).Microseconds())/float64(records), "server-µs/rec")
	b.ReportMetric(float64((cpuOf(b, os.Getpid())-ours).Microseconds())/float64(records), "client-µs/rec")
	if n, err := s.number(context.Background(), "SELECT count() FROM "+s.records); err != nil || n != uint64(records) {
		b.Fatalf("%d records are stored, %v", n, err)
	}
	b.ReportMetric(float64(records)/elapsed.Seconds(), "rec/s")
	b.ReportMetric(float64(benchQuantile(took, 0.5).Microseconds())/1000, "p50-ms/batch")
	b.ReportMetric(0, "ns/op")
	if os.Getenv("ANNALS_BENCH_SIZE") != "" {
		run(b, s, "OPTIMIZE TABLE "+s.records+" FINAL")
		bytes, _ := s.number(ctx, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database=currentDatabase() AND table="+text(s.records))
		b.ReportMetric(float64(bytes)/float64(records), "bytes/rec")
	}
}

// rawBatch is what one writes with clickhouse-go by hand.
func rawBatch(ctx context.Context, conn driver.Conn, table string, recs []*audit.Record) error {
	fields := audit.Fields()
	made := make([]any, len(fields))
	parallel(len(fields), func(i int) { made[i] = fieldColumn(fields[i], recs) })
	names, columns := []string{columnMonth}, []any{values(recs, month)}
	for i, f := range fields {
		if made[i] != nil {
			names, columns = append(names, f.Name), append(columns, made[i])
		}
	}
	batch, err := conn.PrepareBatch(driver.Context(ctx, driver.WithSettings(driver.Settings{"low_cardinality_allow_in_native_format": 1})), "INSERT INTO "+table+" ("+strings.Join(names, ",")+")")
	if err != nil {
		return err
	}
	for i, values := range columns {
		if err := batch.Column(i).Append(values); err != nil {
			return err
		}
	}
	return batch.Send()
}

func benchQuantile(took []time.Duration, p float64) time.Duration {
	took = slices.Sorted(slices.Values(took))
	return took[int(p*float64(len(took)-1))]
}

// BenchmarkQuestions fills tables with records of 90 days, 5,000,000 or what
// ANNALS_BENCH_RECORDS says, and asks questions and statistics; use -benchtime=1x.
func BenchmarkQuestions(b *testing.B) {
	records := 5_000_000
	if n, err := strconv.Atoi(os.Getenv("ANNALS_BENCH_RECORDS")); err == nil {
		records = n
	}
	server := enginetest.StartClickHouse(b)
	s := opened(b, server.DirectURL(), func(o *Options) { o.NoFullText = os.Getenv("ANNALS_BENCH_TEXT") == "" })
	span := 90 * 24 * time.Hour
	g := benchdata.New(records, span)
	begin := time.Now()
	for left := records; left > 0; left -= 20_000 {
		if _, err := s.Append(b.Context(), g.Batch(min(left, 20_000))); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Fprintf(os.Stderr, "%d records in %v\n", records, time.Since(begin).Round(time.Second))
	state, err := s.State(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, state)
	end := benchdata.Start.Add(span)
	all := audit.Query{From: benchdata.Start.Add(13 * time.Minute), To: end.Add(-29 * time.Minute)}
	ask := func(name string, fn func(ctx context.Context) error) {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				var took []time.Duration
				for i := range 12 {
					start := time.Now()
					if err := fn(b.Context()); err != nil {
						b.Fatal(err)
					}
					if i >= 2 {
						took = append(took, time.Since(start))
					}
				}
				b.ReportMetric(float64(benchQuantile(took, 0.5).Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(benchQuantile(took, 1).Microseconds())/1000, "max-ms")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
	for name, q := range map[string]audit.Query{
		"newest": {}, "newest of a tenant": {Filters: []audit.Filter{audit.Is("tenant", "tenant-3")}},
		"an actor": {Filters: []audit.Filter{audit.Is("actor", "user-17")}}, "a rare trace": {Filters: []audit.Filter{audit.Is("trace_id", benchdata.Rarest)}},
		"a rare host": {Filters: []audit.Filter{audit.Is("host", benchdata.Rarest)}}, "metadata": {Filters: []audit.Filter{audit.Is("metadata."+benchdata.RareKey, benchdata.Rarest)}},
		"failures": {Filters: []audit.Filter{audit.Is("outcome", "failure", "denied")}},
	} {
		valid, err := q.Validate()
		if err != nil {
			b.Fatal(err)
		}
		ask("page/"+name, func(ctx context.Context) error { _, err := s.Query(ctx, valid); return err })
	}
	page, err := s.Query(b.Context(), &audit.Query{Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	ask("get", func(ctx context.Context) error { _, err := s.Get(ctx, page.Records[0].Ref()); return err })
	ask("count", func(ctx context.Context) error { _, err := s.Count(ctx, &all); return err })
	ask("overview", func(ctx context.Context) error { _, err := s.Overview(ctx, &all); return err })
	ask("series-by-hour", func(ctx context.Context) error { _, err := s.Timeseries(ctx, &all, analytics.Hour); return err })
	ask("performance", func(ctx context.Context) error { _, err := s.Performance(ctx, &all); return err })
	ask("discovery", func(ctx context.Context) error {
		_, err := s.Discovery(ctx, &all, analytics.DiscoveryKinds{})
		return err
	})
	ask("enrichment", func(ctx context.Context) error { _, err := s.Enrichment(ctx, &all); return err })
	for _, d := range []string{"tool_name", "actor", "action", "tenant"} {
		ask("breakdown-"+d, func(ctx context.Context) error { _, err := s.Breakdown(ctx, &all, d, 0); return err })
	}
	ask("distinct-tool_name", func(ctx context.Context) error { _, err := s.Distinct(ctx, &all, "tool_name"); return err })
	ask("distinct-pairs", func(ctx context.Context) error {
		_, err := s.DistinctPairs(ctx, &all, "tool_name", "toolkit_kind")
		return err
	})
}
