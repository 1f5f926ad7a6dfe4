package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/memory"
)

func TestExplore(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(500)
	p := r.ok("/explore").has(
		`role="search"`, "500 records", `<datalist id="f-action-list">`, `<option value="dataset.query"></option>`, `<option value="acme"></option>`,
		"Next page", `href="/v1/export?format=ndjson" download`, `href="/v1/export?format=csv" download`, `data-stream="/v1/events/stream"`, `<option value="newest" selected>newest first</option>`,
	)
	if n := strings.Count(p.body, `<tr role="row">`); n != audit.DefaultLimit+1 {
		t.Errorf("%d rows", n)
	}
	for _, f := range audit.Dimensions() {
		p.has(`<option value="` + f.Name + `"`)
	}
	for _, f := range audit.Fields() {
		if f.Ops == 0 && f.Name != "metadata" { // of which the keys can be asked for
			p.lacks(`<option value="` + f.Name + `"`)
		}
	}
	r.ok("/explore?outcome=failure&tenant=acme").has(`<option value="failure" selected>`, `id="f-tenant" name="f.tenant" type="text" value="acme"`).lacks("✓</span> success")
	r.ok("/explore?q=reset+peer").has("46 records", `value="reset peer"`)
	r.ok("/explore?open=true").has(`<option value="open" selected>`, "Open intents cannot be followed live").lacks("data-stream")
	r.ok("/explore?phase=intent&order=oldest").has(`<option value="intent" selected>`, `<option value="oldest" selected>`, "The live tail needs the newest records first")
	r.ok("/explore?to=2026-01-01").has("can come any more", "No record meets these conditions")
	r.ok("/explore?metadata.env=prod&metadata.build.not=42&limit=5").has("<b>Metadata env</b> is <bdi>prod</bdi>", "<b>Metadata build</b> is not <bdi>42</bdi>", "0 records")
	// What fits into no box stays a condition and goes with the form.
	r.ok("/explore?actor=alice&actor=bob&tenant=&duration_ms.min=100&action.prefix=user.").has(
		"<b>Actor</b> is <bdi>alice</bdi> or <bdi>bob</bdi>", `name="c" value="actor=alice&amp;actor=bob"`, "<b>Tenant</b> is <bdi>(absent)</bdi>", `name="c" value="tenant="`,
		"<b>Duration (ms)</b> at least <bdi>100</bdi>", `name="f.action" type="text" value="user.*"`,
		`href="/explore?action.prefix=user.&amp;duration_ms.min=100&amp;tenant="`,
	)
}

// TestExportLinks: what is exported is exactly what the filters select.
func TestExportLinks(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(300)
	p := r.ok("/explore?tenant=acme&outcome.not=success&limit=3&order=oldest&from=2026-03-03T18:00:00Z")
	link := attr(t, p, `Export <a href="`)
	if want := "/v1/export?format=ndjson&from=2026-03-03T18%3A00%3A00Z&order=oldest&outcome.not=success&tenant=acme"; link != want {
		t.Errorf("the export is %s, want %s", link, want)
	}
	lines := strings.Count(r.ok(link).body, "\n")
	p.has("<h2 id=\"results-head\">" + records(int64(lines)) + "</h2>")
	if lines < 5 {
		t.Errorf("%d lines", lines)
	}
	stream := attr(t, r.ok("/explore?tenant=acme&limit=3"), `data-stream="`)
	if stream != "/v1/events/stream?tenant=acme" {
		t.Errorf("the live tail is %s", stream)
	}
}

func TestExplorePages(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(130)
	seen := map[string]bool{}
	path := "/explore?limit=50&tenant.not=nobody"
	for page := 1; ; page++ {
		p := r.ok(path)
		for _, part := range strings.Split(p.body, `href="/records/`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			if seen[id] {
				t.Errorf("%s is there twice", id)
			}
			seen[id] = true
		}
		if page == 2 {
			p.has("First page", "The live tail is on the first page.").lacks("data-stream")
			if first := attr(t, p, `aria-label="Pages"><a href="`); first != "/explore?limit=50&tenant.not=nobody" {
				t.Errorf("the first page is %s", first)
			}
		}
		if !strings.Contains(p.body, `rel="next"`) {
			break
		}
		at := strings.LastIndex(p.body[:strings.Index(p.body, `" rel="next"`)], `href="`)
		path = attr(t, rest(p, p.body[at:]), `href="`)
	}
	if len(seen) != 130 {
		t.Errorf("%d records are seen, want 130", len(seen))
	}
	// A cursor fits its own question only.
	r.get(strings.Replace(path, "nobody", "acme", 1)).is(http.StatusBadRequest).has("Place in the list", "does not belong to this question", "Go to the first page")
}

// rest is a part of a page.
func rest(p page, body string) page { p.body = body; return p }

