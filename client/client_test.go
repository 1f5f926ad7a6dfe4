package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/client"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// questions are what a trail and a client answer alike: a program can hold either.
type questions interface {
	Record(ctx context.Context, ev *audit.Event) (audit.Receipt, error)
	RecordBatch(ctx context.Context, evs []*audit.Event) []audit.Receipt
	RecordSync(ctx context.Context, evs []*audit.Event) []audit.Receipt
	Query(ctx context.Context, q *audit.Query, cursor string) (*annals.Page, error)
	Get(ctx context.Context, ref audit.Ref) (*audit.Record, error)
	Find(ctx context.Context, id string, scope *audit.Scope) (*audit.Record, error)
	GetAction(ctx context.Context, actionID string, scope *audit.Scope) (*audit.Record, error)
	Export(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error
	Tail(ctx context.Context, q *audit.Query, after audit.Position, fn func(*audit.Record) error) error
	Count(ctx context.Context, q *audit.Query) (int64, error)
	Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error)
	Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error)
	Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error)
	Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error)
	Discovery(ctx context.Context, q *audit.Query) (*analytics.Discovery, error)
	Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error)
	Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error)
	DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error)
	Chains(ctx context.Context, scope *audit.Scope) ([]chain.Head, error)
	Verify(ctx context.Context, scope audit.Scope, opt chain.VerifyOptions) ([]*chain.Report, error)
	Ping(ctx context.Context) error
}

var (
	_ questions = (*annals.Trail)(nil)
	_ questions = (*client.Client)(nil)
)

