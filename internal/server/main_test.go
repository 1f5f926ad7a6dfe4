package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a server over a memory store, and what a test needs around it.
type rig struct {
	t     *testing.T
	trail *annals.Trail
	srv   *server.Server
	http  *httptest.Server
	log   *bytes.Buffer
}

// with changes the trail's options or wraps its store.
type with struct {
	options func(*annals.Options)
	store   func(audit.Store) audit.Store
	server  func(*server.Options)
	down    bool // the store takes nothing, so that closing it leaves something unwritten
}

func newRig(t *testing.T, w with) *rig {
	t.Helper()
	r := &rig{t: t, log: &bytes.Buffer{}}
	log := slog.New(slog.NewJSONHandler(lock(r.log), nil))
	metrics := server.NewMetrics("test")
	opt := annals.Options{
		Policy: policy.Config{Level: policy.All}, Logger: log, Observer: metrics,
		FlushInterval: time.Millisecond,
	}
	if w.options != nil {
		w.options(&opt)
	}
	var store audit.Store = memory.New(memory.Options{})
	if w.store != nil {
		store = w.store(store)
	}
	trail, err := annals.New(store, opt)
	if err != nil {
		t.Fatal(err)
	}
	r.trail = trail
	so := server.Options{Version: "test", Logger: log, Metrics: metrics}
	if w.server != nil {
		w.server(&so)
	}
	if r.srv, err = server.New(trail, so); err != nil {
		t.Fatal(err)
	}
	r.http = httptest.NewServer(r.srv.Handler())
	t.Cleanup(func() {
		r.http.Client().CloseIdleConnections()
		r.http.Close()
		limit := 10 * time.Second
		if w.down { // what waits will never be written
			limit = 10 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if _, err := trail.Close(ctx); err != nil && !w.down {
			t.Error(err)
		}
	})
	return r
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, a.body)
	}
	return v
}

func (r *rig) do(method, path, kind, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, r.http.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.http.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func (r *rig) get(path string) answer { r.t.Helper(); return r.do("GET", path, "", "") }

func (r *rig) post(path, body string) answer {
	r.t.Helper()
	return r.do("POST", path, "application/json", body)
}

// count gives the number of events stored, after everything waiting is written.
func (r *rig) count() int64 {
	r.t.Helper()
	if err := r.trail.Flush(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	n, err := r.trail.Count(context.Background(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// fill stores n calls, a minute apart, ending an hour ago.
func (r *rig) fill(n int) {
	r.t.Helper()
	end := time.Now().Add(-time.Hour)
	for from := 0; from < n; from += 1000 {
		var evs []*audit.Event
		for i := from; i < min(n, from+1000); i++ {
			ev := &audit.Event{
				Action: [...]string{"tool.create", "tool.get", "user.delete"}[i%3], Tenant: [...]string{"", "acme"}[i%2],
				ActionID: fmt.Sprintf("act-%d", i), OccurredAt: end.Add(-time.Duration(n-i) * 100 * time.Millisecond),
				Duration: time.Duration(i%50) * time.Millisecond,
				Actor:    audit.Actor{ID: fmt.Sprintf("user-%d", i%7), Email: fmt.Sprintf("u%d@example.com", i%7), SessionID: fmt.Sprintf("s-%d", i%5)},
				Tool:     audit.Tool{Name: fmt.Sprintf("tool-%d", i%4), Kind: [...]string{"datahub", "trino"}[i%2], Enrichment: audit.Enrichment{Applied: i%3 == 0, Mode: "full", TokensFull: 10, TokensDedup: 4}},
				Resource: audit.Resource{Type: "table", ID: fmt.Sprintf("r, \"%d\"", i)},
				Payload:  json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"line\nbreak"}`, i)),
				Metadata: json.RawMessage(`{"env":"prod"}`),
			}
			if i%10 == 0 {
				ev.Outcome, ev.Error = audit.Failure, "it broke"
			}
			evs = append(evs, ev)
		}
		for _, rc := range r.trail.RecordSync(context.Background(), evs) {
			if rc.Err != nil {
				r.t.Fatal(rc.Err)
			}
		}
	}
}

// problem checks that the answer is a problem of this status, code and field.
func (r *rig) problem(a answer, status int, code audit.Code, field string) {
	r.t.Helper()
	if a.status != status {
		r.t.Errorf("status is %d, want %d: %s", a.status, status, a.body)
		return
	}
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		r.t.Errorf("content type is %q", kind)
	}
	p := a.json(r.t)
	if got := p["code"]; got != string(code) {
		r.t.Errorf("code is %v, want %s: %s", got, code, a.body)
	}
	if got, _ := p["field"].(string); got != field {
		r.t.Errorf("field is %q, want %q: %s", got, field, a.body)
	}
	if p["status"] != float64(status) || p["detail"] == "" || p["title"] == "" {
		r.t.Errorf("incomplete problem: %s", a.body)
	}
}
