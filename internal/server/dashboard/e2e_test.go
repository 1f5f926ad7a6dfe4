package dashboard_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/annals-dev/annals/audit"
)

// TestBrowser uses the dashboard as people do, in a real Chromium.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("the browser tests do not run with -short")
	}
	r := newRig(t, with{})
	r.fill(500)
	hostileID := r.record(hostile(time.Now().Add(-30 * time.Minute)))[0].ID.String()
	b := newBrowser(t, r)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *browser)
	}{
		{"overview", seeOverview},
		{"filter", typeFilter},
		{"condition", addCondition},
		{"wrong time", typeWrongTime},
		{"keyboard", keyboardOnly},
		{"paging", turnPages},
		{"live tail", followLive},
		{"verify", verifyChains},
		{"without script", withoutScript},
		{"empty store", seeEmptyStore},
		{"every page", func(t *testing.T, b *browser) { seeEveryPage(t, b, hostileID) }},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			b.t = t
			step.run(t, b)
			b.noFaults(t)
		}) {
			break
		}
	}
	b.t = t
}

func seeOverview(t *testing.T, b *browser) {
	wantText(t, "overview", b.open("/"), "Calls", "Success rate", "Calls over time, per hour", "By action", "dataset.query", "Recent failures", "alice@example.com")
	// The bars are really drawn, and as high as their numbers.
	if n := eval[int](b, `[...document.querySelectorAll("#by-action, svg[role=img] rect.ok")].filter(e => e.getBoundingClientRect().height > 10).length`); n < 20 {
		t.Errorf("%d bars are seen", n)
	}
	if got := eval[string](b, `getComputedStyle(document.querySelector(".tiles")).display`); got != "grid" {
		t.Errorf("the stylesheet does not hold: %s", got)
	}
	b.click(`nav.choices a[href="/?window=7d"]`)
	b.until(`document.querySelector('nav.choices a[href="/?window=7d"][aria-current]') !== null`)
	wantText(t, "seven days", b.text("main"), "per hour")
	b.click(`table.groups a[href*="action=dataset.query"]`)
	b.until(`document.querySelector("#results") !== null`)
	if !strings.HasPrefix(b.path(), "/explore?action=dataset.query") {
		t.Errorf("a group leads to %s", b.path())
	}
}

func typeFilter(t *testing.T, b *browser) {
	b.open("/explore")
	b.fill("#f-actor", "alice", "#f-action", "user.*"+kb.Enter)
	b.until(`location.pathname === "/explore" && location.search.includes("actor=alice")`)
	b.until(`document.querySelector("#results tbody tr") !== null`)
	if got := b.path(); got != "/explore?action.prefix=user.&actor=alice" {
		t.Errorf("the question is %s", got)
	}
	if n := eval[int](b, `[...document.querySelectorAll("#results tbody tr")].filter(r => !/user\..*alice/.test(r.innerText.replaceAll("\n", " "))).length`); n != 0 {
		t.Errorf("%d rows do not meet the filter", n)
	}
	if got := eval[string](b, `document.querySelector("#f-action").value`); got != "user.*" {
		t.Errorf("the box shows %q", got)
	}
	if got := eval[string](b, `[...document.querySelectorAll(".links a")].map(a => a.getAttribute("href")).join(" ")`); got != "/v1/export?action.prefix=user.&actor=alice&format=ndjson /v1/export?action.prefix=user.&actor=alice&format=csv /v1/events?action.prefix=user.&actor=alice" {
		t.Errorf("the links are %s", got)
	}
}

