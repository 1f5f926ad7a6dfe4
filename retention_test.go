package annals_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/retention"
	"github.com/annals-dev/annals/store/memory"
)

// From the settings to the chain: what has expired goes, then what is above the
// ceiling, an event's own time counts, a hold protects, and the chain says what
// was removed and why.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := open(t, memory.New(memory.Options{}), annals.Options{
			Durability: recorder.Sync, TTL: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler),
			Retention: retention.Options{Ceiling: 72 * time.Hour},
		})
		begin := time.Now()
		record := func(n int, change func(*audit.Event)) {
			for range n {
				ev := &audit.Event{Tenant: "acme", Action: "tool.run"}
				change(ev)
				if _, err := trail.Record(t.Context(), ev); err != nil {
					t.Fatal(err)
				}
			}
		}
		record(3, func(*audit.Event) {})
		record(2, func(ev *audit.Event) { ev.ExpiresAt = begin.Add(time.Hour) })
		record(4, func(ev *audit.Event) { ev.ExpiresAt = begin.Add(1000 * time.Hour) }) // the ceiling is for it too
		record(5, func(ev *audit.Event) { ev.Actor.ID = "held" })
		left := func(want int64) {
			t.Helper()
			synctest.Wait()
			n, err := trail.Count(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}})
			if err != nil || n != want {
				t.Errorf("after %v: %d are left, %v, want %d", time.Since(begin), n, err, want)
			}
		}
		h, err := trail.AddHold(t.Context(), retention.Hold{Reason: "case 7", Params: "actor=held"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Hour)
		left(14) // nobody asked for anything to be deleted
		if plan, err := trail.RetentionPlan(t.Context()); err != nil || plan.Expired != 5 || plan.Ceiling != 4 || plan.Held != 5 {
			t.Errorf("%+v, %v", plan, err)
		}
		if err := trail.StartRetention(); err != nil {
			t.Fatal(err)
		}
		left(5)
		status, err := trail.Retention(t.Context())
		if err != nil || !status.State.Running || status.State.Deleted != 9 || len(status.Holds) != 1 || status.Settings.TTLSeconds != 86400 || status.Settings.RetentionDays != 3 {
			t.Errorf("%+v, %v", status, err)
		}
		if _, err := trail.RemoveHold(t.Context(), h.ID); err != nil {
			t.Error(err)
		}
		left(5)
		time.Sleep(time.Hour)
		left(0)

		reports, err := trail.Verify(t.Context(), audit.Scope{Tenant: "acme"}, chain.VerifyOptions{})
		if err != nil || !reports[0].Valid || len(reports[0].Pruned) != 1 {
			t.Fatalf("%+v, %v", reports[0], err)
		}
		if p := reports[0].Pruned[0]; p.First != 1 || p.Last != 14 || p.Reason != "expired; older than 3 days" {
			t.Errorf("%+v", p)
		}
	})
}

func TestRetentionOptionsAreChecked(t *testing.T) {
	for field, opt := range map[string]retention.Options{
		"retention_days": {Ceiling: -1}, "cleanup_interval_seconds": {Interval: -1}, "cleanup_batch_size": {BatchSize: -1},
	} {
		_, err := annals.New(memory.New(memory.Options{}), annals.Options{Retention: opt})
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A cursor outlives the trail where the store keeps its secret, and a secret
// that could not be read once is asked for again.
func TestTheSecretIsKept(t *testing.T) {
	store := &shaky{Store: memory.New(memory.Options{})}
	first := open(t, keepOpen{store}, annals.Options{Durability: recorder.Sync})
	for _, r := range first.RecordBatch(t.Context(), events(10)) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	store.err = audit.Unavailable("the store is away", nil)
	if _, err := first.Query(t.Context(), &audit.Query{Limit: 3}, ""); audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("without the secret: %v", err)
	}
	store.err = nil
	page, err := first.Query(t.Context(), &audit.Query{Limit: 3}, "")
	if err != nil {
		t.Fatal(err)
	}
	second := open(t, store, annals.Options{Durability: recorder.Sync})
	if next, err := second.Query(t.Context(), &audit.Query{Limit: 3}, page.Next); err != nil || len(next.Records) != 3 {
		t.Errorf("%+v, %v", next, err)
	}
}

// shaky is a store whose documents can be out of reach.
type shaky struct {
	*memory.Store
	err error
}

func (s *shaky) Load(ctx context.Context, key string) ([]byte, int64, error) {
	if s.err != nil {
		return nil, 0, s.err
	}
	return s.Store.Load(ctx, key)
}

// keepOpen is a store that Close leaves open.
type keepOpen struct{ *shaky }

func (keepOpen) Close() error { return nil }