func TestExploreRefuses(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(5)
	for path, want := range map[string][]string{
		"/explore?from=yesterday":                  {`<a href="#f-from">From (UTC)</a>`, `id="f-from-error"`, `value="yesterday"`, `aria-invalid="true"`},
		"/explore?q=%21%21":                        {`<a href="#f-q">Full text</a>`, "has no letter or digit"},
		"/explore?duration_ms.min=long":            {`<a href="#c-duration_ms.min">Duration (ms)</a>`, "is not a number of milliseconds", `class="condition wrong"`},
		"/explore?colour=red":                      {`<a href="#c-colour">colour</a>`, "is not a parameter"},
		"/explore?actor.min=3":                     {`<a href="#c-actor.min">actor.min</a>`, "is not a parameter"},
		"/explore?action.prefix=":                  {`<a href="#c-action.prefix">Action</a>`, "a prefix must not be empty"},
		"/explore?order=sideways":                  {`<a href="#c-order">Order</a>`, "want newest or oldest"},
		"/explore?limit=0":                         {`<a href="#c-limit">Records on a page</a>`, "want 1 to 1000"},
		"/explore?tokens_full=many":                {`<a href="#c-tokens_full">Tokens full</a>`, "is not a whole number"},
		"/explore?enriched=perhaps":                {`<a href="#c-enriched">Enriched</a>`, "want true or false"},
		"/explore?from=2026-02-01&to=2026-01-01":   {`<a href="#f-to">Before (UTC)</a>`, "is before from"},
		"/explore?tenant=" + long(200):             {`<a href="#f-tenant">Tenant</a>`, "is longer than 128 bytes"},
		"/explore?metadata.=1":                     {`<a href="#c-metadata.">Metadata </a>`, "a metadata key has 1 to 256 bytes"},
		"/explore?cursor=x":                        {"does not belong to this question"},
		"/explore?from=2026-01-01&from=2025-01-01": {"is given 2 times"},
	} {
		p := r.get(path).is(http.StatusBadRequest).has(`role="alert"`, "The question cannot be asked").lacks(`id="results"`)
		p.has(want...)
		checkIDs(t, p)
	}
	r.get("/explore?a=%zz").is(http.StatusBadRequest).has("The address is malformed")
	r.get("/explore/filter?c=%25zz").is(http.StatusBadRequest).has("is malformed")
}

// TestFilterForm: what the form sends becomes the API's own parameters.
func TestFilterForm(t *testing.T) {
	r := newRig(t, with{now: noon})
	for _, tt := range []struct {
		name string
		form url.Values
		want string
	}{
		{"nothing", url.Values{"f.actor": {""}, "f.tenant": {" "}, "f.order": {"newest"}, "f.limit": {"50"}, "add.field": {""}, "add.value": {"x"}}, ""},
		{"boxes", url.Values{"f.actor": {" alice "}, "f.action": {"user.*"}, "f.q": {"lost & found"}, "f.outcome": {"denied"}, "f.limit": {"100"}, "f.order": {"oldest"}},
			"action.prefix=user.&actor=alice&limit=100&order=oldest&outcome=denied&q=lost+%26+found"},
		{"times", url.Values{"f.from": {"24h"}, "f.to": {"2026-03-04 11:30"}}, "from=2026-03-03T12%3A00%3A00Z&to=2026-03-04T11%3A30%3A00Z"},
		{"days", url.Values{"f.from": {"7d"}, "f.to": {"2026-03-04"}}, "from=2026-02-25T12%3A00%3A00Z&to=2026-03-04"},
		{"no time", url.Values{"f.from": {"soon"}, "f.to": {"d"}}, "from=soon&to=d"},
		{"intents", url.Values{"f.state": {"intent"}}, "phase=intent"},
		{"open intents", url.Values{"f.state": {"open"}}, "open=true"},
		{"carried", url.Values{"c": {"actor=alice&actor=bob", "tenant="}, "f.actor": {"carol"}}, "actor=alice&actor=bob&actor=carol&tenant="},
		{"a range", url.Values{"add.field": {"duration_ms"}, "add.op": {".min"}, "add.value": {"100"}, "c": {"duration_ms.min=5"}}, "duration_ms.min=100"},
		{"not", url.Values{"add.field": {"host"}, "add.op": {".not"}, "add.value": {"node-1"}, "c": {"host.not=node-2"}}, "host.not=node-1&host.not=node-2"},
		{"absent", url.Values{"add.field": {"rule"}, "add.op": {""}, "add.value": {""}}, "rule="},
		{"metadata", url.Values{"add.field": {"metadata"}, "add.key": {"env"}, "add.op": {".prefix"}, "add.value": {"pr"}}, "metadata.env.prefix=pr"},
		{"metadata key like an operator", url.Values{"add.field": {"metadata"}, "add.key": {"is.not"}, "add.value": {"1"}}, "metadata.is.not.is=1"},
		{"metadata without a key", url.Values{"add.field": {"metadata"}, "add.value": {"1"}}, ""},
		{"twice the same", url.Values{"c": {"actor=a&actor=b"}, "f.actor": {"a"}}, "actor=a&actor=b"},
	} {
		want := "/explore"
		if tt.want != "" {
			want += "?" + tt.want
		}
		if got := r.get("/explore/filter?" + tt.form.Encode()).to(); got != want {
			t.Errorf("%s: %s, want %s", tt.name, got, want)
		}
	}
}

