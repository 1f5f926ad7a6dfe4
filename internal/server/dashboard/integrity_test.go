package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/dashboard"
	"github.com/annals-dev/annals/store/memory"
)

// verify starts a verification and gives its page when it has ended.
func (r *rig) verify(form url.Values) page {
	r.t.Helper()
	return r.ended(r.send("POST", "/integrity/runs", form).to())
}

// ended loads the page of a run until it no longer loads itself.
func (r *rig) ended(path string) page {
	r.t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		p := r.ok(path)
		if !strings.Contains(p.body, `http-equiv="refresh"`) {
			return p
		}
		select {
		case <-again.C:
		case <-limit.C:
			r.t.Fatalf("%s does not end: %s", path, p.text())
		}
	}
}

func TestVerify(t *testing.T) {
	r := newRig(t, with{})
	r.fill(60)
	r.ok("/integrity").has("globex", "Verify namespace prod, tenant acme", "Last sequence").lacks("Segment")
	p := r.verify(url.Values{"namespace": {"prod"}, "tenant": {"acme"}}).has("valid", "namespace prod, tenant acme", "Removed by retention", "none")
	p.lacks("broken</span>")
	r.verify(url.Values{"namespace": {""}, "tenant": {"globex"}, "from": {"2"}, "to": {"4"}}).has("3 records read", "2 to 4", `name="from" value="2"`)
	r.verify(url.Values{"all": {"1"}}).has("60 records read and hashed again. 6 chains valid, 0 broken.", "Valid chains")
	r.ok("/integrity").has("6 scopes", "✓</span> valid")
	r.ok("/integrity?namespace=prod&tenant=acme").has("All chains", `value="acme"`).lacks("Verify namespace none, tenant globex")
	r.ok("/integrity?namespace=no&tenant=body").has("There is no chain in this namespace and tenant")
	r.get("/integrity/runs/unknown").is(http.StatusNotFound).has("is not known any more")
}

func TestVerifyRefuses(t *testing.T) {
	r := newRig(t, with{})
	for field, form := range map[string]url.Values{
		"tenant": {"tenant": {"nobody"}},
		"from":   {"from": {"first"}},
		"to":     {"from": {"3"}, "to": {"2"}},
	} {
		r.send("POST", "/integrity/runs", form).is(http.StatusBadRequest).has(`id="v-`+field+`-error"`, `aria-invalid="true"`)
	}
	r.send("POST", "/integrity/runs", url.Values{"all": {"1"}}).is(http.StatusBadRequest).has("there is no chain yet")
	r.record(&audit.Event{Action: "a"})
	r.send("POST", "/integrity/runs", url.Values{"from": {"3"}}).is(http.StatusBadRequest).has("the chain ends at 1")
	r.send("POST", "/integrity/runs", url.Values{"from": {"0"}}).is(http.StatusBadRequest).has("a whole number from 1")
	r.send("POST", "/integrity/runs", url.Values{"tenant": {long(20_000)}}).is(http.StatusBadRequest).has("the form cannot be read")
	// A page of another site may start nothing.
	r.send("POST", "/integrity/runs", url.Values{"all": {"1"}}, "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site").is(http.StatusForbidden)
	r.get("/integrity/runs").is(http.StatusNotFound)
}

// TestVerifyFindsABreak: the first broken sequence is named and can be looked at.
func TestVerifyFindsABreak(t *testing.T) {
	r := newRig(t, with{store: func(m *memory.Store) audit.Store {
		return &tamperedStore{Store: m, change: func(r *audit.Record) {
			if r.Action == "act.4" {
				r.Actor.ID = "somebody else"
			}
		}}
	}})
	var evs []*audit.Event
	for i := range 6 {
		evs = append(evs, &audit.Event{Action: fmt.Sprintf("act.%d", i), Tenant: "acme"}, &audit.Event{Action: "fine", Tenant: "zebra"})
	}
	recs := r.record(evs...)
	p := r.verify(url.Values{"all": {"1"}}).has(
		"1 chain broken", "1 chain valid, 1 broken.", "sequence <span class=\"mono\">5</span>", "content_changed", "it was changed", `href="/records/`+recs[8].ID.String()+`?namespace=&amp;tenant=acme"`,
	)
	if broken, valid := strings.Index(p.body, "tenant acme"), strings.Index(p.body, "zebra"); broken > valid {
		t.Error("what is broken does not come first")
	}
	r.ok("/integrity").has("1 chain broken")
}

// TestVerifyAfterRetention: removed runs are shown and are no break.
func TestVerifyAfterRetention(t *testing.T) {
	r := newRig(t, with{})
	now := time.Now()
	var evs []*audit.Event
	for i := range 10 {
		ev := &audit.Event{Action: "a", Tenant: "acme"}
		if i >= 2 && i < 5 || i == 7 {
			ev.ExpiresAt = now.Add(time.Hour)
		}
		evs = append(evs, ev)
	}
	recs := r.record(evs...)
	if _, err := r.trail.Cleanup(t.Context(), audit.Cut{ExpiredAt: now.Add(2 * time.Hour), Reason: "test"}, 0); err != nil {
		t.Fatal(err)
	}
	r.verify(url.Values{"tenant": {"acme"}}).has("valid", "4 records, vouched for by anchors: sequences 3–5, 8")
	r.ok("/records/" + recs[5].ID.String()).has("no record at 5: removed by retention, or missing")
}

// TestRunsAreBounded: a run shows how far it is, can be stopped, and only two
// are under way at a time.
func TestRunsAreBounded(t *testing.T) {
	hold := make(chan struct{})
	stopping := make(chan struct{})
	r := newRig(t, with{
		store:     func(m *memory.Store) audit.Store { return &tamperedStore{Store: m, hold: hold} },
		dashboard: func(o *dashboard.Options) { o.Stopping = stopping },
	})
	r.record(&audit.Event{Action: "a", Tenant: "acme"}, &audit.Event{Action: "b", Tenant: "globex"})
	all := url.Values{"all": {"1"}}
	first := r.send("POST", "/integrity/runs", all).to()
	second := r.send("POST", "/integrity/runs", all).to()
	r.ok(first).has(`<meta http-equiv="refresh" content="1">`, "running", "<progress", "0 of 2 scopes done", ">Stop<")
	r.send("POST", "/integrity/runs", all).is(http.StatusTooManyRequests).has("Two verifications are under way")
	if to := r.send("POST", first+"/stop", url.Values{}).to(); to != first {
		t.Errorf("stop leads to %s", to)
	}
	r.ended(first).has("stopped before its end").lacks("✓</span> valid")
	third := r.send("POST", "/integrity/runs", all).to()
	close(stopping) // the server stops: so does everything under way
	r.ended(second).has("stopped before its end")
	r.ended(third).has("stopped before its end")
	close(hold)
}

func TestOldRunsAreForgotten(t *testing.T) {
	r := newRig(t, with{})
	r.record(&audit.Event{Action: "a"})
	first := r.send("POST", "/integrity/runs", url.Values{"all": {"1"}}).to()
	r.ended(first)
	for range 20 {
		r.verify(url.Values{"all": {"1"}})
	}
	r.get(first).is(http.StatusNotFound)
	if n := strings.Count(r.ok("/integrity").body, `href="/integrity/runs/`); n != 20 {
		t.Errorf("%d runs are remembered", n)
	}
}
