package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

type results struct {
	Results []struct {
		ID       string `json:"id"`
		Status   string `json:"status"`
		Reason   string `json:"reason"`
		Sequence int64  `json:"sequence"`
		Hash     string `json:"hash"`
		Error    *struct {
			Index   int        `json:"index"`
			Code    audit.Code `json:"code"`
			Field   string     `json:"field"`
			Message string     `json:"message"`
		} `json:"error"`
	} `json:"results"`
}

func (r *rig) results(a answer) results {
	r.t.Helper()
	var v results
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		r.t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

func TestRecordForms(t *testing.T) {
	r := newRig(t, with{})
	one := `{"action":"tool.create","id":"a/b","actor":{"id":"alice"},"payload":{"big":1e400,"n":18446744073709551616},"duration_ms":1.5}`
	for _, c := range []struct {
		kind, body string
		n          int
	}{
		{"application/json", one, 1},
		{"", ` {"action":"x"} `, 1},
		{"application/json; charset=UTF-8", `[{"action":"a"}, {"action":"b","payload":{"s":"],[{\"}"}} ,{"action":"c"}]`, 3},
		{"application/json", `[]`, 0},
		{"application/x-ndjson", "{\"action\":\"a\"}\n\n  \r\n{\"action\":\"b\"}\r\n{\"action\":\"c\"}", 3},
	} {
		before := r.count()
		a := r.do("POST", "/v1/events", c.kind, c.body)
		if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", c.body, a.status, a.body)
			continue
		}
		res := r.results(a).Results
		if len(res) != c.n || r.count()-before != int64(c.n) {
			t.Errorf("%s: %d results, %d stored, want %d", c.body, len(res), r.count()-before, c.n)
		}
		for _, x := range res {
			if x.Status != "queued" || x.ID == "" {
				t.Errorf("%s: %+v", c.body, x)
			}
		}
	}
	rec := r.get("/v1/events/a%2Fb")
	if rec.status != 200 || !strings.Contains(rec.body, `"external_id":"a/b"`) || !strings.Contains(rec.body, `"payload":{"big":1e400,"n":18446744073709551616}`) {
		t.Errorf("what was sent is not what is stored: %s", rec.body)
	}
}

// TestSync checks that waiting for the store gives the place in the chain.
func TestSync(t *testing.T) {
	r := newRig(t, with{})
	a := r.post("/v1/events?durability=sync", `[{"action":"a","tenant":"t"},{"action":"b","tenant":"t"}]`)
	res := r.results(a).Results
	if a.status != 200 || len(res) != 2 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for i, x := range res {
		if x.Status != "recorded" || x.Sequence != int64(i+1) || len(x.Hash) != 64 {
			t.Errorf("%+v", x)
		}
		rec := r.get("/v1/events/" + x.ID).json(t)
		if rec["hash"] != x.Hash || rec["sequence"] != float64(x.Sequence) {
			t.Errorf("the record says %v %v, the receipt %+v", rec["sequence"], rec["hash"], x)
		}
	}
}

func TestFilteredByPolicy(t *testing.T) {
	r := newRig(t, with{options: func(o *annals.Options) { o.Policy = policy.Config{Level: policy.DeletesOnly} }})
	a := r.post("/v1/events", `{"action":"tool.get"}`)
	res := r.results(a).Results
	if a.status != 200 || len(res) != 1 || res[0].Status != "filtered" || res[0].Reason != "level" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := r.count(); n != 0 {
		t.Errorf("%d stored", n)
	}
}

func TestDuplicateAndConflict(t *testing.T) {
	r := newRig(t, with{})
	const url = "/v1/events?durability=sync"
	first := r.post(url, `{"id":"e1","action":"a","occurred_at":"2026-01-02T03:04:05Z"}`)
	if first.status != 200 {
		t.Fatal(first.body)
	}
	again := r.results(r.post(url, `{"id":"e1","action":"a","occurred_at":"2026-01-02T03:04:05Z"}`)).Results
	if again[0].Status != "duplicate" || again[0].ID != r.results(first).Results[0].ID {
		t.Errorf("%+v", again)
	}
	clash := r.post(url, `{"id":"e1","action":"other","occurred_at":"2026-01-02T03:04:05Z"}`)
	r.problem(clash, http.StatusConflict, audit.CodeConflict, "")
	if res := r.results(clash).Results; len(res) != 1 || res[0].Status != "rejected" || res[0].Error.Code != audit.CodeConflict {
		t.Errorf("%s", clash.body)
	}
	mixed := r.post(url, `[{"id":"e1","action":"other"},{"action":"good"}]`)
	if res := r.results(mixed).Results; mixed.status != 200 || res[0].Error == nil || res[0].Error.Code != audit.CodeConflict || res[1].Status != "recorded" {
		t.Errorf("%d %s", mixed.status, mixed.body)
	}
	if n := r.count(); n != 2 {
		t.Errorf("%d stored, want 2", n)
	}
}

