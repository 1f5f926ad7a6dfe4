package annals_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/store/memory"
)

func TestIntentAndOutcome(t *testing.T) {
	now := base
	trail := open(t, memory.New(memory.Options{}), annals.Options{Durability: recorder.Sync, Now: func() time.Time { return now }})
	ctx := t.Context()
	a, err := trail.Begin(ctx, &audit.Event{Tenant: "t", Action: "db.drop", Resource: audit.Resource{ID: "db1"}})
	if err != nil {
		t.Fatal(err)
	}
	openIntents := func() int {
		t.Helper()
		page, err := trail.Query(ctx, &audit.Query{Open: true}, "")
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Records)
	}
	if n := openIntents(); n != 1 {
		t.Fatalf("%d open intents, want 1", n)
	}
	if _, err := a.End(ctx, audit.Pending, nil); audit.CodeOf(err) != audit.CodeInvalid {
		t.Errorf("an action cannot end as pending: %v", err)
	}
	now = now.Add(1500 * time.Millisecond)
	if _, err := a.End(ctx, audit.Failure, func(ev *audit.Event) { ev.Error = "locked"; ev.ActionID = "other" }); err != nil {
		t.Fatal(err)
	}
	r, err := trail.GetAction(ctx, a.ID(), nil)
	if err != nil || r.Outcome != audit.Failure || r.Duration != 1500*time.Millisecond || r.Error != "locked" || r.Resource.ID != "db1" || !r.OccurredAt.Equal(now) {
		t.Errorf("%+v %v", r, err)
	}
	if n := openIntents(); n != 0 {
		t.Errorf("%d open intents after the end", n)
	}
	if _, err := a.End(ctx, audit.Success, nil); !errors.Is(err, audit.ErrConflict) {
		t.Errorf("a second end: %v", err)
	}
	if n, err := trail.Count(ctx, &audit.Query{}); n != 2 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
}

// refusing is a store that takes nothing.
type refusing struct{ audit.Store }

func (refusing) Append(context.Context, []*audit.Record) ([]audit.Result, error) {
	return nil, audit.Unavailable("the store is away", nil)
}

func TestAnActionFailsClosedWithoutItsIntent(t *testing.T) {
	trail, err := annals.New(refusing{memory.New(memory.Options{})}, annals.Options{
		Unchained: true, Timeout: 20 * time.Millisecond, Policy: policy.Config{Level: policy.All},
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := trail.Begin(t.Context(), &audit.Event{Action: "db.drop"}); err == nil || a != nil {
		t.Errorf("began without an intent: %v %v", a, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	account, _ := trail.Close(ctx)
	if account.Unwritten != 1 || account.Stored != 0 {
		t.Errorf("%+v", account)
	}
}

func TestAFilteredIntentLetsTheActionRun(t *testing.T) {
	trail := open(t, memory.New(memory.Options{}), annals.Options{Policy: policy.Config{Level: policy.FailuresOnly}, Durability: recorder.Sync})
	a, err := trail.Begin(t.Context(), &audit.Event{Action: "file.read"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.End(t.Context(), audit.Denied, nil); err != nil || r.Status != audit.StatusRecorded {
		t.Errorf("the denial must be recorded: %+v %v", r, err)
	}
}
