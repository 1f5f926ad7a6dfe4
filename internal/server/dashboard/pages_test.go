package dashboard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// noon is the time of tests that look at times.
func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

var everyPage = []string{"/", "/explore", "/integrity", "/agents", "/operations"}

func TestHeaders(t *testing.T) {
	r := newRig(t, with{})
	for _, path := range append(everyPage, "/nowhere", "/explore?from=x", "/records/none") {
		h := r.get(path).header
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "object-src 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: the policy is loose: %s", path, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
			"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestLayout(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(50)
	for _, path := range everyPage {
		p := r.ok(path).has(
			`<html lang="en">`, `<a class="skip" href="#main">`, `<main id="main"`, `<nav aria-label="Sections">`,
			`<a href="`+path+`" aria-current="page">`, "Annals v-test · engine memory",
		)
		if n := strings.Count(p.body, "<h1>"); n != 1 {
			t.Errorf("%s: %d main headings", path, n)
		}
		if n := strings.Count(p.body, "aria-current=\"page\""); n != 1 {
			t.Errorf("%s: %d current sections", path, n)
		}
		// What the policy would forbid must not be there in the first place.
		p.lacks(" style=", " onclick=", "<style", "javascript:")
		if tables, captions := strings.Count(p.body, "<table"), strings.Count(p.body, "<caption"); tables != captions {
			t.Errorf("%s: %d tables, %d captions", path, tables, captions)
		}
		checkLabels(t, p)
		checkIDs(t, p)
	}
}

// checkLabels finds a label for every box.
func checkLabels(t *testing.T, p page) {
	t.Helper()
	for _, tag := range []string{"<input ", "<select "} {
		for _, part := range strings.Split(p.body, tag)[1:] {
			attrs, _, _ := strings.Cut(part, ">")
			if strings.Contains(attrs, `type="hidden"`) {
				continue
			}
			_, id, ok := strings.Cut(attrs, `id="`)
			id, _, _ = strings.Cut(id, `"`)
			if !ok || !strings.Contains(p.body, `<label for="`+id+`"`) {
				t.Errorf("%s: a box without a label: %s%s", p.path, tag, attrs)
			}
		}
	}
}

// checkIDs finds ids that are there twice.
func checkIDs(t *testing.T, p page) {
	t.Helper()
	seen := map[string]bool{}
	for _, part := range strings.Split(p.body, ` id="`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		if seen[id] {
			t.Errorf("%s: the id %q is there twice", p.path, id)
		}
		seen[id] = true
	}
}

func TestEmptyStore(t *testing.T) {
	r := newRig(t, with{})
	for _, path := range []string{"/", "/explore", "/agents", "/integrity"} {
		r.ok(path).has("curl -H", "/v1/events")
	}
	r.ok("/").has("No records yet", "No calls in this window.", "Nothing failed and nothing was denied")
	r.ok("/integrity").has("There is no chain yet", "None since the server started")
	r.ok("/operations").has("0 events")
}

func TestAssets(t *testing.T) {
	r := newRig(t, with{})
	p := r.ok("/")
	for _, name := range []string{"app.css", "app.js", "icon.svg"} {
		_, after, ok := strings.Cut(p.body, `"/assets/`+name)
		rest, _, _ := strings.Cut(after, `"`)
		if !ok {
			t.Fatalf("%s is not loaded", name)
		}
		a := r.ok("/assets/" + name + rest)
		if got := a.header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: kept as %q", name, got)
		}
		if got := r.ok("/assets/" + name).header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s without its hash: kept as %q", name, got)
		}
		// Nothing comes from elsewhere.
		a.lacks("https://", "@import")
	}
	r.get("/assets/none.css").is(http.StatusNotFound)
}

func TestOtherMethodsAndPaths(t *testing.T) {
	r := newRig(t, with{})
	r.get("/nowhere").is(http.StatusNotFound).has("There is no page at this address.")
	p := r.send("POST", "/explore", map[string][]string{}).is(http.StatusMethodNotAllowed)
	if got := p.header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
	r.send("DELETE", "/nowhere", nil).is(http.StatusNotFound)
	if p := r.send("HEAD", "/", nil).is(http.StatusOK); p.body != "" {
		t.Error("a HEAD has a body")
	}
}

// TestHostile looks at every page of a store whose newest record has markup in
// every field.
func TestHostile(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(20)
	rec := r.record(hostile(noon().Add(-time.Minute)), &audit.Event{
		OccurredAt: noon().Add(-2 * time.Minute), Action: "a\u202eexe.txt\x01", Tenant: script("tenant"), Namespace: script("namespace"),
		Actor: audit.Actor{ID: strings.Repeat("w", 250)}, Outcome: audit.Denied,
	})
	detail := "/records/" + rec[0].ID.String()
	paths := append([]string{
		detail, "/explore?tenant=%3Cscript%3Ealert(1)%3C/script%3E", "/explore?%3Cscript%3Ealert(1)%3C/script%3E=1", "/?window=%3Cscript%3Ealert(1)",
		"/explore?metadata.%3Cscript%3Ealert(1)%3C/script%3E.not=%3Cscript%3Ealert(1)", "/records/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/%3Cscript%3Ealert(1)",
		"/integrity?tenant=%3Cscript%3Ealert(1)&namespace=%22%3E%3Cscript%3Ealert(1)",
	}, everyPage...)
	for _, path := range paths {
		p := r.get(path).lacks("<script>", "<img src=x", `alert("`)
		if n := strings.Count(p.body, "<script"); n != 1 {
			t.Errorf("%s: %d scripts, want our own", path, n)
		}
	}
	p := r.ok(detail)
	for _, f := range audit.Fields() {
		switch {
		case f.Name == "external_id" || f.Name == "operation" || f.Name == "outcome" || f.Name == "kind" || f.Name == "level" || f.Name == "segment":
		case f.Kind == audit.Text:
			p.has("&lt;script&gt;alert(&#34;" + f.Name + "&#34;)&lt;/script&gt;")
		case f.Kind == audit.Document:
			p.has(`&lt;script&gt;alert(\&#34;` + f.Name + `\&#34;)&lt;/script&gt;`)
		}
	}
	// Direction marks and control characters are shown as what they are.
	r.ok("/").has("a⟨U&#43;202E⟩exe.txt␁").lacks("\u202e", "\x01")
	r.ok("/explore").has(strings.Repeat("w", 47)+"…").lacks("\u202e", "\x01")
	r.ok("/records/" + rec[1].ID.String()).has(strings.Repeat("w", 250))
}
