package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server"
)

type serverOptions = server.Options

func addr(a string) func(*serverOptions) { return func(o *serverOptions) { o.Addr = a } }

// TestLoopbackOnly checks that the server stays where only this machine can reach it.
func TestLoopbackOnly(t *testing.T) {
	r := newRig(t, with{})
	for _, a := range []string{":8480", "0.0.0.0:8480", "[::]:8480", "192.168.1.5:8480", "example.com:8480", "127.0.0.1", "10.0.0.1:1", "localhost.example.com:80"} {
		_, err := server.New(r.trail, server.Options{Addr: a})
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != "addr" {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"", "127.0.0.1:0", "[::1]:0", "localhost:0", "127.9.9.9:1"} {
		if _, err := server.New(r.trail, server.Options{Addr: a}); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	// A port that is taken is an error that names the address.
	first, err := server.New(r.trail, server.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	second, err := server.New(r.trail, server.Options{Addr: first.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(context.Background()); audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("a taken port: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := first.Run(ctx); err != nil {
		t.Error(err)
	}
}

// TestForeignPages checks what a browser may not do for a page of somebody else.
func TestForeignPages(t *testing.T) {
	r := newRig(t, with{})
	own := strings.TrimPrefix(r.http.URL, "http://")
	for _, host := range []string{"evil.example", "evil.example:8480", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "localhost.evil.example", "[::1", "0.0.0.0"} {
		r.problem(r.do("GET", "/v1/events", "", "", "Host", host), http.StatusForbidden, audit.CodeForbidden, "Host")
		r.problem(r.do("GET", "/", "", "", "Host", host), http.StatusForbidden, audit.CodeForbidden, "Host")
	}
	for _, host := range []string{"localhost", "LOCALHOST:8480", "127.0.0.1:1", "[::1]:8480", "[::1]", "127.0.0.53"} {
		if a := r.do("GET", "/v1/events", "", "", "Host", host); a.status != 200 {
			t.Errorf("%s: %d", host, a.status)
		}
	}
	const event = `{"action":"a"}`
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site", "Origin", "http://" + own},
	} {
		r.problem(r.do("POST", "/v1/events", "application/json", event, headers...), http.StatusForbidden, audit.CodeForbidden, "Origin")
		r.problem(r.do("POST", "/v1/chains/verify", "application/json", `{}`, headers...), http.StatusForbidden, audit.CodeForbidden, "Origin")
	}
	if n := r.count(); n != 0 {
		t.Errorf("%d records were stored", n)
	}
	for _, headers := range [][]string{nil, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Origin", "http://" + own}} {
		if a := r.do("POST", "/v1/events", "application/json", event, headers...); a.status != 200 {
			t.Errorf("%v: %d %s", headers, a.status, a.body)
		}
	}
}

// panicking is a store with a fault.
type panicking struct{ audit.Store }

func (s panicking) Unwrap() audit.Store { return s.Store }

func (s panicking) Query(context.Context, *audit.Query) (*audit.Page, error) {
	panic("secret detail")
}

func TestPanic(t *testing.T) {
	r := newRig(t, with{store: func(s audit.Store) audit.Store { return panicking{s} }})
	a := r.get("/v1/events")
	r.problem(a, http.StatusInternalServerError, audit.CodeInternal, "")
	id, _ := a.json(t)["request_id"].(string)
	if strings.Contains(a.body, "secret") || id == "" || !strings.Contains(r.log.String(), id) || !strings.Contains(r.log.String(), "secret detail") {
		t.Errorf("%s\n%s", a.body, r.log.String())
	}
	if a := r.get("/healthz"); a.status != 200 {
		t.Errorf("the server is gone: %d", a.status)
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, with{options: func(o *annals.Options) { o.Policy.ExcludeActions = []string{"health"} }})
	r.post("/v1/events?durability=sync", `[{"action":"a"},{"action":"b"},{"action":"health"},{"bad":1}]`)
	r.get("/v1/events/" + "x")
	r.get("/no/such/path")
	body := r.get("/metrics").body
	for _, line := range []string{
		"annals_events_offered_total 3",
		`annals_events_total{result="stored"} 2`,
		`annals_events_total{result="filtered"} 1`,
		`annals_events_filtered_total{reason="excluded_action"} 1`,
		"annals_queue_events 0",
		"annals_batches_total 1",
		`annals_store_operation_seconds_count{code="",operation="append"} 1`,
		`annals_store_records_total{operation="append"} 2`,
		`annals_http_request_seconds_count{method="POST",route="/v1/events",status="200"} 1`,
		`annals_http_request_seconds_count{method="GET",route="/v1/events/{id}",status="404"} 1`,
		`annals_http_request_seconds_count{method="GET",route="page",status="404"} 1`,
		`annals_build_info{go="go`,
		"go_goroutines",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
}

// TestDashboard checks that a dashboard has every path but the server's own.
func TestDashboard(t *testing.T) {
	r := newRig(t, with{server: func(o *serverOptions) {
		o.Dashboard = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("dashboard " + r.URL.Path)) })
	}})
	for path, want := range map[string]string{"/": "dashboard /", "/explorer": "dashboard /explorer", "/healthz": `{"status":"alive"}`} {
		if a := r.get(path); a.body != want {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	r.problem(r.get("/v1/none"), 404, audit.CodeNotFound, "")
}
