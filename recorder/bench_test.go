package recorder

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// typicalEvent has fifteen short texts, 200 bytes of payload and a little metadata.
func typicalEvent() *audit.Event {
	return &audit.Event{
		Namespace: "prod", Tenant: "acme", Action: "tool.create", ActionID: "act-7f3a",
		Actor:    audit.Actor{Type: "user", ID: "u-4711", Email: "ada@example.com", IP: "10.1.2.3", SessionID: "s-99"},
		Resource: audit.Resource{Type: "tool", ID: "t-815", Name: "search"},
		Source:   audit.Source{Service: "gateway", Host: "gw-1"},
		Request:  audit.Request{ID: "r-1", CorrelationID: "c-1", Method: "POST", Path: "/v1/tools"},
		Payload: []byte(`{"name":"search","kind":"trino","enabled":true,"limits":{"rows":1000,"seconds":30},` +
			`"description":"looks up orders by customer and day","tags":["orders","customers"],"owner":"data-platform-team"}`),
		Metadata: []byte(`{"env":"prod","region":"eu-1"}`),
	}
}

func discard(_ context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return make([]audit.Result, len(recs)), nil
}

func benchRecorder(b *testing.B, opt Options) *Recorder {
	b.Helper()
	r, err := New(discard, opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close(context.Background()) })
	return r
}

func benchRecord(b *testing.B, opt Options, ev *audit.Event, want audit.Status) {
	r := benchRecorder(b, opt)
	ctx := context.Background()
	benchMedian(b, func() {
		if receipt, err := r.Record(ctx, ev); err != nil || receipt.Status != want {
			b.Fatal(receipt, err)
		}
	})
}

// benchMedian reports the median as well as the mean: what a call costs its
// caller, whatever else the machine is doing. Calls are timed in groups, so
// that the clock is not what is measured.
func benchMedian(b *testing.B, op func()) {
	var m median
	b.ReportAllocs()
	m.start()
	for b.Loop() {
		op()
		m.tick()
	}
	m.report(b)
}

func benchMedianParallel(b *testing.B, op func()) {
	var mu sync.Mutex
	var all median
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		var m median
		m.start()
		for pb.Next() {
			op()
			m.tick()
		}
		mu.Lock()
		all.took = append(all.took, m.took...)
		mu.Unlock()
	})
	all.report(b)
}

type median struct {
	begin time.Time
	n     int
	took  []time.Duration
}

const medianGroup = 32

func (m *median) start() {
	m.took = make([]time.Duration, 0, 1<<16)
	m.begin = time.Now()
}

func (m *median) tick() {
	if m.n++; m.n == medianGroup {
		now := time.Now()
		if len(m.took) < cap(m.took) {
			m.took = append(m.took, now.Sub(m.begin))
		}
		m.begin, m.n = now, 0
	}
}

func (m *median) report(b *testing.B) {
	if len(m.took) > 0 {
		slices.Sort(m.took)
		b.ReportMetric(float64(m.took[len(m.took)/2].Nanoseconds())/medianGroup, "p50-ns/op")
	}
}

func benchParallel(b *testing.B, opt Options, ev *audit.Event, want audit.Status) {
	r := benchRecorder(b, opt)
	ctx := context.Background()
	benchMedianParallel(b, func() {
		if receipt, err := r.Record(ctx, ev); err != nil || receipt.Status != want {
			b.Error(receipt, err)
		}
	})
}

func readEvent() *audit.Event {
	ev := typicalEvent()
	ev.Action = "tool.get"
	return ev
}

func BenchmarkRecordAsync(b *testing.B) {
	benchRecord(b, Options{}, typicalEvent(), audit.StatusQueued)
}

func BenchmarkRecordAsyncParallel(b *testing.B) {
	benchParallel(b, Options{}, typicalEvent(), audit.StatusQueued)
}

func BenchmarkRecordFiltered(b *testing.B) {
	benchRecord(b, Options{}, readEvent(), audit.StatusFiltered)
}

func BenchmarkRecordFilteredParallel(b *testing.B) {
	benchParallel(b, Options{}, readEvent(), audit.StatusFiltered)
}

func BenchmarkRecordFilteredChained(b *testing.B) {
	benchRecord(b, Options{Chained: true}, readEvent(), audit.StatusFiltered)
}

