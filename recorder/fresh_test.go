package recorder

import (
	"context"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// Only what nobody can have sent before goes to the cheaper sink: not an event
// that came with its id, not a batch that has one, not what was tried before.
func TestFreshSink(t *testing.T) {
	var s store
	var usual, fresh int
	var failure error
	counted := func(n *int) Sink {
		return func(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
			*n += len(recs)
			if err := failure; err != nil {
				failure = nil
				return nil, err
			}
			return s.Append(ctx, recs)
		}
	}
	r := start(t, counted(&usual), Options{Durability: Sync, Fresh: counted(&fresh)})
	named := func(i int) *audit.Event {
		ev := event(i)
		ev.ID = audit.NewID()
		return ev
	}
	check := func(what string, wantUsual, wantFresh int) {
		t.Helper()
		if usual != wantUsual || fresh != wantFresh {
			t.Errorf("%s: %d the usual way, %d as fresh; want %d, %d", what, usual, fresh, wantUsual, wantFresh)
		}
		usual, fresh = 0, 0
	}
	mustRecord(t, r, event(1), audit.StatusRecorded)
	check("an id of our making", 0, 1)
	mustRecord(t, r, named(2), audit.StatusRecorded)
	check("an id of its own", 1, 0)
	r.RecordBatch(t.Context(), []*audit.Event{event(3), named(4), event(5)}, "")
	check("a batch with one of its own", 3, 0)
	r.RecordBatch(t.Context(), []*audit.Event{event(6), event(7)}, "")
	check("a batch of our making", 0, 2)
	failure = audit.Unavailable("no answer", nil)
	mustRecord(t, r, event(8), audit.StatusRecorded)
	check("after an attempt", 1, 1)
	mustClose(t, r)
	if n := s.count(audit.KindEvent); n != 8 {
		t.Errorf("%d stored, want 8", n)
	}
}
