package dashboard_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/dashboard"
	"github.com/annals-dev/annals/store/memory"
)

func TestOverview(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(500)
	p := r.ok("/")
	o, err := r.trail.Overview(context.Background(), &audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if o.Total < 450 {
		t.Fatalf("the corpus has only %d calls", o.Total)
	}
	p.has("Calls over time, per hour", "Average duration over time, per hour", "By action", "By actor", "By resource type", "By outcome", "Recent failures",
		"Success rate", "Average duration", "p50 ", `<title id="calls-title">`, `<desc id="calls-desc">`, "The same numbers as a table",
		"dataset.query", "<dt>Actors</dt><dd>10</dd>", "<dt>Tools</dt><dd>5</dd>")
	p.has("2026-03-03 12:00", `href="/?window=7d"`, `<a href="/?window=24h" aria-current="true">`)
	// A number leads to exactly the calls it counts.
	link := attr(t, p, `<dt>Calls</dt><dd><a href="`)
	r.ok(link).has(records(o.Total))
	link = attr(t, p, `<dt>Errors</dt><dd><a href="`)
	r.ok(link).has(records(o.ErrorCount))
	for _, w := range []string{"1h", "7d", "30d"} {
		r.ok("/?window=" + w).has(`<a href="/?window=` + w + `" aria-current="true">`)
	}
	// Filters of the API hold for the whole page and can be taken off.
	filtered := r.ok("/?tenant=acme&actor.not=alice").has("<b>Tenant</b> is <bdi>acme</bdi>", "<b>Actor</b> is not <bdi>alice</bdi>", `href="/?actor.not=alice"`)
	filtered.lacks(`title="alice"`, "alice@example.com")
	r.ok("/?from=2026-03-04T06:00:00Z&to=2026-03-04T09:00:00Z").has("2026-03-04 06:00:00", "2026-03-04 09:00:00").lacks(`aria-current="true"`)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func records(n int64) string { return strconv.FormatInt(n, 10) + " records" }

// attr gives what follows a text up to the next quote, as a browser reads it.
func attr(t *testing.T, p page, after string) string {
	t.Helper()
	_, rest, ok := strings.Cut(p.body, after)
	if !ok {
		t.Fatalf("%s: %q is missing", p.path, after)
	}
	v, _, _ := strings.Cut(rest, `"`)
	return html.UnescapeString(v)
}

// TestActorLinks: a group of the breakdown by actor is an e-mail or an id.
func TestActorLinks(t *testing.T) {
	r := newRig(t, with{now: noon})
	at := noon().Add(-time.Hour)
	r.record(
		&audit.Event{Action: "a", OccurredAt: at, Actor: audit.Actor{ID: "u1", Email: "mail@example.com"}},
		&audit.Event{Action: "b", OccurredAt: at, Actor: audit.Actor{ID: "plain"}},
		&audit.Event{Action: "c", OccurredAt: at, Actor: audit.Actor{ID: "id@example.com"}},
	)
	p := r.ok("/")
	for value, want := range map[string]string{"mail@example.com": "actor_email", "plain": "actor", "id@example.com": "actor"} {
		var link string
		for _, part := range strings.Split(p.body, `<a href="`)[1:] {
			if strings.Contains(part, `title="`+value+`"`) && strings.HasPrefix(part, "/explore/actor") {
				link, _, _ = strings.Cut(part, `"`)
			}
		}
		to := r.get(strings.ReplaceAll(link, "&amp;", "&")).to()
		u, err := url.Parse(to)
		if err != nil || u.Path != "/explore" || u.Query().Get(want) != value {
			t.Errorf("%s leads to %s, want %s", value, to, want)
		}
		r.ok(to).has("1 record<")
	}
}

// TestOldRecords: what was imported from long ago is not hidden by the window.
func TestOldRecords(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.record(&audit.Event{Action: "old.thing", OccurredAt: time.Date(2019, 5, 6, 7, 8, 9, 0, time.UTC), Actor: audit.Actor{ID: "alice"}})
	for _, path := range []string{"/", "/agents"} {
		p := r.ok(path).has("No calls in this window", "2019-05-06 07:08:09")
		link := attr(t, p, `UTC.
<a href="`)
		r.ok(link).has("2019-05-05 08:00:00", "2019-05-06 08:00:00").lacks("No calls in this window</h2>")
	}
	r.ok("/?actor=nobody").has("It is no call that meets the conditions").lacks("Show the time up to it")
	r.ok("/?window=30d").has("Show the time up to it")
}

// TestLongWindow: many years still fit into a chart.
func TestLongWindow(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(10)
	p := r.ok("/?from=2000-01-01").has("Calls over time, per 48 days")
	if n := strings.Count(p.body, `<g class="bar">`); n < 100 || n > 402 {
		t.Errorf("%d bars", n)
	}
	r.ok("/?from=1970-01-01&to=2030-01-01").has("The charts could not be had", "at most 10000", "By action")
}

func TestOverviewRefuses(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(5)
	for path, want := range map[string]string{
		"/?window=2h":                      "want 1h, 24h, 7d or 30d",
		"/?window=1h&window=7d":            "is given together with another time",
		"/?window=1h&from=2026-01-01":      "is given together with another time",
		"/?from=yesterday":                 "is not a time",
		"/?from=2026-02-01&to=2026-01-01":  "is before from",
		"/?colour=red":                     "is not a parameter",
		"/?limit=10":                       "is not a parameter of this page",
		"/?duration_ms.min=long":           "is not a number of milliseconds",
		"/agents?tenant=" + long(2000):     "is longer than 128 bytes",
		"/operations?x=1":                  "is not a parameter of this page",
		"/integrity?x=1":                   "is not a parameter of this page",
		"/?a=%zz":                          "The address is malformed",
		"/explore/actor?actor_value=x&y=1": "is not a parameter",
	} {
		p := r.get(path).is(http.StatusBadRequest).has(`role="alert"`)
		if !strings.Contains(p.text(), want) {
			t.Errorf("%.60s: no %q in %s", path, want, p.text())
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// TestOneTileFails: statistics that fail or hang leave the rest of the page.
func TestOneTileFails(t *testing.T) {
	secret := "pq: password authentication failed for 10.1.2.3"
	for name, tt := range map[string]struct {
		scan func(context.Context) error
		want string
	}{
		"hangs":     {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "this took too long"},
		"fails":     {func(context.Context) error { return audit.Unavailable("the engine does not answer", errText(secret)) }, "the engine does not answer"},
		"is broken": {func(context.Context) error { return errText(secret) }, "an internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			var broken bool
			r := newRig(t, with{
				store: func(m *memory.Store) audit.Store {
					return &slowStore{m, func(ctx context.Context) error {
						if !broken {
							return nil
						}
						return tt.scan(ctx)
					}}
				},
				dashboard: func(o *dashboard.Options) { o.StatTimeout = 50 * time.Millisecond },
			})
			r.fill(30)
			broken = true
			p := r.ok("/").has("The totals could not be had: "+tt.want, "The charts could not be had", "This breakdown could not be had", "Recent failures", "✗</span> failure")
			p.lacks("10.1.2.3")
			r.ok("/agents").has("Discovery could not be had", "Enrichment could not be had", tt.want).lacks("10.1.2.3")
			r.ok("/explore?limit=10").has("Next page").lacks("10.1.2.3")
			if log := r.log.String(); !strings.Contains(log, "part of a page failed") {
				t.Errorf("nothing is logged: %s", log)
			}
		})
	}
}

// TestStoreIsDown: a page that cannot be had says so, without the driver's words.
func TestStoreIsDown(t *testing.T) {
	r := newRig(t, with{store: func(m *memory.Store) audit.Store { return &downStore{m} }})
	r.get("/explore").is(http.StatusServiceUnavailable).has("the engine does not answer", "request id").lacks("10.1.2.3")
	r.ok("/").has("Recent failures and denials could not be had")
	r.ok("/operations").has("An answer of the engine could not be had", "The engine&#39;s state could not be had").lacks("10.1.2.3")
}
