package annals

import (
	"context"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Action is something that was announced by an intent and has not ended yet.
type Action struct {
	trail *Trail
	event audit.Event
	begun time.Time

	mu    sync.Mutex
	ended bool
}

// Begin writes the intent of an action, a record with the outcome pending, and
// returns once the store has it, whatever the trail's durability. An error
// means that nobody will know of the action: do not run it (fail closed).
// Where the policy does not record the intent, Begin succeeds without one.
//
// The event's ActionID joins the intent and its outcome; an empty one is given.
// An intent that is never ended is found by the question Open.
func (t *Trail) Begin(ctx context.Context, ev *audit.Event) (*Action, error) {
	a := &Action{trail: t, event: *ev, begun: t.opt.Now()}
	if a.event.ActionID == "" {
		a.event.ActionID = audit.NewID().String()
	}
	intent := a.event
	intent.Outcome = audit.Pending
	if r := t.RecordSync(ctx, []*audit.Event{&intent})[0]; r.Err != nil {
		return nil, r.Err
	}
	return a, nil
}

// ID gives the action's id, which its intent and its outcome carry.
func (a *Action) ID() string { return a.event.ActionID }

// End records how the action ended: success, failure or denied. The record is
// the event of Begin with its own id, the time of the end, and the duration
// since Begin; change, which may be nil, adds what is known only now, such as
// an error or the state after. A second End is ErrConflict and records nothing;
// after any other error End may be called again.
func (a *Action) End(ctx context.Context, outcome audit.Outcome, change func(*audit.Event)) (audit.Receipt, error) {
	if outcome != audit.Success && !outcome.Failed() {
		return audit.Receipt{}, audit.Invalid("outcome", "is %q, want success, failure or denied", string(outcome))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return audit.Receipt{}, &audit.Error{Code: audit.CodeConflict, Field: "action_id", Message: "the action has ended already"}
	}
	now := a.trail.opt.Now()
	end := a.event
	end.ID, end.ExternalID = audit.ID{}, ""
	end.OccurredAt, end.Duration, end.Outcome = now, max(0, now.Sub(a.begun)), outcome
	if change != nil {
		change(&end)
	}
	end.ActionID = a.event.ActionID
	r, err := a.trail.Record(ctx, &end)
	a.ended = err == nil
	return r, err
}
