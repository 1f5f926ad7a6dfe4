package dashboard_test

import (
	"context"
	"errors"
	"html"
	"testing"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/dashboard"
	"github.com/annals-dev/annals/policy"
)

func TestOperations(t *testing.T) {
	r := newRig(t, with{trail: func(o *annals.Options) {
		o.Policy = policy.Config{Level: policy.WritesOnly, AlwaysLogFailures: true, ExcludeActions: []string{"health.*", "<b>"}, SampleReads: new(0.25)}
	}})
	ctx := context.Background()
	for _, ev := range []*audit.Event{
		{Action: "user.create"}, {Action: "user.get"}, {Action: "user.get"}, {Action: "health.create"},
	} {
		if _, err := r.trail.Record(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.trail.Record(ctx, &audit.Event{}); !errors.Is(err, audit.ErrInvalid) {
		t.Fatalf("an empty event: %v", err)
	}
	if err := r.trail.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	row := func(name, n string) string { return `<th scope="row">` + name + `</th><td class="num">` + n + `</td>` }
	r.ok("/operations").has(
		row("Offered", "5"), row("Stored", "1"), row("Filtered by the policy", "3"), row("level", "2"), row("excluded action", "1"), row("Rejected: invalid, or no room", "1"), row("Dropped: the queue was full", "0"),
		"writes_only", "always recorded, unless excluded", "health.*", "&lt;b&gt;", "25.0%", "<dt>Records</dt>", "no: records live as long as the process", "Last success", "<dt>Ceiling of the store</dt>", "off in this process",
	)
}

func TestAgents(t *testing.T) {
	r := newRig(t, with{now: noon})
	r.fill(500)
	d, err := r.trail.Discovery(context.Background(), &audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	p := r.ok("/agents").has("Discovery before queries", "Enrichment", "By tool", "By persona", "run_query", "analyst", "Tokens saved", "summary", "describe_table")
	p.has("<dt>With queries</dt><dd>" + number(d.QuerySessions) + "</dd>")
	// The calls without a mode are counted as none, and found as such.
	none := `/explore?enrichment_mode=none&amp;enrichment_mode=`
	link := attr(t, p, `<th scope="row"><a href="`+none)
	e, err := r.trail.Enrichment(context.Background(), &audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	r.ok(html.UnescapeString(none) + link).has(records(e.ByMode["none"]))
	r.ok("/agents?tenant=acme&window=7d").has("<b>Tenant</b> is <bdi>acme</bdi>")
	bare := newRig(t, with{now: noon})
	bare.record(&audit.Event{Action: "a", OccurredAt: noon()})
	bare.ok("/agents?to=2026-03-05").has("name no tool", "tool.name")
}

func TestNewRefuses(t *testing.T) {
	r := newRig(t, with{})
	for name, fn := range map[string]func() error{
		"trail":        func() error { _, err := dashboard.New(nil, dashboard.Options{}); return err },
		"stat_timeout": func() error { _, err := dashboard.New(r.trail, dashboard.Options{StatTimeout: -1}); return err },
	} {
		var e *audit.Error
		if err := fn(); !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
