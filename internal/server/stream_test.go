package server_test

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// events reads a live stream.
type events struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel context.CancelFunc
	resp   *http.Response
}

type event struct{ id, name, data string }

func (r *rig) stream(path, last string) *events {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", r.http.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := r.http.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%d %s", resp.StatusCode, b)
	}
	e := &events{r.t, bufio.NewScanner(resp.Body), cancel, resp}
	e.lines.Buffer(nil, 4<<20)
	r.t.Cleanup(e.close)
	return e
}

func (e *events) close() {
	e.cancel()
	_ = e.resp.Body.Close()
}

// next gives the next event, comments left out; ok is false at the end.
func (e *events) next() (ev event, ok bool) {
	for e.lines.Scan() {
		name, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch name {
		case "id":
			ev.id = value
		case "event":
			ev.name = value
		case "data":
			ev.data = value
		case "":
			if value == "" && ev != (event{}) {
				return ev, true
			}
		}
	}
	return ev, false
}

func (e *events) want(action string) event {
	e.t.Helper()
	ev, ok := e.next()
	var rec audit.Record
	if err := json.Unmarshal([]byte(ev.data), &rec); !ok || err != nil || ev.name != "record" || rec.Action != action || ev.id == "" {
		e.t.Fatalf("want %s, got %v %+v %v", action, ok, ev, err)
	}
	return ev
}

func TestStream(t *testing.T) {
	r := newRig(t, with{})
	s := r.stream("/v1/events/stream?tenant=acme&action.prefix=tool.", "")
	first, ok := s.next()
	if !ok || first.id == "" || first.data != "" {
		t.Fatalf("the stream begins with %+v", first)
	}
	r.post("/v1/events?durability=sync", `[{"action":"tool.a","tenant":"acme"},{"action":"tool.no","tenant":"other"},{"action":"user.no","tenant":"acme"},{"action":"tool.b","tenant":"acme"}]`)
	a := s.want("tool.a")
	s.want("tool.b")
	s.close()

	// Coming back after the first record gives the second, and what is new.
	s = r.stream("/v1/events/stream?tenant=acme", a.id)
	s.next()
	// The other record of the same instant may sort before or after: all that
	// lies after the position comes, in order.
	r.post("/v1/events?durability=sync", `{"action":"tool.c","tenant":"acme"}`)
	seen := map[string]bool{}
	for !seen["tool.c"] {
		ev, ok := s.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		var rec audit.Record
		if err := json.Unmarshal([]byte(ev.data), &rec); err != nil {
			t.Fatal(err)
		}
		if seen[rec.Action] {
			t.Errorf("%s came twice", rec.Action)
		}
		seen[rec.Action] = true
	}
	if seen["tool.a"] || !seen["tool.b"] {
		t.Errorf("after resuming: %v", seen)
	}
	s.close()

	// Nothing is missed by a reader that lost its connection before any record.
	s = r.stream("/v1/events/stream?tenant=acme&action=tool.c", first.id)
	s.next()
	s.want("tool.c")
	// A late arrival from long ago is given, and does not move the id back.
	r.post("/v1/events?durability=sync", `{"action":"tool.c","tenant":"acme","occurred_at":"2001-01-01T00:00:00Z"}`)
	if late := s.want("tool.c"); late.id < first.id {
		t.Errorf("the id went back to %s", late.id)
	}
	s.close()
}

func TestStreamBadResume(t *testing.T) {
	r := newRig(t, with{})
	for _, id := range []string{"x", "5", "-5-", "12-34", "999999999999999999-", "0-"} {
		r.problem(r.do("GET", "/v1/events/stream", "", "", "Last-Event-ID", id), 400, audit.CodeInvalid, "Last-Event-ID")
	}
}

// failing is a store whose walk ends in a fault after some records.
type failing struct {
	audit.Store
	after int
}

func (s failing) Unwrap() audit.Store { return s.Store }

func (s failing) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	inner, _ := audit.As[audit.Scanner](s.Store)
	n := 0
	return inner.Scan(ctx, q, func(rec *audit.Record) error {
		if n++; n > s.after {
			return audit.Unavailable("the store went away", errors.New("driver text"))
		}
		return fn(rec)
	})
}

