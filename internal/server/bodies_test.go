package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server"
)

// boundedRig is a server with the least bound of bodies under way: 12 MiB, of
// which large bodies may take 11.25.
func boundedRig(t *testing.T) *rig {
	return newRig(t, with{server: func(o *serverOptions) { o.BodyBytes = 12 << 20 }})
}

// padded is one event in a body of so many bytes.
func padded(size int) string {
	const event = `{"action":"a"}`
	return event + strings.Repeat(" ", size-len(event))
}

// begun is a request whose header was sent and whose body the server waits for.
func (r *rig) begun(size int) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.http.URL, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", size); err != nil {
		r.t.Fatal(err)
	}
	// The server asks for the body when it begins to read.
	word := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, word); err != nil || !strings.HasPrefix(string(word), "HTTP/1.1 100") {
		r.t.Fatalf("%s %v", word, err)
	}
	return conn
}

// chunked posts a body without saying how long it is.
func (r *rig) chunked(path, body string) answer {
	r.t.Helper()
	req, err := http.NewRequest("POST", r.http.URL+path, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
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

func (r *rig) metrics(lines ...string) {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.srv.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
	for _, line := range lines {
		if !strings.Contains(w.Body.String(), "\n"+line+"\n") {
			r.t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestBodiesUnderWay(t *testing.T) {
	r := boundedRig(t)
	const half = 11 << 19 // 5.5 MiB
	first, second := r.begun(half), r.begun(half)
	r.metrics("annals_http_bytes_in_flight 1.1534336e+07", "annals_http_bytes_in_flight_max 1.2582912e+07", "annals_http_bytes_refused_total 0")

	tiny := "[" + strings.Repeat(`{"action":"a"},`, 2000) + `{"action":"a"}]`
	large := padded(1<<20 - 1)
	for name, a := range map[string]answer{
		"large":          r.post("/v1/events", large),
		"chunked":        r.chunked("/v1/events", large),
		"many events":    r.post("/v1/events", tiny),
		"explain":        r.post("/v1/policy/explain", large),
		"typed":          r.post("/v1/chains/verify", "{}"+large[14:]),
		"typed, chunked": r.chunked("/v1/chains/verify", "{}"+large[14:]),
	} {
		r.problem(a, http.StatusTooManyRequests, audit.CodeBacklog, "")
		if a.header.Get("Retry-After") != "1" || strings.Contains(a.body, "results") || !strings.Contains(a.body, "nothing of it was accepted") {
			t.Errorf("%s: %v %s", name, a.header, a.body)
		}
	}
	for _, a := range []answer{r.post("/v1/events?durability=sync", padded(1000)), r.chunked("/v1/events", padded(1000)), r.post("/v1/events", padded(60<<10)), r.post("/v1/chains/verify", "{}")} {
		if a.status != 200 {
			t.Errorf("a small one: %d %s", a.status, a.body)
		}
	}
	// One sends the rest, the other goes away.
	if _, err := io.WriteString(first, padded(half)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(first), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
	_ = second.Close()
	r.http.Client().CloseIdleConnections()
	r.http.Close() // waits for what is under way
	r.metrics("annals_http_bytes_in_flight 0", "annals_http_bytes_refused_total 6")
	if n, s := r.count(), r.trail.Stats(); n != 4 || s.Offered != 4 {
		t.Errorf("%d are stored of %d, want 4", n, s.Offered)
	}
}

// TestBodiesAtOnce checks that what was refused is not stored, and all else is.
func TestBodiesAtOnce(t *testing.T) {
	r := boundedRig(t)
	body := padded(3 << 20)
	var accepted, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			post := r.post
			if i%3 == 0 {
				post = r.chunked
			}
			switch a := post("/v1/events?durability=sync", body); a.status {
			case http.StatusOK:
				accepted.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	r.http.Client().CloseIdleConnections()
	r.http.Close()
	r.metrics("annals_http_bytes_in_flight 0", fmt.Sprintf("annals_http_bytes_refused_total %d", refused.Load()))
	if n := r.count(); n != accepted.Load() || n == 0 {
		t.Errorf("%d are stored, %d accepted, %d refused", n, accepted.Load(), refused.Load())
	}
}

// TestBodyOfAPanic checks that a request gives its share back when it panics.
func TestBodyOfAPanic(t *testing.T) {
	r := newRig(t, with{store: func(s audit.Store) audit.Store { return panicking{s} }})
	r.problem(r.do("GET", "/v1/events", "application/json", padded(1000)), http.StatusInternalServerError, audit.CodeInternal, "")
	r.metrics("annals_http_bytes_in_flight 0")
}

func TestBodyBytesOption(t *testing.T) {
	r := newRig(t, with{})
	for n, good := range map[int64]bool{0: true, 12 << 20: true, 12<<20 - 1: false, -1: false} {
		_, err := server.New(r.trail, server.Options{BodyBytes: n})
		if (err == nil) != good {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// TestLeftOutAtTheEnd checks that the log tells of every failure when the server stops.
func TestLeftOutAtTheEnd(t *testing.T) {
	r := newRig(t, with{down: true,
		options: func(o *annals.Options) { o.Timeout = 50e6 },
		store:   func(s audit.Store) audit.Store { return refusing{s, audit.ErrUnavailable} },
		server:  func(o *serverOptions) { o.Addr = "127.0.0.1:0" },
	})
	for range 3 {
		r.problem(r.get("/readyz"), http.StatusServiceUnavailable, audit.CodeUnavailable, "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.srv.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if log := r.log.String(); strings.Count(log, `"request failed"`) != 1 || !strings.Contains(log, `"more requests failed","status":503,"code":"unavailable","left_out":2`) {
		t.Error(log)
	}
}
