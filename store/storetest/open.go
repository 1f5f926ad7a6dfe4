package storetest

import (
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// testOpen has intents with and without an outcome, and outcomes that belong
// to somebody else.
func testOpen(t *testing.T, h *Harness) {
	s := h.open(t)
	other := audit.Scope{Namespace: "ns", Tenant: "b"}
	at := CorpusStart
	var recs []*audit.Record
	add := func(scope audit.Scope, actionID string, outcome audit.Outcome) {
		at = at.Add(time.Minute)
		recs = append(recs, event(scope, at, func(r *audit.Record) { r.ActionID, r.Outcome = actionID, outcome }))
	}
	add(scopeA, "ended", audit.Pending)
	add(scopeA, "ended", audit.Success)
	add(scopeA, "failed", audit.Pending)
	add(scopeA, "failed", audit.Failure)
	add(scopeA, "denied first", audit.Denied) // the outcome may arrive before its intent
	add(scopeA, "denied first", audit.Pending)
	add(scopeA, "open", audit.Pending)
	add(scopeA, "open twice", audit.Pending)
	add(scopeA, "open twice", audit.Pending)
	add(scopeA, "elsewhere", audit.Pending)
	add(other, "elsewhere", audit.Success)
	add(scopeA, "", audit.Pending) // without an action id there is nothing to wait for
	add(scopeA, "OPEN", audit.Success)
	add(other, hostileTenant, audit.Pending)
	h.store(t, s, CloneAll(recs))

	questions := []audit.Query{
		{Open: true},
		{Open: true, Limit: 1},
		{Open: true, Limit: 2, Order: audit.OldestFirst},
		{Open: true, Filters: []audit.Filter{audit.Is("tenant", "a")}},
		{Open: true, Filters: []audit.Filter{audit.Is("action_id", "elsewhere", "open")}},
		// The window holds the intent and not its outcome: it is ended all the same.
		{Open: true, From: recs[0].OccurredAt, To: recs[1].OccurredAt},
		{Open: true, From: recs[6].OccurredAt},
		{Open: true, Filters: []audit.Filter{audit.Is("outcome", "success")}},
	}
	for _, q := range questions {
		ask(t, s, recs, valid(t, q))
	}
	if n := len(walk(t, s, valid(t, questions[0]))); n != 5 {
		t.Errorf("%d open intents, want 5", n)
	}

	// An outcome that arrives later closes the intent.
	add(scopeA, "open", audit.Success)
	h.store(t, s, []*audit.Record{Clone(recs[len(recs)-1])})
	for _, q := range questions {
		ask(t, s, recs, valid(t, q))
	}
	if c, ok := audit.As[audit.Counter](s); ok {
		if n, err := c.Count(t.Context(), valid(t, questions[0])); err != nil || n != 4 {
			t.Errorf("Count: %d, %v, want 4", n, err)
		}
	}
}
