package dashboard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/internal/server/dashboard"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a server with a dashboard over a memory store.
type rig struct {
	t     *testing.T
	trail *annals.Trail
	http  *httptest.Server
	log   *logBuffer
	now   func() time.Time
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// with changes what a rig is made of.
type with struct {
	store     func(*memory.Store) audit.Store
	trail     func(*annals.Options)
	dashboard func(*dashboard.Options)
	now       func() time.Time // nil is the clock of the machine
}

func newRig(t *testing.T, w with) *rig {
	t.Helper()
	r := &rig{t: t, log: &logBuffer{}, now: w.now}
	if r.now == nil {
		r.now = time.Now
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	mem := memory.New(memory.Options{})
	var store audit.Store = mem
	if w.store != nil {
		store = w.store(mem)
	}
	opt := annals.Options{Policy: policy.Config{Level: policy.All}, Logger: log, Now: r.now, FlushInterval: time.Millisecond}
	if w.trail != nil {
		w.trail(&opt)
	}
	trail, err := annals.New(store, opt)
	if err != nil {
		t.Fatal(err)
	}
	r.trail = trail
	do := dashboard.Options{Version: "v-test", Logger: log, Now: r.now}
	if w.dashboard != nil {
		w.dashboard(&do)
	}
	pages, err := dashboard.New(trail, do)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(trail, server.Options{Version: "v-test", Logger: log, Dashboard: pages})
	if err != nil {
		t.Fatal(err)
	}
	r.http = httptest.NewServer(srv.Handler())
	t.Cleanup(func() {
		r.http.Client().CloseIdleConnections()
		r.http.Close()
		if _, err := trail.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// page is an answer that was read whole. Redirects are not followed.
type page struct {
	t      *testing.T
	path   string
	status int
	header http.Header
	body   string
}

func (r *rig) send(method, path string, form url.Values, headers ...string) page {
	r.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, r.http.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.http.Client().Transport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return page{r.t, path, resp.StatusCode, resp.Header, string(b)}
}

func (r *rig) get(path string) page { r.t.Helper(); return r.send("GET", path, nil) }

// ok fetches a page that must be there.
func (r *rig) ok(path string) page {
	r.t.Helper()
	p := r.get(path)
	if p.status != http.StatusOK {
		r.t.Fatalf("%s: status %d\n%s", path, p.status, p.text())
	}
	return p
}

// has checks that the page's source holds every text.
func (p page) has(texts ...string) page {
	p.t.Helper()
	for _, s := range texts {
		if !strings.Contains(p.body, s) {
			p.t.Errorf("%s: %q is missing in\n%s", p.path, s, p.text())
		}
	}
	return p
}

// lacks checks that the page's source holds none of the texts.
func (p page) lacks(texts ...string) page {
	p.t.Helper()
	for _, s := range texts {
		if i := strings.Index(p.body, s); i >= 0 {
			p.t.Errorf("%s: %q is there: …%s…", p.path, s, p.body[max(0, i-100):min(len(p.body), i+200)])
		}
	}
	return p
}

func (p page) is(status int) page {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("%s: status is %d, want %d\n%s", p.path, p.status, status, p.text())
	}
	return p
}

// to gives where a redirect leads.
func (p page) to() string {
	p.t.Helper()
	p.is(http.StatusSeeOther)
	return p.header.Get("Location")
}

// text gives the main part of the page without markup, for messages of tests.
func (p page) text() string {
	s := p.body
	if _, after, ok := strings.Cut(s, "<main"); ok {
		s = after
	}
	var b strings.Builder
	in := false
	for _, c := range s {
		switch {
		case c == '<':
			in = true
		case c == '>':
			in = false
		case !in:
			b.WriteRune(c)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (r *rig) record(evs ...*audit.Event) []audit.Receipt {
	r.t.Helper()
	receipts := r.trail.RecordSync(context.Background(), evs)
	for _, rc := range receipts {
		if rc.Err != nil {
			r.t.Fatal(rc.Err)
		}
	}
	return receipts
}

// fill stores n varied events of the 23 hours before now.
func (r *rig) fill(n int) {
	r.t.Helper()
	now := r.now()
	var evs []*audit.Event
	for i := range n {
		evs = append(evs, varied(i, now.Add(-time.Duration(n-i)*23*time.Hour/time.Duration(n))))
	}
	for len(evs) > 0 {
		batch := min(len(evs), 1000)
		r.record(evs[:batch]...)
		evs = evs[batch:]
	}
}

var (
	someActions = []string{"tool.call", "dataset.query", "dataset.search", "user.update", "token.delete", "session.login", "report.export"}
	somePeople  = []string{"alice", "bob", "carol", "dave", "erin", "robot-7", "frank", "grace", "heidi", "ivan"}
	someTools   = []struct{ name, kind string }{{"search", "datahub"}, {"describe_table", "datahub"}, {"run_query", "trino"}, {"explain_query", "trino"}, {"list_buckets", "s3"}}
)

// varied gives an event that differs from its neighbours in most fields.
func varied(i int, at time.Time) *audit.Event {
	who := somePeople[(i*7+i/10)%len(somePeople)]
	ev := &audit.Event{
		OccurredAt: at, Tenant: []string{"acme", "globex", ""}[i%3], Namespace: []string{"", "prod"}[i/7%2],
		Action: someActions[i*3%len(someActions)], Duration: time.Duration(3+(i*i*7919)%1700) * 317 * time.Microsecond,
		ActionID: fmt.Sprintf("act-%d", i/2),
		Actor:    audit.Actor{Type: "user", ID: who, Name: strings.ToUpper(who[:1]) + who[1:] + " Example", Team: "data", IP: fmt.Sprintf("10.0.%d.%d", i%4, i%250), SessionID: fmt.Sprintf("s-%d", i%37), UserAgent: "Mozilla/5.0 (X11; Linux x86_64)"},
		Resource: audit.Resource{Type: []string{"table", "user", "token", "report"}[i%4], ID: fmt.Sprintf("res-%d", i%61), Name: "Orders of the year"},
		Request:  audit.Request{CorrelationID: fmt.Sprintf("corr-%d", i/5), Method: "POST", Path: "/v1/things", Bytes: int64(i * 13 % 4096)},
		Response: audit.Response{Bytes: int64(i * 977 % 100_000)},
		Source:   audit.Source{Service: "gateway", Transport: "http", Host: "node-1"},
		Payload:  json.RawMessage(fmt.Sprintf(`{"n":%d,"query":"SELECT * FROM orders WHERE id = %d","nested":{"list":[1,2,{"deep":true}]}}`, i, i)),
		Metadata: json.RawMessage(`{"env":"prod","build":42}`),
	}
	if i%2 == 0 {
		ev.Actor.Email = who + "@example.com"
	}
	if i%4 < 2 {
		tool := someTools[i%len(someTools)]
		ev.Tool = audit.Tool{Name: tool.name, Kind: tool.kind, Toolkit: "primary", Connection: "warehouse", Persona: []string{"analyst", "admin"}[i%2], Purpose: "monthly report",
			Parameters: json.RawMessage(`{"limit":100}`),
			Enrichment: audit.Enrichment{Applied: i%3 == 0, Mode: []string{"full", "summary", "none"}[i%3], TokensFull: int64(900 + i), TokensDedup: int64(300 + i/2)}}
	}
	switch {
	case i%11 == 0:
		ev.Outcome, ev.Error, ev.ErrorCode = audit.Failure, "connection reset by peer", "E_CONN"
	case i%17 == 0:
		ev.Outcome, ev.Verdict, ev.Rule = audit.Denied, "deny", "no-deletes-on-friday"
	case i%29 == 0:
		ev.Outcome = audit.Pending
	}
	if ev.Action == "user.update" {
		ev.Changes = audit.Changes{
			Before: json.RawMessage(`{"name":"Alice","roles":["reader","writer"],"address":{"city":"Ulm","zip":"89073"},"locked":false}`),
			After:  json.RawMessage(`{"name":"Alice A.","roles":["reader","admin","writer"],"address":{"city":"Ulm"},"mfa":true,"locked":false}`),
		}
	}
	return ev
}

// script is what every text field of the hostile event is set to.
func script(field string) string { return `<script>alert("` + field + `")</script>` }

// hostile gives an event with markup in every field that a sender may set.
func hostile(at time.Time) *audit.Event {
	var rec audit.Record
	for _, f := range audit.Fields() {
		switch {
		case f.Name == "external_id" || f.Name == "operation" || f.Name == "outcome" || f.Name == "kind" || f.Name == "level" || f.Name == "segment":
		case f.Kind == audit.Text:
			f.SetText(&rec, script(f.Name))
		case f.Kind == audit.Document:
			f.SetBytes(&rec, fmt.Appendf(nil, `{"<script>alert(\"key\")</script>":"<script>alert(\"%s\")</script>","img":"<img src=x onerror=alert(1)>"}`, f.Name))
		}
	}
	rec.OccurredAt, rec.Outcome = at, audit.Failure
	return &rec.Event
}
