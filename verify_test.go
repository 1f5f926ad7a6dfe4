package annals_test

import (
	"errors"
	"testing"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/memory"
)

// Heads that were kept of several segments of one scope are each held against
// their own; a segment, or a whole chain, that is gone is a finding.
func TestKeptHeads(t *testing.T) {
	store := memory.New(memory.Options{})
	trail := open(t, store, annals.Options{})
	fill(t, trail, events(9))
	scope := audit.Scope{Tenant: "t1"}
	for _, segment := range []string{"writer.1", "writer.2"} {
		recs := []*audit.Record{{Event: audit.Event{ID: audit.NewID(), Tenant: scope.Tenant, Action: "tool.run", OccurredAt: base}, RecordedAt: base}}
		from := chain.Head{Key: chain.Key{Scope: scope, Segment: segment}}
		if err := store.Restore(t.Context(), from, chain.Seal(from, recs), recs); err != nil {
			t.Fatal(err)
		}
	}
	heads, err := trail.Chains(t.Context(), &scope)
	if err != nil || len(heads) != 3 {
		t.Fatalf("%+v %v", heads, err)
	}
	forged, gone := heads[2], heads[1]
	forged.Hash[0]++
	gone.Segment = "writer.0"
	for name, c := range map[string]struct {
		scope  audit.Scope
		kept   []chain.Head
		broken []bool // of each report
	}{
		"none":                     {scope, nil, []bool{false, false, false}},
		"all":                      {scope, heads, []bool{false, false, false}},
		"an empty chain":           {scope, []chain.Head{{Key: gone.Key}}, []bool{false, false, false}},
		"another hash":             {scope, []chain.Head{heads[1], forged}, []bool{false, false, true}},
		"a segment that is gone":   {scope, append([]chain.Head{gone}, heads...), []bool{false, true, false, false}},
		"gone, kept twice":         {scope, []chain.Head{{Key: gone.Key}, gone, gone}, []bool{false, true, false, false}},
		"a scope that is all gone": {audit.Scope{Tenant: "none"}, []chain.Head{{Key: chain.Key{Scope: audit.Scope{Tenant: "none"}}, Sequence: 4, Hash: gone.Hash}}, []bool{true}},
	} {
		reports, err := trail.Verify(t.Context(), c.scope, chain.VerifyOptions{Checkpoints: c.kept})
		if err != nil || len(reports) != len(c.broken) {
			t.Errorf("%s: %+v %v", name, reports, err)
			continue
		}
		for i, broken := range c.broken {
			b := reports[i].FirstBroken
			if (b != nil) != broken || b != nil && b.Reason != chain.ReasonCheckpoint {
				t.Errorf("%s: report %d is %+v", name, i, reports[i])
			}
		}
	}
	var e *audit.Error
	other := []chain.Head{{Key: chain.Key{Scope: audit.Scope{Tenant: "t2"}}}}
	if _, err := trail.Verify(t.Context(), scope, chain.VerifyOptions{Checkpoints: other}); !errors.As(err, &e) || e.Field != "checkpoints" {
		t.Errorf("of another scope: %v", err)
	}
}