func addCondition(t *testing.T, b *browser) {
	b.open("/explore?tenant=acme")
	b.choose("#add-field", "duration_ms", "#add-op", ".min")
	b.fill("#add-value", "400")
	b.click("form.ask button[type=submit]")
	b.until(`location.search.includes("duration_ms.min=400")`)
	wantText(t, "conditions", b.text(".conditions"), "Duration (ms)", "at least", "400")
	b.choose("#add-field", "metadata")
	b.fill("#add-key", "env", "#add-value", "prod")
	b.click("form.ask button[type=submit]")
	b.until(`location.search.includes("metadata.env=prod")`)
	if got := b.path(); got != "/explore?duration_ms.min=400&metadata.env=prod&tenant=acme" {
		t.Errorf("the question is %s", got)
	}
	b.click(`.condition a.remove[href="/explore?metadata.env=prod&tenant=acme"]`)
	b.until(`location.search === "?metadata.env=prod&tenant=acme"`)
}

func typeWrongTime(t *testing.T, b *browser) {
	b.open("/explore")
	b.fill("#f-from", "the day before"+kb.Enter)
	b.until(`document.querySelector("#f-from-error") !== null`)
	wantText(t, "the field", b.text("#f-from-error"), "is not a time")
	if got := eval[string](b, `document.querySelector("#f-from").getAttribute("aria-invalid") + document.querySelector("#f-from").value`); got != "truethe day before" {
		t.Errorf("the box is %q", got)
	}
	// The browser itself notes the status 400; nothing else may be noted.
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) != 1 || !strings.Contains(b.faults[0], "400") {
		t.Errorf("the console says %v", b.faults)
	}
	b.faults = nil
}

func keyboardOnly(t *testing.T, b *browser) {
	b.open("/explore?actor=alice")
	b.key(kb.Tab)
	wantText(t, "the first stop", eval[string](b, "document.activeElement.innerText"), "Skip to the content")
	if top := eval[float64](b, "document.activeElement.getBoundingClientRect().top"); top < 0 {
		t.Errorf("the skip link is out of sight at %v", top)
	}
	b.key(kb.Enter)
	b.key(kb.Tab)
	if !eval[bool](b, `document.querySelector("main").contains(document.activeElement)`) {
		t.Error("the skip link does not lead into the content")
	}
	for stops := 0; ; stops++ {
		if stops > 60 {
			t.Fatal("no record is reached in 60 stops")
		}
		if eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
			t.Errorf("no focus is seen on %s", eval[string](b, "document.activeElement.outerHTML"))
		}
		if strings.HasPrefix(eval[string](b, `document.activeElement.getAttribute("href") || ""`), "/records/") {
			break
		}
		b.key(kb.Tab)
	}
	b.key(kb.Enter)
	b.until(`location.pathname.startsWith("/records/")`)
	b.until(`document.querySelector("#chain-head") !== null`)
	wantText(t, "the record", b.text("main"), "Place in the chain", "gives this hash", "linked", "Payload", "SELECT * FROM orders", "Same correlation")
}

func turnPages(t *testing.T, b *browser) {
	b.open("/explore?limit=200")
	seen := map[string]bool{}
	for page := 1; ; page++ {
		for _, link := range eval[[]string](b, `[...document.querySelectorAll("#results tbody th a")].map(a => a.getAttribute("href"))`) {
			if seen[link] {
				t.Errorf("%s is there twice", link)
			}
			seen[link] = true
		}
		if !eval[bool](b, `document.querySelector("a[rel=next]") !== null`) {
			if page != 3 {
				t.Errorf("%d pages", page)
			}
			break
		}
		before := b.path()
		b.click("a[rel=next]")
		b.until(`document.readyState === "complete" && location.pathname + location.search !== ` + quote(before))
	}
	if len(seen) != 501 {
		t.Errorf("%d records are seen, want 501", len(seen))
	}
	b.click(`.pages a:first-child`)
	b.until(`location.search === "?limit=200"`)
}

func quote(s string) string { return `"` + s + `"` }

