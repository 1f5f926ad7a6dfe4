package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

var update = flag.Bool("update", false, "write the golden files")

func TestOpenAPIDocument(t *testing.T) {
	r := newRig(t, with{})
	got := r.get("/openapi.json").body + "\n"
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the document has changed; look at the difference and run the test with -update (-golden +now):\n%s", diff)
	}
}

// document is as much of the OpenAPI document as the tests read.
type document struct {
	OpenAPI    string                          `json:"openapi"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Parameters map[string]parameter       `json:"parameters"`
		Schemas    map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID         string      `json:"operationId"`
	Parameters []parameter `json:"parameters"`
	Responses  map[string]struct {
		Content map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

type schema struct {
	Ref      string   `json:"$ref"`
	Required []string `json:"required"`
}

type parameter struct {
	Ref         string `json:"$ref"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (r *rig) document() document {
	r.t.Helper()
	var d document
	if err := json.Unmarshal([]byte(r.get("/openapi.json").body), &d); err != nil {
		r.t.Fatal(err)
	}
	return d
}

// TestEveryOperation exercises every operation of the document: one without a
// request here fails.
func TestEveryOperation(t *testing.T) {
	r := newRig(t, with{})
	r.fill(20)
	page, err := r.trail.Query(context.Background(), &audit.Query{Limit: 1}, "")
	if err != nil {
		t.Fatal(err)
	}
	id := page.Records[0].ID.String()
	hold, err := r.trail.AddHold(context.Background(), retention.Hold{Reason: "to be removed", Params: "tenant=nobody"})
	if err != nil {
		t.Fatal(err)
	}
	requests := map[string]struct{ path, body string }{
		"record-events":        {"/v1/events?durability=sync", `{"action":"tool.create"}`},
		"query-events":         {"/v1/events?limit=3&order=oldest", ""},
		"get-event":            {"/v1/events/" + id, ""},
		"get-action":           {"/v1/actions/act-3", ""},
		"stream-events":        {"/v1/events/stream?tenant=acme", ""},
		"stats-count":          {"/v1/stats/count", ""},
		"stats-overview":       {"/v1/stats/overview", ""},
		"stats-timeseries":     {"/v1/stats/timeseries?unit=minute", ""},
		"stats-breakdown":      {"/v1/stats/breakdown?dimension=tool_name&limit=3", ""},
		"stats-performance":    {"/v1/stats/performance", ""},
		"stats-discovery":      {"/v1/stats/discovery", ""},
		"stats-enrichment":     {"/v1/stats/enrichment", ""},
		"stats-distinct":       {"/v1/stats/distinct?column=tenant", ""},
		"stats-distinct-pairs": {"/v1/stats/distinct-pairs?a=actor&b=actor_email", ""},
		"list-chains":          {"/v1/chains", ""},
		"verify-chain":         {"/v1/chains/verify", `{"tenant":"acme"}`},
		"export-events":        {"/v1/export?format=csv", ""},
		"get-policy":           {"/v1/policy", ""},
		"explain-policy":       {"/v1/policy/explain", `{"action":"tool.get"}`},
		"get-retention":        {"/v1/retention", ""},
		"act-retention":        {"/v1/retention", `{"action":"plan"}`},
		"add-hold":             {"/v1/retention/holds", `{"reason":"case 7","params":"tenant=acme"}`},
		"remove-hold":          {"/v1/retention/holds/" + hold.ID, ""},
		"healthz":              {"/healthz", ""},
		"readyz":               {"/readyz", ""},
		"metrics":              {"/metrics", ""},
		"openapi.json":         {"/openapi.json", ""},
		"docs":                 {"/docs", ""},
	}
	doc := r.document()
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI version is %q", doc.OpenAPI)
	}
	seen := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			seen[op.ID] = true
			rq, ok := requests[op.ID]
			if !ok {
				t.Errorf("%s %s (%s) is not exercised", method, path, op.ID)
				continue
			}
			t.Run(op.ID, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), r.http.URL+rq.path, strings.NewReader(rq.body))
				if err != nil {
					t.Fatal(err)
				}
				if rq.body != "" {
					req.Header.Set("Content-Type", "application/json")
				}
				resp, err := r.http.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
				described, ok := op.Responses["200"].Content[kind]
				if resp.StatusCode != http.StatusOK || !ok {
					t.Fatalf("status %d, content type %q, which the document must have", resp.StatusCode, kind)
				}
				if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
					t.Errorf("the document does not describe its errors")
				}
				if kind != "application/json" || described.Schema.Ref == "" {
					return
				}
				var got map[string]any
				if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
					t.Fatal(err)
				}
				var want struct {
					Required   []string                   `json:"required"`
					Properties map[string]json.RawMessage `json:"properties"`
				}
				name := described.Schema.Ref[strings.LastIndex(described.Schema.Ref, "/")+1:]
				if err := json.Unmarshal(doc.Components.Schemas[name], &want); err != nil {
					t.Fatal(err)
				}
				for _, member := range want.Required {
					if _, ok := got[member]; !ok {
						t.Errorf("%s lacks %q, which %s requires", rq.path, member, name)
					}
				}
				for member := range got {
					if _, ok := want.Properties[member]; !ok {
						t.Errorf("%s has %q, which %s does not know", rq.path, member, name)
					}
				}
			})
		}
	}
	for id := range requests {
		if !seen[id] {
			t.Errorf("the document has no operation %s", id)
		}
	}
}