func TestExport(t *testing.T) {
	const n = 20_000
	r := newRig(t, with{})
	r.fill(n)
	var want []*audit.Record
	q := &audit.Query{Filters: []audit.Filter{audit.Is("tenant", "acme")}, Order: audit.OldestFirst, Limit: 1000}
	for cursor := ""; ; {
		p, err := r.trail.Query(context.Background(), q, cursor)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, p.Records...)
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if len(want) != n/2 {
		t.Fatalf("%d records", len(want))
	}

	a := r.get("/v1/export?tenant=acme&order=oldest")
	if a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" || !strings.Contains(a.header.Get("Content-Disposition"), "annals.ndjson") {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var got []*audit.Record
	for line := range strings.Lines(a.body) {
		rec, err := audit.DecodeRecord([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("NDJSON is not what the query gives: %s", diff)
	}

	a = r.get("/v1/export?tenant=acme&order=oldest&format=csv")
	if a.status != 200 || a.header.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(want)+1 {
		t.Fatalf("%d rows, want %d and a head", len(rows), len(want))
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for i, rec := range want {
		for _, name := range []string{"id", "action", "resource", "hash", "sequence", "duration_ms"} {
			f, _ := audit.FieldByName(name)
			if got := rows[i+1][column[name]]; got != f.Text(rec) {
				t.Fatalf("row %d: %s is %q, want %q", i+1, name, got, f.Text(rec))
			}
		}
	}
}

// TestExportOfEverything asks for all 20,000 records, of both tenants.
func TestExportOfEverything(t *testing.T) {
	r := newRig(t, with{})
	r.fill(20_000)
	if n := strings.Count(r.get("/v1/export").body, "\n"); n != 20_000 {
		t.Errorf("%d lines", n)
	}
	if n := strings.Count(r.get("/v1/export?action=none").body, "\n"); n != 0 {
		t.Errorf("%d lines of nothing", n)
	}
}

// TestExportCut checks that an export that fails is not taken for a whole one.
func TestExportCut(t *testing.T) {
	for _, format := range []string{"ndjson", "csv"} {
		r := newRig(t, with{store: func(s audit.Store) audit.Store { return failing{s, 3000} }})
		r.fill(5000)
		resp, err := r.http.Client().Get(r.http.URL + "/v1/export?format=" + format)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || err == nil || len(b) == 0 {
			t.Errorf("%s: status %d, %d bytes, error %v", format, resp.StatusCode, len(b), err)
		}
		// One that fails before anything was sent is an answer like any other.
		early := newRig(t, with{store: func(s audit.Store) audit.Store { return failing{s, 2} }})
		early.fill(10)
		a := early.get("/v1/export?format=" + format)
		early.problem(a, 503, audit.CodeUnavailable, "")
		if strings.Contains(a.body, "driver text") {
			t.Error("the driver's text reached the client")
		}
	}
}

// TestRunAndStop checks a stop: it is not ready, streams end, requests
// under way are answered.
func TestRunAndStop(t *testing.T) {
	r := newRig(t, with{server: addr("127.0.0.1:0")})
	if err := r.srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.srv.Run(ctx) }()
	base := "http://" + r.srv.Addr().String()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}

	resp, err := c.Get(base + "/v1/events/stream")
	if err != nil {
		t.Fatal(err)
	}
	slow := r.begin(r.srv.Addr().String(), `{"action":"slow"}`)
	stop()
	if _, err := io.ReadAll(resp.Body); err != nil { // ends in good order
		t.Errorf("the stream: %v", err)
	}
	_ = resp.Body.Close()
	if got := slow.finish(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "recorded") {
		t.Errorf("the request under way: %s", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := c.Get(base + "/healthz"); err == nil {
		t.Error("a new connection was taken")
	}
	if n := r.count(); n != 1 {
		t.Errorf("%d records", n)
	}
	// The handler of another front door says that it is not ready any more.
	r.problem(r.get("/readyz"), 503, audit.CodeUnavailable, "")
}

// TestStopDeadline checks that a request that never ends does not hold the stop up.
func TestStopDeadline(t *testing.T) {
	r := newRig(t, with{server: func(o *serverOptions) { o.Addr, o.ShutdownTimeout = "127.0.0.1:0", 10*time.Millisecond }})
	if err := r.srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.srv.Run(ctx) }()
	slow := r.begin(r.srv.Addr().String(), `{"action":"slow"}`)
	defer slow.close()
	stop()
	if err := <-ended; audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("Run: %v", err)
	}
}

// underway is a request whose header the server has read and whose body it
// waits for.
type underway struct {
	t    *testing.T
	conn net.Conn
	body string
}

// begin sends the header and returns when the server has begun to read the
// body, which it says by 100 Continue.
func (r *rig) begin(addr, body string) *underway {
	r.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/events?durability=sync HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", addr, len(body))
	line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, line); err != nil || !strings.HasPrefix(string(line), "HTTP/1.1 100") {
		r.t.Fatalf("%s: %v", line, err)
	}
	return &underway{r.t, conn, body}
}

// finish sends the body and gives the answer.
func (u *underway) finish() string {
	u.t.Helper()
	defer u.close()
	if _, err := io.WriteString(u.conn, u.body); err != nil {
		u.t.Fatal(err)
	}
	b, err := io.ReadAll(u.conn)
	if err != nil {
		u.t.Fatal(err)
	}
	return string(b)
}

func (u *underway) close() { _ = u.conn.Close() }
