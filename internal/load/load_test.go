package load_test

import (
	"context"
	"errors"
	"io"
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
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/load"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server over a memory store; middle may misbehave in front of it.
func serve(t *testing.T, level policy.Level, middle func(http.Handler) http.Handler) (url string, trail *annals.Trail) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	metrics := server.NewMetrics("test")
	trail, err := annals.New(memory.New(memory.Options{}), annals.Options{
		Policy: policy.Config{Level: level}, Logger: log, Observer: metrics, FlushInterval: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(trail, server.Options{Logger: log, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	h := srv.Handler()
	if middle != nil {
		h = middle(h)
	}
	hs := httptest.NewServer(h)
	t.Cleanup(func() {
		hs.Close()
		if _, err := trail.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return hs.URL, trail
}

// few are a handful of users without a pause.
func few(url string) load.Options {
	o := load.Defaults()
	o.URL, o.Users, o.Requests = url, 6, 10
	o.ThinkMin, o.ThinkMax, o.RampUp = 0, 0, 0
	o.Seed = 7
	return o
}

func run(t *testing.T, o load.Options) *load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEverythingAcknowledgedIsStoredOnce(t *testing.T) {
	var conns sync.Map
	url, trail := serve(t, policy.All, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/events" {
				conns.Store(r.RemoteAddr, true)
			}
			h.ServeHTTP(w, r)
		})
	})
	o := few(url)
	o.Batch, o.Questions = 3, 0.3
	calls := 0.0
	o.Probe = func(context.Context) (map[string]float64, error) {
		calls++
		return map[string]float64{"calls": 10 * calls}, nil
	}
	r := run(t, o)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if r.Requests != 60 || r.Posts.Count+r.Questions.Count != 60 || r.Questions.Count == 0 || r.Sent != 3*r.Posts.Count {
		t.Errorf("%+v", r)
	}
	if r.Acknowledged != r.Sent || r.Statuses[audit.StatusQueued] != r.Sent || r.Check.Once != r.Sent || r.Check.Acknowledged != r.Sent {
		t.Errorf("%+v, %+v", r, r.Check)
	}
	if n, err := trail.Count(t.Context(), &audit.Query{}); err != nil || n != r.Sent {
		t.Errorf("%d are stored, %v", n, err)
	}
	if s := r.Server; s == nil || int64(s.Stored) != r.Sent || s.Batches < 1 || s.BatchesPerEvent != s.Batches/s.Stored || s.PeakGoroutines < 1 {
		t.Errorf("%+v", s)
	}
	if r.Probe["calls"] != 10 {
		t.Errorf("the probe is %v", r.Probe)
	}
	seen := 0
	conns.Range(func(any, any) bool { seen++; return true })
	if r.Connections != 6 || seen != 6 {
		t.Errorf("%d connections were opened, the server saw %d", r.Connections, seen)
	}
	if p := r.Posts; p.P50 <= 0 || p.P50 > p.P95 || p.P95 > p.P99 || p.P99 > p.Max {
		t.Errorf("%+v", p)
	}
}

func TestTheMixIsThatOfTheShare(t *testing.T) {
	url, trail := serve(t, policy.WritesOnly, nil)
	o := few(url)
	o.Batch, o.Sync = 50, true
	r := run(t, o)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	filtered, recorded := r.Statuses[audit.StatusFiltered], r.Statuses[audit.StatusRecorded]
	if filtered+recorded != 3000 || recorded != r.Acknowledged || recorded < 200 || recorded > 400 {
		t.Errorf("%d filtered, %d recorded of 3000", filtered, recorded)
	}
	groups, err := trail.Breakdown(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}, "operation", 10)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, g := range groups {
		found[g.Value] = true
	}
	if want := map[string]bool{"create": true, "update": true, "delete": true}; !cmp.Equal(found, want) {
		t.Error(cmp.Diff(want, found))
	}
}

// spoil misbehaves at every third post of a user.
func spoil(fault func(h http.Handler, w http.ResponseWriter, r *http.Request)) func(http.Handler) http.Handler {
	var posts atomic.Int64
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && posts.Add(1)%3 == 0 {
				fault(h, w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}

func TestFaultsAreCountedAndRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(h http.Handler, w http.ResponseWriter, r *http.Request)
		kind  string
	}{
		"the answer is lost": {func(h http.Handler, _ http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}, "reset"},
		"the request is lost": {func(http.Handler, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "reset"},
		"busy": {func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "busy", http.StatusTooManyRequests)
		}, "status 429"},
		"part of it": {func(_ http.Handler, w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			n := strings.Count(string(body), `"id":"0`) // each event once
			_, _ = io.WriteString(w, `{"results":[`+strings.Repeat(`{"status":"rejected","error":{"code":"backlog","message":"full"}},`, n-1)+
				`{"status":"rejected","error":{"code":"backlog","message":"full"}}]}`)
		}, "backlog"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := serve(t, policy.All, spoil(c.fault))
			o := few(url)
			o.Users, o.Attempts, o.Batch = 2, 50, 2
			r := run(t, o)
			if r.Errors[c.kind] == 0 || len(r.Errors) != 1 || r.Examples[c.kind] == "" || r.GaveUp != 0 {
				t.Errorf("errors %v, examples %v", r.Errors, r.Examples)
			}
			// Nothing is lost, and nothing stored twice.
			if r.Acknowledged != 40 || r.Check.Once != 40 || r.Check.Missing+r.Check.Twice+r.Check.Unacknowledged != 0 {
				t.Errorf("%+v, %+v", r, r.Check)
			}
			if err := r.Err(); err == nil || !strings.Contains(err.Error(), c.kind) {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsGivenUpIsOpen(t *testing.T) {
	url, _ := serve(t, policy.All, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				h.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			h.ServeHTTP(w, r)
		})
	})
	o := few(url)
	o.Users, o.Requests, o.Attempts = 2, 3, 1
	r := run(t, o)
	if r.GaveUp != 6 || r.Open != 6 || r.Acknowledged != 0 || r.Requests != 0 || r.Check.Unacknowledged != 6 || r.Connections != 6 {
		t.Errorf("%+v, %+v", r, r.Check)
	}
	if err := r.Err(); err == nil || strings.Contains(err.Error(), "not accepted") {
		t.Error(err)
	}
}

// A server that lies is found out.
func TestLiesAreFound(t *testing.T) {
	lie := func(status string) func(h http.Handler, w http.ResponseWriter, r *http.Request) {
		return func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"results":[{"status":"`+status+`"}]}`)
		}
	}
	truth := func(h http.Handler, _ http.ResponseWriter, r *http.Request) { h.ServeHTTP(httptest.NewRecorder(), r) }
	t.Run("it acknowledges and does not store", func(t *testing.T) {
		url, _ := serve(t, policy.All, spoil(lie("queued")))
		o := few(url)
		o.Users, o.Requests = 1, 9
		r := run(t, o)
		if r.Check.Missing != 3 || r.Check.Once != 6 || len(r.Check.Examples) != 3 || r.Check.Readings != 3 || !r.Check.Drained {
			t.Errorf("%+v", r.Check)
		}
		if err := r.Err(); err == nil || err.Error() != "3 acknowledged events are not stored" {
			t.Error(err)
		}
	})
	t.Run("it stores what it says it filtered", func(t *testing.T) {
		url, _ := serve(t, policy.All, spoil(func(h http.Handler, w http.ResponseWriter, r *http.Request) {
			truth(h, w, r)
			lie("filtered")(h, w, r)
		}))
		o := few(url)
		o.Users, o.Requests = 1, 9
		if err := run(t, o).Err(); err == nil || err.Error() != "3 events are stored that were not accepted" {
			t.Error(err)
		}
	})
	t.Run("it stores twice", func(t *testing.T) {
		url, trail := serve(t, policy.All, nil)
		o := few(url)
		o.Users, o.Requests = 1, 9
		o.Scan = func(ctx context.Context, from time.Time, fn func(audit.ID)) error {
			return trail.Export(ctx, &audit.Query{From: from}, func(rec *audit.Record) error {
				fn(rec.ID)
				fn(rec.ID)
				fn(audit.NewID()) // somebody else's
				return nil
			})
		}
		r := run(t, o)
		if err := r.Err(); err == nil || err.Error() != "9 events are stored more than once" || r.Check.Twice != 9 {
			t.Error(err, r.Check)
		}
	})
	for status, want := range map[string]string{"rejected": "3 events were rejected ()", "eaten": "3 attempts failed (answer)"} {
		t.Run(status, func(t *testing.T) {
			url, _ := serve(t, policy.All, spoil(lie(status)))
			o := few(url)
			o.Users, o.Requests = 1, 9
			if err := run(t, o).Err(); err == nil || err.Error() != want {
				t.Error(err)
			}
		})
	}
}

func TestAServerWithoutMetrics(t *testing.T) {
	url, _ := serve(t, policy.All, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				http.NotFound(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	r := run(t, few(url))
	if err := r.Err(); err != nil || r.Server != nil || r.Check.Drained || r.Check.Once != 60 {
		t.Errorf("%v, %+v", err, r)
	}
	o := few(url)
	o.NoCheck = true
	if r := run(t, o); r.Err() != nil || r.Check != nil || r.Acknowledged != 60 {
		t.Errorf("%+v", r)
	}
}

// The same seed makes the same users: what they send differs in nothing but
// times and ids.
func TestSeed(t *testing.T) {
	var mu sync.Mutex
	sent := map[string][]string{}
	url, _ := serve(t, policy.All, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/events" {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				text := r.URL.RawQuery
				if len(body) > 2 {
					ev, err := audit.DecodeEvent(body[1 : len(body)-1])
					if err != nil {
						t.Error(err)
						return
					}
					ev.ID, ev.OccurredAt = audit.ID{}, time.Time{}
					b, _ := ev.MarshalJSON()
					text = string(b)
				}
				mu.Lock()
				sent[r.RemoteAddr] = append(sent[r.RemoteAddr], text)
				mu.Unlock()
			}
			h.ServeHTTP(w, r)
		})
	})
	once := func(seed uint64, run uint32) map[string]bool {
		clear(sent)
		o := few(url)
		o.Seed, o.Run, o.Questions = seed, run, 0.2
		r, err := load.Run(t.Context(), o)
		if err != nil || r.Err() != nil || r.Seed != seed {
			t.Fatal(err, r.Err())
		}
		users := map[string]bool{}
		for _, requests := range sent {
			users[strings.Join(requests, "\n")] = true
		}
		return users
	}
	first := once(5, 1)
	if len(first) != 6 {
		t.Fatalf("%d users", len(first))
	}
	if second := once(5, 2); !cmp.Equal(first, second) {
		t.Error(cmp.Diff(first, second))
	}
	if third := once(6, 3); cmp.Equal(first, third) {
		t.Error("another seed makes the same users")
	}
}

func TestCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := serve(t, policy.All, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, _ = io.Copy(io.Discard, r.Body) // a server hears of the end only behind the body
				cancel()
				<-r.Context().Done()
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	if _, err := load.Run(ctx, few(url)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStopEndsTheLoad(t *testing.T) {
	stop := make(chan struct{})
	var posts atomic.Int64
	url, _ := serve(t, policy.All, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && posts.Add(1) == 20 {
				close(stop)
			}
			h.ServeHTTP(w, r)
		})
	})
	o := few(url)
	o.Requests, o.Duration, o.Stop = 0, time.Hour, stop
	r := run(t, o)
	if r.Err() != nil || r.Acknowledged < 20 || r.Check.Once != r.Acknowledged {
		t.Errorf("%+v, %+v", r, r.Check)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	for field, change := range map[string]func(*load.Options){
		"server":    func(o *load.Options) { o.URL = "127.0.0.1:8480" },
		"users":     func(o *load.Options) { o.Users = load.MaxUsers + 1 },
		"batch":     func(o *load.Options) { o.Batch = 0 },
		"tenants":   func(o *load.Options) { o.Tenants = 0 },
		"requests":  func(o *load.Options) { o.Requests = -1 },
		"attempts":  func(o *load.Options) { o.Attempts = 0 },
		"reads":     func(o *load.Options) { o.Reads = 1.1 },
		"questions": func(o *load.Options) { o.Questions = -1 },
		"think":     func(o *load.Options) { o.ThinkMin, o.ThinkMax = 2, 1 },
		"duration":  func(o *load.Options) { o.Duration = 0 },
		"ramp-up":   func(o *load.Options) { o.RampUp = -1 },
		"timeout":   func(o *load.Options) { o.Timeout = 0 },
		"drain":     func(o *load.Options) { o.Drain = -1 },
	} {
		o := few("http://127.0.0.1:1")
		change(&o)
		_, err := load.Run(t.Context(), o)
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	o := few("http://127.0.0.1:1")
	o.Users, o.Requests, o.Attempts, o.NoCheck = 1, 2, 1, true
	r := run(t, o)
	if r.Errors["refused"] != 2 || r.GaveUp != 2 || r.Open != 0 || r.Connections != 0 {
		t.Errorf("%+v", r)
	}
	o.NoCheck = false
	if _, err := load.Run(t.Context(), o); audit.CodeOf(err) != audit.CodeUnavailable {
		t.Error(err)
	}
}
