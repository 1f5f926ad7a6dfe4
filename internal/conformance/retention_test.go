package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/retention"
	"github.com/annals-dev/annals/store/sqlite"
)

// deletions is an observer that notes what each deletion deleted.
type deletions struct {
	mu      sync.Mutex
	batches []int
}

func (d *deletions) Observe(_ context.Context, op audit.Operated) {
	if op.Name == "delete_expired" && op.Records > 0 {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.batches = append(d.batches, op.Records)
	}
}

// expiring gives a trail over a SQLite file with total records in its chain, of
// which every fourth has expired.
func expiring(tb testing.TB, total, batch int, opt sqlite.Options) (*annals.Trail, *deletions) {
	tb.Helper()
	opt.Path = filepath.Join(tb.TempDir(), "annals.db")
	store, err := sqlite.Open(tb.Context(), opt)
	if err != nil {
		tb.Fatal(err)
	}
	seen := &deletions{}
	trail, err := annals.New(store, annals.Options{
		Policy: policy.Config{Level: policy.All}, Durability: recorder.Sync, Observer: seen,
		Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute, Retention: retention.Options{BatchSize: batch},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := trail.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	past := time.Now().Add(-time.Hour)
	evs := make([]*audit.Event, 0, 2000)
	for i := range total {
		ev := call(i)
		if i%4 == 0 {
			ev.ExpiresAt = past
		}
		evs = append(evs, ev)
		if len(evs) == cap(evs) || i == total-1 {
			for _, r := range trail.RecordSync(tb.Context(), evs) {
				if r.Err != nil {
					tb.Fatal(r.Err)
				}
			}
			evs = evs[:0]
		}
	}
	return trail, seen
}

// call is an event of the usual size.
func call(i int) *audit.Event {
	return &audit.Event{
		Tenant: "acme", Action: "tool.run", ActionID: fmt.Sprintf("act-%d", i), Duration: time.Duration(i%500) * time.Millisecond,
		Actor:    audit.Actor{Type: "user", ID: fmt.Sprintf("user-%d", i%50), Email: fmt.Sprintf("u%d@example.com", i%50), SessionID: fmt.Sprintf("s-%d", i%500)},
		Resource: audit.Resource{Type: "table", ID: fmt.Sprintf("sales.orders_%d", i%300)},
		Tool:     audit.Tool{Name: fmt.Sprintf("tool-%d", i%20), Kind: "trino", Connection: "warehouse"},
		Request:  audit.Request{CorrelationID: fmt.Sprintf("c-%d", i/3), TraceID: fmt.Sprintf("%032x", i)},
		Payload:  fmt.Appendf(nil, `{"statement":"SELECT customer, sum(total) FROM orders WHERE day = %d GROUP BY customer","note":"%064x"}`, i%365, i),
		Metadata: []byte(`{"env":"prod","region":"eu-1"}`),
	}
}

// Of 200,000 records 50,000 have expired: they go in five transactions of
// 10,000, what a hold keeps stays, and the chain says what went and why.
func TestRetentionInFiveTransactions(t *testing.T) {
	total := 200_000
	if testing.Short() {
		total = 20_000
	}
	if underRace {
		total = 5_000
	}
	batch := total / 20
	trail, seen := expiring(t, total, batch, sqlite.Options{LosePowerFailure: true, NoFullText: true})
	ctx := t.Context()
	const held = 100
	for i := range held {
		ev := call(i)
		ev.Tenant, ev.ExpiresAt = "held", time.Now().Add(-time.Hour)
		if _, err := trail.Record(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := trail.AddHold(ctx, retention.Hold{Reason: "case 7", Params: "tenant=held"}); err != nil {
		t.Fatal(err)
	}
	plan, err := trail.RetentionPlan(ctx)
	if err != nil || plan.Deleted != int64(total/4) || plan.Expired != plan.Deleted || plan.Held != held {
		t.Fatalf("plan: %+v, %v", plan, err)
	}
	events := audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}

	run, err := trail.RetentionRun(ctx)
	if err != nil || run.Deleted != plan.Deleted || run.Expired != plan.Deleted || run.Batches != 5 {
		t.Fatalf("run: %+v, %v", run, err)
	}
	if want := slices.Repeat([]int{batch}, 5); !slices.Equal(seen.batches, want) {
		t.Errorf("deletions of %v, want %v", seen.batches, want)
	}
	if left, err := trail.Count(ctx, &events); err != nil || left != int64(total-total/4+held) {
		t.Errorf("%d are left, %v", left, err)
	}
	anchors, err := trail.Count(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("kind", "prune")}})
	if err != nil || anchors != int64(5*((batch-1)/chain.MaxRuns+1)) {
		t.Errorf("%d anchors, %v", anchors, err)
	}
	reports, err := trail.Verify(ctx, audit.Scope{Tenant: "acme"}, chain.VerifyOptions{})
	if err != nil || len(reports) != 1 || !reports[0].Valid {
		t.Fatalf("%+v, %v", reports, err)
	}
	var pruned int64
	for _, p := range reports[0].Pruned {
		pruned += p.Last - p.First + 1
		if p.Reason != "expired" {
			t.Fatalf("%+v", p)
		}
	}
	if pruned != int64(total/4) || reports[0].RecordsChecked != int64(total-total/4)+anchors {
		t.Errorf("%d pruned, %d checked", pruned, reports[0].RecordsChecked)
	}
	if plan, err := trail.RetentionPlan(ctx); err != nil || plan.Deleted != 0 {
		t.Errorf("the plan afterwards: %+v, %v", plan, err)
	}
}

// A thousand legal holds, as many as there may be, on every engine.
func TestAThousandHolds(t *testing.T) {
	for name, harness := range engines {
		t.Run(name, func(t *testing.T) {
			skipServers(t, name)
			h := harness(t)
			store := h.New(t)
			trail, err := annals.New(store, annals.Options{
				Policy: policy.Config{Level: policy.All}, Durability: recorder.Sync, TTL: time.Nanosecond, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			keeper, ok := audit.As[audit.Keeper](store)
			if !ok {
				t.Skip("the engine keeps no documents, and so no holds")
			}
			var holds []retention.Hold
			for i := range retention.MaxHolds {
				holds = append(holds, retention.Hold{ID: audit.NewID().String(), Reason: "case", Params: fmt.Sprintf("tenant=t%d&actor=a%d", i, i)})
			}
			doc, err := json.Marshal(holds)
			if err != nil {
				t.Fatal(err)
			}
			// All at once; a change of the key would show in the plan.
			if err := keeper.Save(t.Context(), audit.HoldsKey, doc, 0); err != nil {
				t.Fatal(err)
			}
			var evs []*audit.Event
			for i := range 40 {
				tenant := i * 25
				for _, actor := range []int{tenant, tenant + 1} {
					evs = append(evs, &audit.Event{Action: "a.b", Tenant: fmt.Sprintf("t%d", tenant), Actor: audit.Actor{ID: fmt.Sprintf("a%d", actor)}})
				}
			}
			for _, r := range trail.RecordSync(t.Context(), evs) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			if h.Settle != nil {
				h.Settle(t, store)
			}
			plan, err := trail.RetentionPlan(t.Context())
			if err != nil || plan.Deleted != 40 || plan.Held != 40 {
				t.Errorf("%+v, %v", plan, err)
			}
			run, err := trail.RetentionRun(t.Context())
			if err != nil || run.Deleted != 40 {
				t.Errorf("%+v, %v", run, err)
			}
			if _, err := trail.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkInsertsDuringRetention compares how long single events take to be
// stored, from eight goroutines, while retention deletes 50,000 of 200,000
// records and while it does not. In the paced runs each goroutine sends forty a
// second, come what may, and the time counts from when an event was due: so
// every event that would have come while a batch holds the file counts too.
func BenchmarkInsertsDuringRetention(b *testing.B) {
	for _, c := range []struct {
		name  string
		text  bool
		batch int
		pace  time.Duration
	}{
		{"plain", false, 10_000, 0},
		{"plain,paced", false, 10_000, 25 * time.Millisecond},
		{"plain,paced,batches of 250", false, 250, 25 * time.Millisecond},
		{"full text", true, 10_000, 0},
		{"full text,paced,batches of 250", true, 250, 25 * time.Millisecond},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				trail, seen := expiring(b, 200_000, c.batch, sqlite.Options{NoFullText: !c.text})
				b.StartTimer()
				alone := inserts(b, trail, c.pace, func() { time.Sleep(8 * time.Second) })
				var n int
				var err error
				start := time.Now()
				during := inserts(b, trail, c.pace, func() { n, err = trail.Cleanup(b.Context(), audit.Cut{ExpiredAt: time.Now()}, c.batch) })
				took := time.Since(start)
				if err != nil || n != 50_000 || len(seen.batches) != 50_000/c.batch {
					b.Fatalf("%d, %v, %v", n, seen.batches, err)
				}
				b.ReportMetric(took.Seconds(), "s/cleanup")
				b.ReportMetric(ms(during[len(during)*99/100])/ms(alone[len(alone)*99/100]), "p99-ratio")
				b.Logf("\n%s\n%s", figures("alone ", alone), figures("during", during))
			}
		})
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func figures(name string, took []time.Duration) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %d inserts:", name, len(took))
	for _, p := range []int{50, 90, 95, 99} {
		fmt.Fprintf(&s, " p%d %.1f ms", p, ms(took[len(took)*p/100]))
	}
	fmt.Fprintf(&s, " p99.9 %.1f max %.1f ms", ms(took[len(took)*999/1000]), ms(took[len(took)-1]))
	return s.String()
}

// inserts records single events until fn returns, and gives how long each took,
// in order of length. pace is from one event of a goroutine to its next; 0 is
// as fast as it goes.
func inserts(b *testing.B, trail *annals.Trail, pace time.Duration, fn func()) []time.Duration {
	var stop atomic.Bool
	var wg sync.WaitGroup
	took := make([][]time.Duration, 8)
	for w := range took {
		wg.Go(func() {
			due := time.Now().Add(pace * time.Duration(w) / time.Duration(len(took)))
			for i := w; !stop.Load(); i += len(took) {
				if pace == 0 {
					due = time.Now()
				}
				time.Sleep(time.Until(due))
				if _, err := trail.Record(b.Context(), call(i)); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(due))
				due = due.Add(pace)
			}
		})
	}
	fn()
	stop.Store(true)
	wg.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	return all
}