func followLive(t *testing.T, b *browser) {
	b.open("/explore?actor=newcomer")
	wantText(t, "before", b.text("main"), "No record meets these conditions")
	b.click("#live")
	b.until(`document.querySelector("#live-status").textContent.startsWith("Live")`)
	other := &audit.Event{Action: "not.this", Actor: audit.Actor{ID: "somebody"}}
	ev := &audit.Event{Action: "door.open\u202e<script>alert(1)</script>", Actor: audit.Actor{ID: "newcomer"}, Tenant: "acme", Namespace: "prod", Outcome: audit.Denied, Tool: audit.Tool{Name: "run_query"}, Duration: 1500 * time.Millisecond,
		Resource: audit.Resource{Type: "door", ID: "<img src=x onerror=alert(1)>"}, Payload: []byte(`{"a":1}`)}
	id := b.rig.record(other, ev)[1].ID.String()
	b.until(`document.querySelectorAll("#results tbody tr").length === 1`)
	row := b.text("#results tbody tr")
	wantText(t, "the new row", row, "door.open⟨U+202E⟩<script>alert(1)</script>", "denied", "newcomer", "<img src=x", "acme", "1.50 s")
	wantText(t, "the status", b.text("#live-status"), "1 new record")
	// What the script writes is what the server writes.
	live := strings.Join(strings.Fields(row), " ")
	b.click("#live")
	b.until(`document.querySelector("#live").getAttribute("aria-pressed") === "false"`)
	b.open("/explore?actor=newcomer")
	if got := strings.Join(strings.Fields(b.text("#results tbody tr")), " "); got != live {
		t.Errorf("the script wrote\n%s\nand the server\n%s", live, got)
	}
	b.click("#results th a")
	b.until(`location.pathname === "/records/` + id + `"`)
	// Leave no stream open for the steps behind.
	b.open("/operations")
}

func verifyChains(t *testing.T, b *browser) {
	wantText(t, "integrity", b.open("/integrity"), "Chains", "acme", "globex", "None since the server started")
	b.click(`button[name=all]`)
	b.until(`location.pathname.startsWith("/integrity/runs/") && document.querySelector(".verdict .ok") !== null`)
	wantText(t, "the result", b.text("main"), "valid", "503 records read", "0 broken", "Removed")
	wantText(t, "the list", b.open("/integrity"), "valid")
	b.fill("#v-tenant", "acme", "#v-from", "3", "#v-to", "20"+kb.Enter)
	b.until(`document.querySelector(".verdict .ok") !== null`)
	wantText(t, "a range", b.text("main"), "3 to 20", "18 records read")
}

// withoutScript: all but the live tail works without JavaScript.
func withoutScript(t *testing.T, b *browser) {
	b.scripts(false)
	defer b.scripts(true)
	b.open("/explore")
	wantText(t, "explore", b.text(".links"), "The live tail needs JavaScript")
	b.fill("#f-tenant", "globex"+kb.Enter)
	b.until(`document.querySelector("#f-tenant[value=globex]") !== null`)
	b.click("#results th a")
	b.until(`document.querySelector("#chain-head") !== null`)
	wantText(t, "the record", b.text("main"), "globex", "Payload")
	b.open("/integrity")
	b.click("button[name=all]")
	b.until(`document.querySelector(".verdict .ok") !== null`)
}

// contrast finds texts whose colour is too near to what is behind them: WCAG 2.1,
// 1.4.3 and 1.4.6, at least 4.5:1, 3:1 for large ones.
const contrast = `(() => {
  const ctx = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (c) => { ctx.clearRect(0, 0, 1, 1); ctx.fillStyle = c; ctx.fillRect(0, 0, 1, 1); const d = ctx.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const lum = (c) => { const f = c.slice(0, 3).map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const out = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest("noscript, script, svg, .unseen, option, datalist, .skip") || e.getClientRects().length === 0) continue;
    const chain = [];
    for (let n = e; n; n = n.parentElement) chain.push(rgba(getComputedStyle(n).backgroundColor));
    let back = [255, 255, 255, 1];
    for (const c of chain.reverse()) back = over(c, back);
    const style = getComputedStyle(e);
    const front = over(rgba(style.color), back);
    const [a, b] = [lum(front), lum(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    if (ratio < (large ? 3 : 4.5)) out.add(e.tagName + "." + e.className + " " + walk.currentNode.data.trim().slice(0, 30) + " " + ratio.toFixed(2));
  }
  return [...out];
})()`

