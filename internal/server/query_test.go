package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

type page struct {
	Records []*audit.Record `json:"records"`
	Next    string          `json:"next_cursor"`
}

func (r *rig) page(path string) page {
	r.t.Helper()
	a := r.get(path)
	var p page
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != 200 {
		r.t.Fatalf("%s: %d %v %s", path, a.status, err, a.body)
	}
	return p
}

// TestPaging walks in both directions with changing page sizes.
func TestPaging(t *testing.T) {
	r := newRig(t, with{})
	r.fill(300)
	for _, order := range []string{"newest", "oldest"} {
		var ids []audit.ID
		cursor := ""
		for i := 0; ; i++ {
			p := r.page(fmt.Sprintf("/v1/events?tenant=acme&order=%s&limit=%d&cursor=%s", order, 7+i%13, url.QueryEscape(cursor)))
			for _, rec := range p.Records {
				ids = append(ids, rec.ID)
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		var want []audit.ID
		q := &audit.Query{Filters: []audit.Filter{audit.Is("tenant", "acme")}}
		if order == "oldest" {
			q.Order = audit.OldestFirst
		}
		if err := r.trail.Export(context.Background(), q, func(rec *audit.Record) error {
			want = append(want, rec.ID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ids); diff != "" || len(want) != 150 {
			t.Errorf("%s, %d records: %s", order, len(want), diff)
		}
	}
}

func TestCursor(t *testing.T) {
	r := newRig(t, with{})
	other := newRig(t, with{})
	r.fill(20)
	other.fill(20)
	next := r.page("/v1/events?limit=5&tenant=acme").Next
	if next == "" {
		t.Fatal("no cursor")
	}
	bent := []byte(next)
	bent[len(bent)/2] ^= 1
	for name, path := range map[string]string{
		"garbage":        "?tenant=acme&cursor=hello",
		"tampered":       "?tenant=acme&cursor=" + url.QueryEscape(string(bent)),
		"other question": "?tenant=&cursor=" + next,
		"other order":    "?tenant=acme&order=oldest&cursor=" + next,
		"foreign":        "?tenant=acme&cursor=" + other.page("/v1/events?limit=5&tenant=acme").Next,
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.problem(r.get("/v1/events"+path), http.StatusBadRequest, audit.CodeInvalid, "cursor")
		})
	}
	if p := r.page("/v1/events?tenant=acme&limit=3&cursor=" + next); len(p.Records) != 3 {
		t.Errorf("another limit gives %d records", len(p.Records))
	}
}

func TestBadQuestions(t *testing.T) {
	r := newRig(t, with{})
	for path, field := range map[string]string{
		"/v1/events?actr=x":                                      "actr",
		"/v1/events?limit=0":                                     "limit",
		"/v1/events?limit=1001":                                  "limit",
		"/v1/events?limit=5&limit=6":                             "limit",
		"/v1/events?from=yesterday":                              "from",
		"/v1/events?from=2026-02-01&to=2026-01-01":               "to",
		"/v1/events?order=random":                                "order",
		"/v1/events?enriched=perhaps":                            "enriched",
		"/v1/events?duration_ms=4":                               "duration_ms",
		"/v1/events?duration_ms.min=fast":                        "duration_ms.min",
		"/v1/events?tenant.min=a":                                "tenant.min",
		"/v1/events?payload=x":                                   "payload",
		"/v1/events?q=%2B%2B":                                    "q",
		"/v1/events?tenant=%zz":                                  "",
		"/v1/events/x?tenat=a":                                   "tenat",
		"/v1/events/" + strings.Repeat("x", 300):                 "id",
		"/v1/actions/x?limit=1":                                  "limit",
		"/v1/events/stream?limit=1":                              "limit",
		"/v1/events/stream?open=true":                            "open",
		"/v1/export?format=xml":                                  "format",
		"/v1/export?limit=3":                                     "limit",
		"/v1/export?cursor=x":                                    "cursor",
		"/v1/stats/count?order=oldest":                           "order",
		"/v1/stats/count?limit=1":                                "limit",
		"/v1/stats/timeseries?unit=week":                         "unit",
		"/v1/stats/timeseries?unit=minute&from=2020-01-01":       "unit",
		"/v1/stats/breakdown":                                    "dimension",
		"/v1/stats/breakdown?dimension=shoe_size":                "dimension",
		"/v1/stats/breakdown?dimension=tenant&limit=101":         "limit",
		"/v1/stats/breakdown?dimension=tenant&dimension=persona": "dimension",
		"/v1/stats/distinct":                                     "column",
		"/v1/stats/distinct?column=payload":                      "column",
		"/v1/stats/overview?exact=perhaps":                       "exact",
		"/v1/stats/count?exact=true":                             "exact",
		"/v1/stats/distinct-pairs?a=actor":                       "b",
		"/v1/chains?actor=x":                                     "actor",
		"/v1/policy?x=1":                                         "x",
	} {
		t.Run(path, func(t *testing.T) {
			r.t = t
			a := r.get(path)
			r.problem(a, http.StatusBadRequest, audit.CodeInvalid, field)
		})
	}
}

func TestScopes(t *testing.T) {
	r := newRig(t, with{})
	r.post("/v1/events?durability=sync", `[{"id":"same","action":"a","tenant":"x"},{"id":"same","action":"b","tenant":"y"},{"id":"only","action":"c","tenant":"x","action_id":"act"}]`)
	r.problem(r.get("/v1/events/same"), 400, audit.CodeInvalid, "tenant")
	r.problem(r.get("/v1/events/only?tenant=y"), 404, audit.CodeNotFound, "")
	r.problem(r.get("/v1/actions/act?tenant=y"), 404, audit.CodeNotFound, "")
	r.problem(r.get("/v1/actions/none"), 404, audit.CodeNotFound, "")
	for path, action := range map[string]string{
		"/v1/events/same?tenant=y": "b", "/v1/events/same?tenant=x&namespace=": "a", "/v1/events/only": "c", "/v1/actions/act?tenant=x": "c",
	} {
		if a := r.get(path); a.status != 200 || a.json(t)["action"] != action {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	var chains struct{ Chains []map[string]any }
	if err := json.Unmarshal([]byte(r.get("/v1/chains?tenant=y").body), &chains); err != nil || len(chains.Chains) != 1 || chains.Chains[0]["tenant"] != "y" {
		t.Errorf("%v %v", err, chains)
	}
}

// TestStats checks every statistic against the trail's own answer.
func TestStats(t *testing.T) {
	r := newRig(t, with{})
	r.fill(500)
	ctx := context.Background()
	q, _, err := audit.ParseParams(url.Values{"from": {"2020-01-01"}, "to": {"2120-01-01"}, "tenant": {"acme"}})
	if err != nil {
		t.Fatal(err)
	}
	day := *q
	day.From = day.To.AddDate(0, 0, -3)
	const filters = "from=2020-01-01&to=2120-01-01&tenant=acme"
	must := func(v any, err error) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	wrap := func(name string, v any, err error) any { return map[string]any{name: must(v, err)} }
	overview, err := r.trail.Overview(ctx, q)
	performance, err2 := r.trail.Performance(ctx, q)
	discovery, err3 := r.trail.Discovery(ctx, q)
	enrichment, err4 := r.trail.Enrichment(ctx, q)
	count, err5 := r.trail.Count(ctx, q)
	series, err6 := r.trail.Timeseries(ctx, &day, analytics.Day)
	groups, err7 := r.trail.Breakdown(ctx, q, "tool_name", 2)
	values, err8 := r.trail.Distinct(ctx, q, "session_id")
	pairs, err9 := r.trail.DistinctPairs(ctx, q, "actor", "actor_email")
	for path, want := range map[string]any{
		"overview?" + filters:    must(overview, err),
		"performance?" + filters: must(performance, err2),
		"discovery?" + filters:   must(discovery, err3),
		"enrichment?" + filters:  must(enrichment, err4),
		"count?" + filters:       wrap("count", count, err5),
		"timeseries?unit=day&tenant=acme&to=2120-01-01&from=" + day.From.Format("2006-01-02"): wrap("buckets", series, err6),
		"breakdown?dimension=tool_name&limit=2&" + filters:                                    wrap("groups", groups, err7),
		"distinct?column=session_id&" + filters:                                               wrap("values", values, err8),
		"distinct-pairs?a=actor&b=actor_email&" + filters:                                     wrap("pairs", pairs, err9),
	} {
		a := r.get("/v1/stats/" + path)
		if a.status != 200 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
			continue
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(b), strings.TrimSpace(a.body)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if overview.Total != 250 {
		t.Errorf("total is %d", overview.Total)
	}
	for _, path := range []string{"timeseries", "breakdown?dimension=actor", "distinct?column=actor", "distinct-pairs?a=actor&b=tenant", "discovery"} {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		if a := r.get("/v1/stats/" + path + sep + "tenant=nobody"); a.status != 200 || strings.Contains(a.body, "null") {
			t.Errorf("%s without records: %d %s", path, a.status, a.body)
		}
	}
}

func TestVerify(t *testing.T) {
	r := newRig(t, with{})
	r.fill(40)
	a := r.post("/v1/chains/verify", `{"tenant":"acme"}`)
	v := a.json(t)
	head, _ := v["head"].(map[string]any)
	if a.status != 200 || v["valid"] != true || v["records_checked"] != 20.0 || head["sequence"] != 20.0 || v["first_broken"] != nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	v = r.post("/v1/chains/verify", `{"tenant":"acme","from":5,"to":9}`).json(t)
	if v["valid"] != true || v["records_checked"] != 5.0 {
		t.Errorf("%v", v)
	}
	v = r.post("/v1/chains/verify", `{"tenant":"acme","checkpoints":[{"namespace":"","tenant":"acme","sequence":7,"hash":"`+strings.Repeat("ab", 32)+`"}]}`).json(t)
	broken, _ := v["first_broken"].(map[string]any)
	if v["valid"] != false || broken["reason"] != "checkpoint_broken" {
		t.Errorf("%v", v)
	}
	v = r.post("/v1/chains/verify", `{"tenant":"gone","checkpoints":[{"namespace":"","tenant":"gone","sequence":7,"hash":"`+strings.Repeat("ab", 32)+`"}]}`).json(t)
	broken, _ = v["first_broken"].(map[string]any)
	if v["valid"] != false || broken["reason"] != "checkpoint_broken" || broken["sequence"] != 7.0 {
		t.Errorf("%v", v)
	}
	r.problem(r.post("/v1/chains/verify", `{"tenant":"acme","checkpoints":[{"namespace":"","tenant":"gone","sequence":7,"hash":"`+strings.Repeat("ab", 32)+`"}]}`), 400, audit.CodeInvalid, "checkpoints")
	r.problem(r.post("/v1/chains/verify", `{"tenant":"nobody"}`), 404, audit.CodeNotFound, "")
	r.problem(r.post("/v1/chains/verify", `{"tenant":"acme","from":9,"to":5}`), 400, audit.CodeInvalid, "to")
	r.problem(r.post("/v1/chains/verify", `{"tenant":"acme","form":9}`), 400, audit.CodeInvalid, "form")
	r.problem(r.post("/v1/chains/verify", `{"tenant":7}`), 400, audit.CodeInvalid, "tenant")
	r.problem(r.post("/v1/chains/verify", `{"tenant":"acme","from":-1}`), 400, audit.CodeInvalid, "from")
	r.problem(r.post("/v1/chains/verify", `{`), 400, audit.CodeInvalid, "")
	r.problem(r.post("/v1/chains/verify", ``), 400, audit.CodeInvalid, "")
	r.problem(r.do("POST", "/v1/chains/verify", "text/plain", `{}`), 415, audit.CodeInvalid, "Content-Type")
	r.problem(r.post("/v1/chains/verify", `{"tenant":"`+strings.Repeat("x", 1<<20)+`"}`), 413, audit.CodeTooLarge, "")
}

func TestPolicy(t *testing.T) {
	r := newRig(t, with{})
	p := r.get("/v1/policy").json(t)
	want := map[string]any{
		"enabled": true, "level": "all", "always_log_failures": false, "exclude_actions": []any{}, "exclude_resources": []any{},
		"sample_rate": 1.0, "sample_reads": 1.0,
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	e := r.post("/v1/policy/explain", `{"action":"tool.get"}`)
	if v := e.json(t); e.status != 200 || v["recorded"] != true || v["reason"] != "recorded" || v["operation"] != "read" {
		t.Errorf("%d %s", e.status, e.body)
	}
	r.problem(r.post("/v1/policy/explain", `{"actor":{}}`), 400, audit.CodeInvalid, "action")
	r.problem(r.post("/v1/policy/explain", `{"action":"a","x":1}`), 400, audit.CodeInvalid, "x")
	r.problem(r.post("/v1/policy/explain", ``), 400, audit.CodeInvalid, "")
	r.problem(r.do("POST", "/v1/policy/explain", "application/x-ndjson", `{"action":"a"}`), 415, audit.CodeInvalid, "Content-Type")
	if n := r.count(); n != 0 {
		t.Errorf("explaining recorded %d", n)
	}
}