// TestParameters checks that every dimension with every operator is in the
// document, and that the server takes each of them.
func TestParameters(t *testing.T) {
	r := newRig(t, with{})
	doc := r.document()
	var listed []string
	for _, p := range doc.Paths["/v1/events"]["get"].Parameters {
		listed = append(listed, doc.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")].Name)
	}
	example := map[audit.FieldKind]string{
		audit.Text: "x", audit.Number: "1", audit.Flag: "true", audit.Span: "1.5",
		audit.Instant: "2026-01-31", audit.Identity: "018f3c1e-7d4a-7000-8000-000000000001",
	}
	for _, f := range audit.Dimensions() {
		for suffix, op := range map[string]audit.Ops{"": audit.OpIs, ".not": audit.OpNot, ".prefix": audit.OpPrefix, ".min": audit.OpRange, ".max": audit.OpRange} {
			name := f.Name + suffix
			if want := f.Ops&op != 0; want != slices.Contains(listed, name) {
				t.Errorf("parameter %s listed: %v, want %v", name, !want, want)
			} else if want {
				if a := r.get("/v1/events?" + name + "=" + example[f.Kind]); a.status != 200 {
					t.Errorf("%s: %d %s", name, a.status, a.body)
				}
			}
		}
		if p := doc.Components.Parameters[f.Name]; f.Ops&audit.OpIs != 0 && !strings.HasPrefix(p.Description, f.Doc) {
			t.Errorf("%s is described as %q", f.Name, p.Description)
		}
	}
}

func TestNoSuchRoute(t *testing.T) {
	r := newRig(t, with{})
	for _, path := range []string{"/v1/nothing", "/nothing", "/v1/", "/v1/stats/median", "/v1/events/a/b"} {
		r.problem(r.get(path), http.StatusNotFound, audit.CodeNotFound, "")
	}
	for path, method := range map[string]string{"/v1/events": "DELETE", "/v1/stats/count": "POST", "/v1/chains/verify": "GET", "/healthz": "PUT", "/": "POST"} {
		a := r.do(method, path, "application/json", "")
		r.problem(a, http.StatusMethodNotAllowed, audit.CodeInvalid, "")
		if a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", method, path)
		}
	}
	if a := r.do("HEAD", "/v1/events", "", ""); a.status != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
}

// TestPages checks that the pages load nothing from anywhere.
func TestPages(t *testing.T) {
	r := newRig(t, with{})
	for _, path := range []string{"/", "/docs"} {
		a := r.get(path)
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Fatalf("%s: %d %s", path, a.status, a.header.Get("Content-Type"))
		}
		if !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s has no content security policy", path)
		}
		for _, foreign := range []string{"src=", "https://", "@import", "url(", "<script", "<link"} {
			if strings.Contains(a.body, foreign) {
				t.Errorf("%s contains %s", path, foreign)
			}
		}
	}
	docs := r.get("/docs").body
	for path, item := range r.document().Paths {
		for _, op := range item {
			if !strings.Contains(docs, `id="`+op.ID+`"`) || !strings.Contains(docs, "<code>"+path+"</code>") {
				t.Errorf("/docs lacks %s", op.ID)
			}
		}
	}
	if !bytes.Contains([]byte(docs), []byte("actor_ip.prefix")) {
		t.Error("/docs lacks the filters")
	}
}
