package clickhouse

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/redact"
)

// BenchmarkWay has events come in at the door and go the whole way: policy,
// redaction, the recorder's queue and batches of 5,000, chained or not; use
// -benchtime=1x. BenchmarkAppend has the driver's side, of the same events.
func BenchmarkWay(b *testing.B) {
	server := enginetest.StartClickHouse(b)
	for _, way := range []string{"chained", "unchained"} {
		b.Run(way, func(b *testing.B) {
			for range b.N {
				name := "way_" + strconv.FormatUint(newInsert(), 16)
				s := opened(b, strings.TrimSuffix(server.DirectURL(), "default")+name, func(o *Options) { o.NoFullText, o.Fsync = true, true })
				benchTrail(b, s, way == "unchained")
				run(b, s, "DROP DATABASE "+name+" SYNC")
			}
		})
	}
}

// keptOpen is a store that the end of a trail does not close.
type keptOpen struct{ audit.Store }

func (keptOpen) Close() error          { return nil }
func (s keptOpen) Unwrap() audit.Store { return s.Store }

func benchTrail(b *testing.B, s *Store, unchained bool) {
	const records = 100_000
	trail, err := annals.New(keptOpen{s}, annals.Options{
		Policy: policy.Config{Level: policy.All}, Unchained: unchained, FlushSize: bestBatch, Capacity: 4 * records, CapacityBytes: 1 << 30,
		Redact: redact.Config{Enabled: true, Fields: []string{"password", "payload.arguments.note"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	g := benchdata.New(records, 30*24*time.Hour)
	events := make([]*audit.Event, records)
	for i, r := range g.Batch(records) {
		r.ID, r.ExternalID = audit.ID{}, "" // the door makes it
		events[i] = &r.Event
	}
	start := time.Now()
	for _, ev := range events {
		if _, err := trail.Record(b.Context(), ev); err != nil {
			b.Fatal(err)
		}
	}
	if err := trail.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	elapsed := time.Since(start)
	if n, err := s.number(context.Background(), "SELECT count() FROM "+s.records+" WHERE kind='event'"); err != nil || n != records {
		b.Fatalf("%d of %d events are stored, %v", n, records, err)
	}
	if _, err := trail.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(records/elapsed.Seconds(), "rec/s")
	b.ReportMetric(0, "ns/op")
}