func BenchmarkRecordFilteredChainedParallel(b *testing.B) {
	benchParallel(b, Options{Chained: true}, readEvent(), audit.StatusFiltered)
}

func BenchmarkRecordFilteredChainedScopes(b *testing.B) {
	r := benchRecorder(b, Options{Chained: true})
	evs := make([]*audit.Event, 5000)
	for i := range evs {
		evs[i] = readEvent()
		evs[i].Tenant = fmt.Sprintf("tenant-%d", i)
		r.Record(context.Background(), evs[i])
	}
	ctx := context.Background()
	i := 0
	benchMedian(b, func() {
		r.Record(ctx, evs[i])
		if i++; i == len(evs) {
			i = 0
		}
	})
}

func BenchmarkRecordFilteredSampled(b *testing.B) {
	none := 0.0
	pol, err := policy.New(policy.Config{SampleRate: &none})
	if err != nil {
		b.Fatal(err)
	}
	ev := typicalEvent()
	ev.Request.CorrelationID = ""
	benchRecord(b, Options{Policy: pol}, ev, audit.StatusFiltered)
}

func BenchmarkRecordSync(b *testing.B) {
	benchRecord(b, Options{Durability: Sync}, typicalEvent(), audit.StatusRecorded)
}

func BenchmarkRecordSyncParallel(b *testing.B) {
	benchParallel(b, Options{Durability: Sync}, typicalEvent(), audit.StatusRecorded)
}

// The same event as one line of a log, which is what a caller would write instead.

func BenchmarkSlogJSON(b *testing.B) {
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	ev := typicalEvent()
	benchMedian(b, func() { slogLine(log, ev) })
}

func BenchmarkSlogJSONParallel(b *testing.B) {
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	ev := typicalEvent()
	benchMedianParallel(b, func() { slogLine(log, ev) })
}

func slogLine(log *slog.Logger, ev *audit.Event) {
	log.LogAttrs(context.Background(), slog.LevelInfo, ev.Action,
		slog.String("namespace", ev.Namespace), slog.String("tenant", ev.Tenant), slog.String("action_id", ev.ActionID),
		slog.String("actor_type", ev.Actor.Type), slog.String("actor", ev.Actor.ID), slog.String("actor_email", ev.Actor.Email),
		slog.String("actor_ip", ev.Actor.IP), slog.String("session_id", ev.Actor.SessionID),
		slog.String("resource_type", ev.Resource.Type), slog.String("resource", ev.Resource.ID), slog.String("resource_name", ev.Resource.Name),
		slog.String("service", ev.Source.Service), slog.String("host", ev.Source.Host),
		slog.String("request_id", ev.Request.ID), slog.String("correlation_id", ev.Request.CorrelationID),
		slog.String("method", ev.Request.Method), slog.String("path", ev.Request.Path),
		slog.Any("payload", ev.Payload), slog.Any("metadata", ev.Metadata))
}

func BenchmarkZerolog(b *testing.B) {
	log := zerolog.New(io.Discard).With().Timestamp().Logger()
	ev := typicalEvent()
	benchMedian(b, func() { zerologLine(&log, ev) })
}

func BenchmarkZerologParallel(b *testing.B) {
	log := zerolog.New(io.Discard).With().Timestamp().Logger()
	ev := typicalEvent()
	benchMedianParallel(b, func() { zerologLine(&log, ev) })
}

func zerologLine(log *zerolog.Logger, ev *audit.Event) {
	log.Info().
		Str("namespace", ev.Namespace).Str("tenant", ev.Tenant).Str("action_id", ev.ActionID).
		Str("actor_type", ev.Actor.Type).Str("actor", ev.Actor.ID).Str("actor_email", ev.Actor.Email).
		Str("actor_ip", ev.Actor.IP).Str("session_id", ev.Actor.SessionID).
		Str("resource_type", ev.Resource.Type).Str("resource", ev.Resource.ID).Str("resource_name", ev.Resource.Name).
		Str("service", ev.Source.Service).Str("host", ev.Source.Host).
		Str("request_id", ev.Request.ID).Str("correlation_id", ev.Request.CorrelationID).
		Str("method", ev.Request.Method).Str("path", ev.Request.Path).
		RawJSON("payload", ev.Payload).RawJSON("metadata", ev.Metadata).
		Msg(ev.Action)
}
