package elasticsearch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// benchServer gives options of a store on a server with a heap of a gigabyte.
func benchServer(b *testing.B) Options {
	b.Helper()
	s := enginetest.StartSearch(b, enginetest.SearchOptions{HeapMB: 1024, Optimized: true})
	return Options{URL: s.URL()}
}

// BenchmarkAppend writes the same records by turns in three ways, each into
// indices of its own, a batch raw, a batch plain, a batch chained and so on, and
// counts them afterwards; use -benchtime=1x. The raw way is a bulk request of
// documents that were encoded beforehand, to the same mapping; the others make
// theirs as they go. The first fifth warms the server up and is not counted.
func BenchmarkAppend(b *testing.B) {
	opt := benchServer(b)
	for _, size := range []int{500, 5000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			stores := map[string]*Store{}
			for _, way := range ways {
				opt.Prefix = fmt.Sprintf("b%d-%s_", size, way)
				stores[way] = openStore(b, opt)
				defer drop(b, opt)
			}
			for b.Loop() {
				benchAppend(b, stores, size)
			}
		})
	}
}

var ways = []string{"raw", "plain", "chained"}

func benchAppend(b *testing.B, stores map[string]*Store, size int) {
	records := 50_000
	if testing.Short() {
		records = 20_000
	}
	g := benchdata.New(records, 24*time.Hour)
	took := map[string]time.Duration{}
	for i := range records / size {
		batch := g.Batch(size)
		body := rawBody(batch)
		for turn := range ways {
			way := ways[(i+turn)%len(ways)]
			began := time.Now()
			if err := writeBatch(b.Context(), stores[way], way, storetest.CloneAll(batch), body); err != nil {
				b.Fatal(err)
			}
			if i >= records/size/5 {
				took[way] += time.Since(began)
			}
		}
	}
	counted := float64(records - records/size/5*size)
	for _, way := range ways {
		refreshed(b, stores[way])
		if n, err := stores[way].Count(b.Context(), &audit.Query{}); err != nil || n < int64(records) {
			b.Fatalf("%s: %d records are there, %v, want %d", way, n, err, records)
		}
		b.ReportMetric(counted/took[way].Seconds(), way+"-records/s")
	}
	b.ReportMetric(took["raw"].Seconds()/took["plain"].Seconds(), "plain/raw")
	b.ReportMetric(took["raw"].Seconds()/took["chained"].Seconds(), "chained/raw")
	b.ReportMetric(0, "ns/op")
}

func rawBody(batch []*audit.Record) []byte {
	var body []byte
	for _, r := range batch {
		body = append(append(append(body, `{"create":{"_id":"`...), documentID(r.Ref())...), `"}}`+"\n"...)
		body = append(appendDocument(body, r, true), '\n')
	}
	return body
}

func writeBatch(ctx context.Context, s *Store, way string, batch []*audit.Record, body []byte) error {
	var results []audit.Result
	var err error
	switch way {
	case "raw":
		return rawBulk(ctx, s.opt.URL+"/"+s.generation(1)+"/_bulk", body)
	case "plain":
		results, err = s.Append(ctx, batch)
	default:
		results, err = s.AppendChained(ctx, batch)
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	return err
}

func rawBulk(ctx context.Context, url string, body []byte) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode == http.StatusOK {
			return err
		}
		if res.StatusCode != http.StatusTooManyRequests {
			return fmt.Errorf("%s", res.Status)
		}
	}
}

// BenchmarkQuestions asks a store of a million records (a hundred thousand with
// -short) and gives the 95th percentile of each question.
func BenchmarkQuestions(b *testing.B) {
	records := 1_000_000
	if testing.Short() {
		records = 100_000
	}
	opt := benchServer(b)
	s := openStore(b, opt)
	g := benchdata.New(records, 90*24*time.Hour)
	for range records / 5000 {
		if _, err := s.Append(b.Context(), g.Batch(5000)); err != nil {
			b.Fatal(err)
		}
	}
	refreshed(b, s)
	from, to := benchdata.Start, benchdata.Start.Add(90*24*time.Hour)
	page := func(q audit.Query) func() error {
		return func() error {
			v, err := q.Validate()
			if err == nil {
				_, err = s.Query(context.Background(), v)
			}
			return err
		}
	}
	sample := g.Next()
	text := strings.Fields(audit.SearchText(sample))
	for name, ask := range map[string]func() error{
		"text/one word":  page(audit.Query{Text: text[len(text)/2]}),
		"text/two words": page(audit.Query{Text: text[0] + " " + text[len(text)/2]}),
		"text/rare":      page(audit.Query{Text: benchdata.Rare}),
		"text/no hit":    page(audit.Query{Text: "zzzznothing"}),
		"newest":         page(audit.Query{}),
		"tenant":         page(audit.Query{Filters: []audit.Filter{audit.Is("tenant", sample.Tenant)}}),
		"overview":       func() error { _, err := s.Overview(context.Background(), &audit.Query{}); return err },
		"performance":    func() error { _, err := s.Performance(context.Background(), &audit.Query{}); return err },
		"series by hour": func() error {
			_, err := s.Timeseries(context.Background(), &audit.Query{From: from, To: to}, "hour")
			return err
		},
		"breakdown":  func() error { _, err := s.Breakdown(context.Background(), &audit.Query{}, "tool_name", 10); return err },
		"enrichment": func() error { _, err := s.Enrichment(context.Background(), &audit.Query{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := ask(); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}

// BenchmarkEncode is what a record costs on this side.
func BenchmarkEncode(b *testing.B) {
	recs := storetest.CloneAll(benchdata.New(100, time.Hour).Batch(100))
	var buf []byte
	i := 0
	for b.Loop() {
		buf = appendDocument(buf[:0], recs[i%len(recs)], true)
		i++
	}
	b.SetBytes(int64(len(buf)))
}