// TestBadEvents is spec section 5 at the API: each is refused with the name of
// the field, and nothing of it is stored, or it is mended by rule and stored.
func TestBadEvents(t *testing.T) {
	r := newRig(t, with{})
	long := strings.Repeat("x", 9000)
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for _, c := range []struct{ name, event, field string }{
		{"no action", `{"actor":{"id":"a"}}`, "action"},
		{"null action", `{"action":null}`, "action"},
		{"unknown field", `{"action":"a","actoin":"b"}`, "actoin"},
		{"unknown nested field", `{"action":"a","actor":{"idd":"x"}}`, "actor.idd"},
		{"wrong kind", `{"action":7}`, "action"},
		{"wrong nested kind", `{"action":"a","actor":{"id":{}}}`, "actor.id"},
		{"unknown operation", `{"action":"a","operation":"fly"}`, "operation"},
		{"unknown outcome", `{"action":"a","outcome":"maybe"}`, "outcome"},
		{"bad time", `{"action":"a","occurred_at":"yesterday"}`, "occurred_at"},
		{"time before 1970", `{"action":"a","occurred_at":"1969-12-31T23:59:59Z"}`, "occurred_at"},
		{"negative duration", `{"action":"a","duration_ms":-1}`, "duration_ms"},
		{"huge duration", `{"action":"a","duration_ms":1e300}`, "duration_ms"},
		{"negative size", `{"action":"a","request":{"bytes":-5}}`, "request.bytes"},
		{"huge size", `{"action":"a","request":{"bytes":9223372036854775808}}`, "request.bytes"},
		{"fraction of a byte", `{"action":"a","response":{"bytes":1.5}}`, "response.bytes"},
		{"long tenant", `{"action":"a","tenant":"` + long + `"}`, "tenant"},
		{"NUL in tenant", `{"action":"a","tenant":"a\u0000b"}`, "tenant"},
		{"invalid UTF-8 in namespace", "{\"action\":\"a\",\"namespace\":\"\xff\"}", "namespace"},
		{"long id", `{"action":"a","id":"` + long + `"}`, "id"},
		{"two ids", `{"action":"a","id":"x","external_id":"y"}`, "external_id"},
		{"deep payload", `{"action":"a","payload":` + deep + `}`, "payload"},
		{"metadata is a list", `{"action":"a","metadata":[1]}`, "metadata"},
		{"metadata key twice", `{"action":"a","metadata":{"k":1,"k":2}}`, "metadata"},
		{"a record's field", `{"action":"a","sequence":4}`, "sequence"},
		{"not an object", `"text"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.count()
			a := r.post("/v1/events", c.event)
			r.t = t
			r.problem(a, http.StatusBadRequest, audit.CodeInvalid, c.field)
			if n := r.count(); n != before {
				t.Errorf("%d records more", n-before)
			}
			// In a batch it is named by its index and spoils nothing.
			a = r.post("/v1/events", `[{"action":"good"},`+c.event+`,{"action":"good"}]`)
			res := r.results(a).Results
			if a.status != 200 || len(res) != 3 || res[0].Status != "queued" || res[2].Status != "queued" {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if e := res[1].Error; res[1].Status != "rejected" || e == nil || e.Index != 1 || e.Field != c.field || e.Code != audit.CodeInvalid || e.Message == "" {
				t.Errorf("%s", a.body)
			}
			if n := r.count(); n != before+2 {
				t.Errorf("%d records more, want 2", n-before)
			}
		})
	}
	for name, event := range map[string]string{
		"long texts":      `{"action":"` + long + `","actor":{"id":"` + long + `"},"error":"` + long + `"}`,
		"NUL":             `{"action":"a\u0000b","payload":{"x":"\u0000"}}`,
		"lone surrogate":  `{"action":"a\ud800","payload":"\udc00"}`,
		"invalid UTF-8":   "{\"action\":\"a\xff\",\"payload\":\"\xff\"}",
		"huge numbers":    `{"action":"a","payload":[1e400,-0,18446744073709551616]}`,
		"future":          `{"action":"a","occurred_at":"9999-12-31T23:59:59Z"}`,
		"empty actor":     `{"action":"a","actor":{}}`,
		"large payload":   `{"action":"a","payload":"` + strings.Repeat("y", 2<<20) + `"}`,
		"null everything": `{"action":"a","actor":null,"payload":null,"metadata":null,"id":null}`,
	} {
		before := r.count()
		a := r.post("/v1/events?durability=sync", event)
		if a.status != 200 || r.count() != before+1 {
			t.Errorf("%s: %d %.200s, %d records more", name, a.status, a.body, r.count()-before)
		}
	}
}

func TestBadBodies(t *testing.T) {
	r := newRig(t, with{})
	for _, c := range []struct {
		name, kind, body string
		status           int
		code             audit.Code
		field            string
	}{
		{"empty", "application/json", "", 400, audit.CodeInvalid, ""},
		{"blank", "application/json", " \n\t ", 400, audit.CodeInvalid, ""},
		{"blank lines", "application/x-ndjson", "\n\n", 400, audit.CodeInvalid, ""},
		{"not JSON", "application/json", "hello", 400, audit.CodeInvalid, ""},
		{"open array", "application/json", `[{"action":"a"}`, 400, audit.CodeInvalid, ""},
		{"open string", "application/json", `[{"action":"a`, 400, audit.CodeInvalid, ""},
		{"empty element", "application/json", `[{"action":"a"},,{"action":"b"}]`, 400, audit.CodeInvalid, ""},
		{"trailing comma", "application/json", `[{"action":"a"},]`, 400, audit.CodeInvalid, ""},
		{"wrong bracket", "application/json", `[{"action":"a"}}`, 400, audit.CodeInvalid, ""},
		{"text after", "application/json", `[{"action":"a"}] x`, 400, audit.CodeInvalid, ""},
		{"form", "application/x-www-form-urlencoded", `{"action":"a"}`, 415, audit.CodeInvalid, "Content-Type"},
		{"text", "text/plain", `{"action":"a"}`, 415, audit.CodeInvalid, "Content-Type"},
		{"latin-1", "application/json; charset=iso-8859-1", `{"action":"a"}`, 415, audit.CodeInvalid, "Content-Type"},
		{"too large", "application/json", `{"action":"` + strings.Repeat("a", 10<<20) + `"}`, 413, audit.CodeTooLarge, ""},
		{"too many", "application/json", "[" + strings.Repeat(`{"action":"a"},`, 10_000) + `{"action":"a"}]`, 413, audit.CodeTooLarge, ""},
		{"too many lines", "application/x-ndjson", strings.Repeat("{\"action\":\"a\"}\n", 10_001), 413, audit.CodeTooLarge, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			r.problem(r.do("POST", "/v1/events", c.kind, c.body), c.status, c.code, c.field)
			if n := r.count(); n != 0 {
				t.Errorf("%d records were stored", n)
			}
		})
	}
	r.t = t
	r.problem(r.do("POST", "/v1/events", "application/json", "\x1f\x8b", "Content-Encoding", "gzip"), 415, audit.CodeInvalid, "Content-Encoding")
	r.problem(r.post("/v1/events?durability=never", `{"action":"a"}`), 400, audit.CodeInvalid, "durability")
	r.problem(r.post("/v1/events?durabilty=sync", `{"action":"a"}`), 400, audit.CodeInvalid, "durabilty")
	// A body of unknown length is bounded as well.
	req, err := http.NewRequest("POST", r.http.URL+"/v1/events", endless{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.http.Client().Do(req)
	if err != nil {
		return // the connection was closed before the answer could be read, which is right too
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("an endless body: %d", resp.StatusCode)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// refusing is a store that takes nothing.
type refusing struct {
	audit.Store
	err error
}

func (s refusing) Unwrap() audit.Store { return s.Store }

func (s refusing) AppendChained(context.Context, []*audit.Record) ([]audit.Result, error) {
	return nil, s.err
}

func (s refusing) Ping(context.Context) error { return s.err }

// TestUnavailable checks that a store's fault asks senders to come again, and
// that what the driver said stays in the log.
func TestUnavailable(t *testing.T) {
	secret := "password=hunter2 at 10.0.0.7"
	r := newRig(t, with{store: func(s audit.Store) audit.Store {
		return refusing{s, audit.Unavailable("the store is down", fmt.Errorf("driver: %s", secret))}
	}, options: func(o *annals.Options) { o.Timeout = 50e6; o.Unchained = false; o.Durability = "sync" }, down: true})
	a := r.get("/readyz")
	r.problem(a, http.StatusServiceUnavailable, audit.CodeUnavailable, "")
	if strings.Contains(a.body, "hunter2") {
		t.Errorf("the driver's text reached the client: %s", a.body)
	}
	id, _ := a.json(t)["request_id"].(string)
	if log := r.log.String(); id == "" || !strings.Contains(log, id) || !strings.Contains(log, "hunter2") {
		t.Errorf("request %q and its cause are not in the log: %s", id, log)
	}
	for _, body := range []string{`{"action":"a"}`, `[{"action":"a"},{"action":"b"}]`, `[{"action":"a"},{"bad":1}]`} {
		a := r.post("/v1/events", body)
		r.problem(a, http.StatusServiceUnavailable, audit.CodeUnavailable, "")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if strings.Contains(a.body, "hunter2") {
			t.Errorf("the driver's text reached the client: %s", a.body)
		}
	}
	if n := strings.Count(r.log.String(), `"request failed"`); n != 1 {
		t.Errorf("%d lines tell of four failures, want one: %s", n, r.log.String())
	}
}

// TestBacklog checks the answer when the queue is full.
func TestBacklog(t *testing.T) {
	r := newRig(t, with{down: true,
		store:   func(s audit.Store) audit.Store { return refusing{s, audit.ErrUnavailable} },
		options: func(o *annals.Options) { o.Capacity, o.OnFull, o.FlushSize = 1, "fail", 1 },
	})
	if a := r.post("/v1/events", `{"action":"a"}`); a.status != 200 {
		t.Fatal(a.body)
	}
	a := r.post("/v1/events", `[{"action":"b"},{"action":"c"}]`)
	r.problem(a, http.StatusTooManyRequests, audit.CodeBacklog, "")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if res := r.results(a).Results; len(res) != 2 || res[1].Error == nil || res[1].Error.Code != audit.CodeBacklog {
		t.Errorf("%s", a.body)
	}
}

// TestDropped checks a server that is set to drop: it says so and holds nobody up.
func TestDropped(t *testing.T) {
	r := newRig(t, with{down: true,
		store:   func(s audit.Store) audit.Store { return refusing{s, audit.ErrUnavailable} },
		options: func(o *annals.Options) { o.Capacity, o.OnFull, o.FlushSize = 1, "drop", 1 },
	})
	r.post("/v1/events", `{"action":"a"}`)
	a := r.post("/v1/events", `{"action":"b"}`)
	if res := r.results(a).Results; a.status != 200 || res[0].Status != "rejected" || res[0].Reason != "dropped" || res[0].Error != nil {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestBuffersAreNotShared checks that events keep nothing of a request's
// buffer, which the next request overwrites.
func TestBuffersAreNotShared(t *testing.T) {
	r := newRig(t, with{options: func(o *annals.Options) { o.FlushInterval, o.FlushSize = 3600e9, 10_000 }})
	var want []string
	for i := range 50 {
		text := fmt.Sprintf("%02d%s", i, strings.Repeat(string(rune('a'+i%26)), 100))
		want = append(want, text)
		if a := r.post("/v1/events", fmt.Sprintf(`{"action":%q,"payload":{"p":%q}}`, text, text)); a.status != 200 {
			t.Fatal(a.body)
		}
	}
	r.count()
	page, err := r.trail.Query(context.Background(), &audit.Query{Limit: 100, Order: audit.OldestFirst}, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rec := range page.Records {
		got = append(got, rec.Action)
		if string(rec.Payload) != fmt.Sprintf(`{"p":%q}`, rec.Action) {
			t.Errorf("%s has the payload %s", rec.Action, rec.Payload)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