// rig is a client, its server, and the trail behind it. front may stand before
// the server's handler.
func rig(t *testing.T, front func(http.Handler) http.Handler) (*client.Client, *annals.Trail, *httptest.Server) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	trail, err := annals.New(memory.New(memory.Options{}), annals.Options{Policy: policy.Config{Level: policy.All}, Logger: log, FlushInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(trail, server.Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	h := srv.Handler()
	if front != nil {
		h = front(h)
	}
	hs := httptest.NewServer(h)
	c, err := client.New(hs.URL, client.Options{Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		hs.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := trail.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c, trail, hs
}

func fill(t *testing.T, trail *annals.Trail, n int) {
	t.Helper()
	end := time.Now().Add(-time.Hour)
	var evs []*audit.Event
	for i := range n {
		evs = append(evs, &audit.Event{
			Action: [...]string{"tool.create", "tool.get"}[i%2], Tenant: [...]string{"", "acme"}[i%2], ActionID: fmt.Sprintf("act/%d", i),
			OccurredAt: end.Add(-time.Duration(n-i) * time.Second), Duration: time.Duration(i) * 1500 * time.Microsecond,
			Actor:   audit.Actor{ID: fmt.Sprintf("user-%d", i%7), Email: fmt.Sprintf("u%d@example.com", i%7), SessionID: fmt.Sprintf("s-%d", i%5)},
			Tool:    audit.Tool{Name: fmt.Sprintf("tool-%d", i%4), Kind: [...]string{"datahub", "trino"}[i%2], Enrichment: audit.Enrichment{Applied: i%3 == 0, Mode: "full", TokensFull: 10}},
			Payload: json.RawMessage(`{"n":1e400,"big":18446744073709551616}`),
		})
	}
	for _, r := range trail.RecordSync(context.Background(), evs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// TestSameAnswers asks the client and the trail every question.
func TestSameAnswers(t *testing.T) {
	c, trail, _ := rig(t, nil)
	fill(t, trail, 300)
	ctx := context.Background()
	acme := &audit.Scope{Tenant: "acme"}
	low := int64(1000)
	to := time.Now().Add(time.Hour).Truncate(time.Second)
	q := &audit.Query{
		Filters: []audit.Filter{audit.Is("tenant", "acme", ""), audit.Not("actor", "user-1"), audit.Prefix("action", "tool."), {Field: "duration_ms", Op: audit.OpRange, Min: &low}},
		From:    to.AddDate(0, 0, -2), To: to, Order: audit.OldestFirst, Limit: 20,
	}
	first, err := trail.Query(ctx, q, "")
	if err != nil || len(first.Records) != 20 {
		t.Fatal(err, len(first.Records))
	}
	ref := first.Records[3].Ref()
	type answer struct {
		Value any
		Err   string
	}
	ask := func(name string, s questions) map[string]answer {
		out := map[string]answer{}
		put := func(name string, v any, err error) {
			a := answer{Value: v}
			if err != nil {
				var e *audit.Error
				if !errors.As(err, &e) {
					t.Errorf("%s: %s: %T is no *audit.Error: %v", name, name, err, err)
				}
				a = answer{Err: string(e.Code) + " " + e.Field}
			}
			out[name] = a
		}
		p, err := s.Query(ctx, q, "")
		put("query", p, err)
		next, err := s.Query(ctx, q, p.Next)
		put("next page", next.Records, err)
		_, err = s.Query(ctx, q, "bent")
		put("bad cursor", nil, err)
		_, err = s.Query(ctx, &audit.Query{Limit: 5000}, "")
		put("bad limit", nil, err)
		rec, err := s.Get(ctx, ref)
		put("get", rec, err)
		rec, err = s.Find(ctx, ref.ID.String(), nil)
		put("find", rec, err)
		_, err = s.Find(ctx, "nothing", acme)
		put("find nothing", nil, err)
		_, err = s.Find(ctx, "", nil)
		put("find empty", nil, err)
		rec, err = s.GetAction(ctx, "act/7", acme)
		put("action", rec, err)
		_, err = s.GetAction(ctx, "..", nil)
		put("action of dots", nil, err)
		_, err = s.GetAction(ctx, "", nil)
		put("action empty", nil, err)
		n, err := s.Count(ctx, q)
		put("count", n, err)
		overview, err := s.Overview(ctx, q)
		put("overview", overview, err)
		series, err := s.Timeseries(ctx, q, analytics.Hour)
		put("timeseries", series, err)
		_, err = s.Timeseries(ctx, q, "week")
		put("bad unit", nil, err)
		groups, err := s.Breakdown(ctx, q, "tool_name", 3)
		put("breakdown", groups, err)
		groups, err = s.Breakdown(ctx, q, "actor", 0)
		put("breakdown by default", groups, err)
		_, err = s.Breakdown(ctx, q, "shoe_size", 0)
		put("bad dimension", nil, err)
		performance, err := s.Performance(ctx, q)
		put("performance", performance, err)
		discovery, err := s.Discovery(ctx, q)
		put("discovery", discovery, err)
		enrichment, err := s.Enrichment(ctx, q)
		put("enrichment", enrichment, err)
		values, err := s.Distinct(ctx, q, "session_id")
		put("distinct", values, err)
		pairs, err := s.DistinctPairs(ctx, q, "actor", "actor_email")
		put("pairs", pairs, err)
		heads, err := s.Chains(ctx, nil)
		put("chains", heads, err)
		heads, err = s.Chains(ctx, acme)
		put("chains of a scope", heads, err)
		reports, err := s.Verify(ctx, *acme, chain.VerifyOptions{From: 3, To: 40})
		for _, r := range reports {
			if r.Pruned == nil {
				r.Pruned = []chain.Pruned{}
			}
		}
		put("verify", reports, err)
		gone := chain.Head{Key: chain.Key{Scope: *acme, Segment: "gone"}, Sequence: 3, Hash: heads[0].Hash}
		reports, err = s.Verify(ctx, *acme, chain.VerifyOptions{To: 2, Checkpoints: append(heads, gone)})
		for _, r := range reports {
			if r.Pruned == nil {
				r.Pruned = []chain.Pruned{}
			}
		}
		put("verify with kept heads", reports, err)
		_, err = s.Verify(ctx, audit.Scope{Tenant: "nobody"}, chain.VerifyOptions{})
		put("verify nothing", nil, err)
		var all []*audit.Record
		err = s.Export(ctx, q, func(r *audit.Record) error {
			kept := *r // the record is fn's until it returns
			all = append(all, &kept)
			return nil
		})
		put("export", all, err)
		stop := errors.New("stop")
		if err := s.Export(ctx, q, func(*audit.Record) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%s: export gives %v", name, err)
		}
		put("ping", nil, s.Ping(ctx))
		return out
	}
	if diff := cmp.Diff(ask("trail", trail), ask("client", c)); diff != "" {
		t.Errorf("the client differs from the trail (-trail +client):\n%s", diff)
	}
}

func TestPolicy(t *testing.T) {
	c, trail, _ := rig(t, nil)
	ctx := context.Background()
	p, err := c.Policy(ctx)
	if err != nil || p.Level != trail.Policy().Level || p.Disabled || p.SampleRate == nil || *p.SampleRate != 1 {
		t.Errorf("%+v %v", p, err)
	}
	ev := &audit.Event{ID: audit.NewID(), Action: "tool.get"}
	got, err := c.Explain(ctx, ev)
	if diff := cmp.Diff(trail.Explain(ev), got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := c.Explain(ctx, &audit.Event{Action: "a", Payload: json.RawMessage(`}`)}); audit.CodeOf(err) != audit.CodeInvalid {
		t.Error(err)
	}
}

func TestRecord(t *testing.T) {
	c, trail, _ := rig(t, nil)
	ctx := context.Background()
	ev := &audit.Event{Action: "tool.create", Actor: audit.Actor{ID: "alice"}}
	receipt, err := c.Record(ctx, ev)
	if err != nil || receipt.Status != audit.StatusQueued || receipt.ID.IsZero() {
		t.Fatalf("%+v %v", receipt, err)
	}
	if !ev.ID.IsZero() || !ev.OccurredAt.IsZero() {
		t.Error("the caller's event was changed")
	}
	if _, err := c.Record(ctx, &audit.Event{}); !errors.Is(err, audit.ErrInvalid) {
		t.Error(err)
	}
	big := strings.Repeat("x", 600<<10)
	batch := []*audit.Event{{Action: "a"}, {Action: "b", Payload: json.RawMessage(`{`)}, {ExternalID: "mine", Action: "c"}, {Action: "d", Metadata: json.RawMessage(`[]`)}}
	for range 30 { // more bytes than one request takes
		batch = append(batch, &audit.Event{Action: "big", Payload: json.RawMessage(`"` + big + `"`)})
	}
	receipts := c.RecordSync(ctx, batch)
	for i, r := range receipts {
		switch i {
		case 1, 3:
			var e *audit.Error
			if !errors.As(r.Err, &e) || e.Code != audit.CodeInvalid || e.Field != [...]string{1: "payload", 3: "metadata"}[i] || r.Status != audit.StatusRejected {
				t.Errorf("%d: %+v", i, r)
			}
		default:
			if r.Err != nil || r.Status != audit.StatusRecorded || r.Sequence == 0 || r.Hash.IsZero() || r.ID.IsZero() {
				t.Errorf("%d: %+v", i, r)
			}
		}
	}
	if rec, err := c.Find(ctx, "mine", nil); err != nil || rec.Action != "c" || rec.ExternalID != "mine" || rec.ID != receipts[2].ID {
		t.Errorf("%+v %v", rec, err)
	}
	clash := c.RecordSync(ctx, []*audit.Event{{ExternalID: "mine", Action: "other"}})
	if !errors.Is(clash[0].Err, audit.ErrConflict) || clash[0].Status != audit.StatusRejected {
		t.Errorf("%+v", clash)
	}
	if err := trail.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := trail.Count(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}); err != nil || n != 33 {
		t.Errorf("%d stored, %v", n, err)
	}
	if n := len(c.RecordBatch(ctx, nil)); n != 0 {
		t.Errorf("%d receipts for nothing", n)
	}
}

// TestRetry checks that an answer that got lost is not an event stored twice.
func TestRetry(t *testing.T) {
	var calls atomic.Int64
	c, trail, _ := rig(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n := calls.Add(1); n {
			case 1: // stored, but the answer is lost
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			case 2: // a proxy in front
				w.WriteHeader(http.StatusBadGateway)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})
	ctx := context.Background()
	receipts := c.RecordSync(ctx, []*audit.Event{{Action: "a"}, {Action: "b"}})
	for _, r := range receipts {
		if r.Err != nil || r.Status != audit.StatusDuplicate || r.Sequence == 0 {
			t.Errorf("%+v", r)
		}
	}
	if n, err := trail.Count(ctx, &audit.Query{}); err != nil || n != 2 || calls.Load() != 3 {
		t.Errorf("%d stored in %d calls, %v", n, calls.Load(), err)
	}
}

// TestPartialRetry checks that of a batch only what may pass later is sent again.
func TestPartialRetry(t *testing.T) {
	var sizes []int
	c, _, _ := rig(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var evs []audit.Event
			if err := json.NewDecoder(r.Body).Decode(&evs); err != nil {
				t.Error(err)
			}
			sizes = append(sizes, len(evs))
			var b bytes.Buffer
			for i, ev := range evs {
				status := `"status":"queued"`
				if len(sizes) == 1 && i%2 == 0 {
					status = `"status":"rejected","error":{"index":0,"code":"backlog","message":"full"}`
				}
				if ev.Action == "bad" {
					status = `"status":"rejected","error":{"index":0,"code":"conflict","message":"taken"}`
				}
				fmt.Fprintf(&b, `,{"id":%q,%s}`, ev.ID, status)
			}
			fmt.Fprintf(w, `{"results":[%s]}`, b.Bytes()[1:])
		})
	})
	receipts := c.RecordBatch(context.Background(), []*audit.Event{{Action: "a"}, {Action: "bad"}, {Action: "c"}, {Action: "d"}})
	for i, r := range receipts {
		if i == 1 && !errors.Is(r.Err, audit.ErrConflict) || i != 1 && (r.Err != nil || r.Status != audit.StatusQueued) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if diff := cmp.Diff([]int{4, 2}, sizes); diff != "" {
		t.Error(diff)
	}
}

// TestGivesUp checks what is left when the server never comes.
func TestGivesUp(t *testing.T) {
	var calls atomic.Int64
	c, _, _ := rig(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(503)
			fmt.Fprint(w, `{"status":503,"code":"unavailable","detail":"the store is down","request_id":"r-1"}`)
		})
	})
	ctx := context.Background()
	_, err := c.Record(ctx, &audit.Event{Action: "a"})
	if !errors.Is(err, audit.ErrUnavailable) || calls.Load() != client.DefaultAttempts || !strings.Contains(err.Error(), "r-1") {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
	if _, err := c.Count(ctx, &audit.Query{}); !errors.Is(err, audit.ErrUnavailable) {
		t.Error(err)
	}
	if err := c.Ping(ctx); !errors.Is(err, audit.ErrUnavailable) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Count(ended, &audit.Query{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, base := range []string{"", "127.0.0.1:8480", "ftp://x", "http://", "http://h/?x=1", "::"} {
		if _, err := client.New(base, client.Options{}); !errors.Is(err, audit.ErrInvalid) {
			t.Errorf("%q: %v", base, err)
		}
	}
}

// TestExportCut checks that a part of an export is never taken for the whole.
func TestExportCut(t *testing.T) {
	c, trail, _ := rig(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			half := rec.Body.Bytes()[:rec.Body.Len()/2]
			half = half[:bytes.LastIndexByte(half, '\n')+1]
			_, _ = w.Write(half)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
	})
	fill(t, trail, 100)
	n := 0
	err := c.Export(context.Background(), &audit.Query{}, func(*audit.Record) error { n++; return nil })
	if !errors.Is(err, audit.ErrUnavailable) || n == 0 || n == 100 {
		t.Errorf("%d records, %v", n, err)
	}
}

// TestTail checks that a live tail comes through lost connections with every
// record once.
func TestTail(t *testing.T) {
	var mu sync.Mutex
	var cut []context.CancelFunc
	c, trail, _ := rig(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			mu.Lock()
			cut = append(cut, cancel)
			mu.Unlock()
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	})
	const n = 60
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	start := audit.Position{OccurredAt: time.Now()}
	next := make(chan struct{}, 1)
	next <- struct{}{}
	go func() {
		for i := range n {
			<-next
			for _, ev := range []*audit.Event{{Action: "other"}, {Action: fmt.Sprintf("step.%d", i), Tenant: "acme"}} {
				if _, err := trail.Record(ctx, ev); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	seen := map[string]int{}
	done := errors.New("enough")
	err := c.Tail(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("tenant", "acme")}}, start, func(r *audit.Record) error {
		seen[r.Action]++
		if len(seen)%20 == 0 {
			mu.Lock()
			for _, end := range cut {
				end()
			}
			mu.Unlock()
		}
		if len(seen) == n {
			return done
		}
		next <- struct{}{} // the next record comes once this one is seen, and the connection cut
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("%v after %d", err, len(seen))
	}
	for action, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", action, times)
		}
	}
	if len(cut) != 3 {
		t.Errorf("%d connections, want 3", len(cut))
	}
	if err := c.Tail(ctx, &audit.Query{Open: true}, audit.Position{}, func(*audit.Record) error { return nil }); !errors.Is(err, audit.ErrInvalid) {
		t.Error(err)
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if err := c.Tail(ended, &audit.Query{}, audit.Position{}, func(*audit.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