// seeEveryPage looks at each page in both schemes and two widths.
func seeEveryPage(t *testing.T, b *browser, hostileID string) {
	ctx := context.Background()
	page, err := b.rig.trail.Query(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("action", "user.update")}, Limit: 1}, "")
	if err != nil {
		t.Fatal(err)
	}
	rec := page.Records[0]
	b.open("/integrity")
	run := eval[string](b, `document.querySelector('a[href^="/integrity/runs/"]').getAttribute("href")`)
	pages := []struct{ name, path, want string }{
		{"overview", "/", "Calls over time"},
		{"overview-7d", "/?window=7d&tenant=acme", "Calls over time"},
		{"explore", "/explore?duration_ms.min=50&limit=25", "records"},
		{"explore-none", "/explore?actor=nobody", "No record meets these conditions"},
		{"record", "/records/" + rec.ID.String() + "?" + url.Values{"namespace": {rec.Namespace}, "tenant": {rec.Tenant}}.Encode(), "Difference before and after"},
		{"record-hostile", "/records/" + hostileID, `<script>alert("purpose")</script>`},
		{"integrity", "/integrity", "Verify a chain"},
		{"run", run, "records read"},
		{"agents", "/agents", "Discovery before queries"},
		{"operations", "/operations", "Policy in force"},
	}
	shots := os.Getenv("ANNALS_SCREENSHOTS") // a folder for pictures, for people to look at
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		for _, width := range []int64{1280, 400} {
			b.do(chromedp.EmulateViewport(width, 900))
			for _, p := range pages {
				where := p.name + " " + scheme
				wantText(t, where, b.open(p.path), p.want)
				if over := eval[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
					t.Errorf("%s at %d: %d pixels stand out to the right: %v", where, width, over, eval[[]string](b, `[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll, .unseen")).slice(0, 5).map(e => e.outerHTML.slice(0, 100))`))
				}
				for _, low := range eval[[]string](b, contrast) {
					t.Errorf("%s at %d: low contrast: %s", where, width, low)
				}
				dark := eval[bool](b, `(() => { const c = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number); return c[0] + c[1] + c[2] < 200; })()`)
				if dark != (scheme == "dark") {
					t.Errorf("%s: the page is dark: %v", where, dark)
				}
				if shots != "" {
					b.shoot(filepath.Join(shots, p.name+"-"+scheme+"-"+map[int64]string{1280: "wide", 400: "narrow"}[width]+".png"))
				}
			}
		}
	}
	b.do(chromedp.EmulateViewport(1280, 900))
	b.scheme("light")
}

// seeEmptyStore: a newcomer is told what to do.
func seeEmptyStore(t *testing.T, b *browser) {
	full := b.rig
	b.rig = newRig(t, with{})
	defer func() {
		b.open("/operations")
		b.rig = full
	}()
	for _, path := range []string{"/", "/explore", "/integrity", "/agents"} {
		wantText(t, path, b.open(path), "curl", "/v1/events")
		for _, low := range eval[[]string](b, contrast) {
			t.Errorf("%s: low contrast: %s", path, low)
		}
		if shots := os.Getenv("ANNALS_SCREENSHOTS"); shots != "" {
			b.shoot(filepath.Join(shots, "empty"+strings.ReplaceAll(path, "/", "-")+".png"))
		}
	}
}

// shoot takes a picture of the whole page.
func (b *browser) shoot(file string) {
	b.t.Helper()
	if err := os.WriteFile(file, get(b, chromedp.FullScreenshot(100)), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