// TestFormKeepsTheQuestion: sending the form unchanged asks the same again.
func TestFormKeepsTheQuestion(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(10)
	for _, q := range []string{
		"", "actor=alice", "actor=alice&actor=bob", "actor=", "action.prefix=user.&actor.not=bob", "action=a%2A", "action.prefix=a%2A", "actor=+blank+",
		"duration_ms.max=10&duration_ms.min=1&enriched=true", "metadata.a.not.is=1&metadata.b=2", "open=true&phase=intent", "phase=outcome", "order=oldest&limit=7",
		"from=2026-01-01&q=text&to=2026-05-05T01%3A02%3A03Z", "outcome=failure", "outcome=denied&outcome=failure", "outcome=odd", "operation=read&namespace=n",
		"id=018f0000-0000-7000-8000-000000000001", "recorded_at.min=2026-01-01", "action=x&action.prefix=y",
	} {
		p := r.ok("/explore?" + q)
		got, err := url.Parse(r.get("/explore/filter?" + formOf(t, p).Encode()).to())
		if err != nil {
			t.Fatal(err)
		}
		want, err := url.ParseQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		if got.Query().Encode() != want.Encode() {
			t.Errorf("%s becomes %s", q, got.RawQuery)
		}
	}
}

// formOf reads the form of the explorer as a browser would send it.
func formOf(t *testing.T, p page) url.Values {
	t.Helper()
	_, body, _ := strings.Cut(p.body, `<form class="card ask"`)
	body, _, _ = strings.Cut(body, "</form>")
	v := url.Values{}
	for _, part := range strings.Split(body, "<input ")[1:] {
		tag, _, _ := strings.Cut(part, ">")
		value := ""
		if strings.Contains(tag, `value="`) {
			value = attr(t, page{t: t, body: tag}, `value="`)
		}
		v.Add(attr(t, page{t: t, body: tag}, `name="`), value)
	}
	for _, part := range strings.Split(body, "<select ")[1:] {
		list, _, _ := strings.Cut(part, "</select>")
		name := attr(t, page{t: t, body: list}, `name="`)
		value := attr(t, page{t: t, body: list}, `<option value="`)
		if i := strings.Index(list, `" selected>`); i >= 0 {
			value = list[strings.LastIndex(list[:i], `"`)+1 : i]
		}
		v.Add(name, value)
	}
	return v
}

func TestNoFullText(t *testing.T) {
	r := newRig(t, with{store: func(m *memory.Store) audit.Store { return plainStore{m} }, trail: func(o *annals.Options) { o.Unchained = true }})
	r.ok("/explore").has("The engine plain has no full text search.", " disabled")
	r.get("/explore?q=word").is(http.StatusNotImplemented).has(`<a href="#f-q">Full text</a>`, "has no full text search")
	// Without chains, aggregation and a state of its own the pages are there too.
	r.ok("/integrity").has("The chain is switched off", "has no hash chain")
	r.ok("/operations").has("off", "plain")
	r.record(&audit.Event{Action: "x", OccurredAt: time.Now().Add(-time.Minute)})
	p := r.ok("/explore")
	r.ok(attr(t, p, `rowheader"><a href="`)).has("outside any chain")
}

func TestSuggestionsAreRemembered(t *testing.T) {
	clock := noon()
	var scans atomic.Int64
	r := newRig(t, with{now: func() time.Time { return clock }, store: func(m *memory.Store) audit.Store {
		return &countingStore{Store: m, scans: &scans}
	}})
	r.fill(20)
	r.ok("/explore").has(`<option value="acme">`)
	first := scans.Load()
	r.ok("/explore").has(`<option value="acme">`)
	if scans.Load() != first {
		t.Errorf("%d more scans for the same suggestions", scans.Load()-first)
	}
	clock = clock.Add(2 * time.Minute)
	r.record(&audit.Event{Action: "new.one", Tenant: "newcomer", OccurredAt: clock})
	r.ok("/explore").has(`<option value="newcomer">`)
	if scans.Load() == first {
		t.Error("suggestions are never asked again")
	}
}

func TestOptionsOfLists(t *testing.T) {
	r := newRig(t, with{now: noon})
	p := r.ok("/explore")
	for _, o := range audit.Outcomes() {
		p.has(`<option value="` + string(o) + `"`)
	}
	for _, o := range audit.Operations() {
		p.has(`<option value="` + string(o) + `"`)
	}
}
