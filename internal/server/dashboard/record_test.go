package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/memory"
)

func TestRecord(t *testing.T) {
	r := newRig(t, with{now: noon})
	at := noon().Add(-time.Hour)
	one := func(i int) *audit.Event {
		return &audit.Event{
			Tenant: "acme", OccurredAt: at.Add(time.Duration(i) * time.Second), Action: fmt.Sprintf("doc.update%d", i), ActionID: "act-1", Duration: 1500 * time.Microsecond,
			Actor: audit.Actor{ID: "alice", IP: "10.0.0.1"}, Request: audit.Request{CorrelationID: "corr-1", Bytes: 123456},
			Tool:     audit.Tool{Name: "search", Enrichment: audit.Enrichment{Applied: true, TokensFull: 1234}},
			Payload:  json.RawMessage(`{"n":12345678901234567890,"list":[],"deep":{"x":[1,2]}}`),
			Metadata: json.RawMessage(`{"env":"prod","key.not":"odd"}`),
			Changes:  audit.Changes{Before: json.RawMessage(`{"a":1,"b":2}`), After: json.RawMessage(`{"a":1,"c":3}`)},
		}
	}
	recs := r.record(one(1), one(2), one(3), &audit.Event{Tenant: "other", OccurredAt: at, Action: "not.related", ActionID: "act-1"})
	id := func(i int) string { return recs[i].ID.String() }
	path := func(i int) string { return "/records/" + id(i) + "?namespace=&tenant=acme" }
	p := r.ok(path(1)).has(
		"<bdi>doc.update2</bdi></h1>", "2026-03-04 11:00:02.000000 UTC", "1.5 ms", "123,456", "1,234", ">true<",
		"  &#34;n&#34;: 12345678901234567890,\n  &#34;list&#34;: [],", "Metadata keys", `href="/explore?metadata.key.not.is=odd"`, `href="/explore?metadata.env=prod"`,
		"1 added, 1 removed, 0 changed", "removed</td>", "added</td>", ">Place in the chain<", "gives this hash", "linked",
		`<a href="/v1/events/`+id(1)+`?namespace=&amp;tenant=acme">JSON</a>`, `href="/explore?actor_ip=10.0.0.1"`,
	)
	// Neighbours in the chain and records of the same action, of this tenant only.
	p.has(`href="/records/`+id(0), `href="/records/`+id(2), "doc.update1", "doc.update3").lacks("not.related", `href="/records/`+id(1)+`"`)
	if n := strings.Count(p.body, "doc.update1</bdi>"); n != 3 {
		t.Errorf("doc.update1 is there %d times, want as neighbour, of the action and of the correlation", n)
	}
	r.ok(path(0)).has("(the first of its chain)")
	r.ok(path(2)).has("none yet", "3</span> of 3")
	r.ok("/v1/events/" + id(1) + "?namespace=&tenant=acme")
	r.ok("/records/"+id(3)).has("not.related", "No other record has the action id")

	r.get("/records/" + id(0) + "?namespace=&tenant=other").is(http.StatusNotFound).has("There is no record with this id")
	r.get("/records/unknown").is(http.StatusNotFound)
	r.get("/records/" + id(0) + "?x=1").is(http.StatusBadRequest).has("is not a parameter of this page")
	r.get("/records/" + long(300)).is(http.StatusBadRequest).has("at most 256")
}

func TestForeignAndSharedIDs(t *testing.T) {
	r := newRig(t, with{now: noon})
	for _, tenant := range []string{"a", "b"} {
		id, external, err := audit.IDFrom("order/17 %")
		if err != nil {
			t.Fatal(err)
		}
		r.record(&audit.Event{ID: id, ExternalID: external, Tenant: tenant, Action: "order." + tenant, OccurredAt: noon()})
	}
	p := r.get("/records/order%2F17%20%25").is(http.StatusMultipleChoices).has("Several records have this id", "order.a", "order.b")
	r.ok(attr(t, p, `rowheader"><a href="`)).has("order/17 %")
}

// TestTamperedRecord: a record that was changed in the engine is shown as such.
func TestTamperedRecord(t *testing.T) {
	r := newRig(t, with{store: func(m *memory.Store) audit.Store {
		return &tamperedStore{Store: m, change: func(r *audit.Record) {
			if r.Action == "b" {
				r.Actor.ID = "somebody else"
			}
		}}
	}})
	now := time.Now()
	recs := r.record(&audit.Event{Action: "a", OccurredAt: now}, &audit.Event{Action: "b", OccurredAt: now, Actor: audit.Actor{ID: "mallory"}}, &audit.Event{Action: "c", OccurredAt: now})
	r.ok("/records/"+recs[1].ID.String()).has("somebody else", "does not give this hash: the record was changed")
	r.ok("/records/" + recs[0].ID.String()).has("gives this hash").lacks("does not give this hash")
}

// TestLargeDocument: a page stays small, whatever the nesting.
func TestLargeDocument(t *testing.T) {
	r := newRig(t, with{})
	deep := strings.Repeat("[", 60) + strings.Repeat("0,", 200_000) + "0" + strings.Repeat("]", 60)
	flat := `"` + strings.Repeat("é", 400_000) + `"`
	recs := r.record(&audit.Event{Action: "deep", Payload: json.RawMessage(deep)}, &audit.Event{Action: "flat", Payload: json.RawMessage(flat)})
	for _, rc := range recs {
		p := r.ok("/records/"+rc.ID.String()).has("Cut here.", "The whole record as JSON")
		if len(p.body) > 700<<10 {
			t.Errorf("the page has %d bytes", len(p.body))
		}
	}
}

// TestLongActor: an id that nobody can read gives way to a name in tables.
func TestLongActor(t *testing.T) {
	r := newRig(t, with{})
	arn := "arn:aws:sts::123456789012:assumed-role/deploy/session"
	recs := r.record(&audit.Event{Action: "a", Actor: audit.Actor{ID: arn, Name: "Deploy"}}, &audit.Event{Action: "b", Actor: audit.Actor{ID: "short", Name: "Name"}})
	r.ok("/explore").has(`<bdi title="`+arn+` Deploy">Deploy</bdi>`, `>short</bdi>`)
	r.ok("/records/" + recs[0].ID.String()).has(arn)
}
