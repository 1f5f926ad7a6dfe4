package recorder

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func TestSyncGivesTheChainPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{Durability: Sync, Unbuffered: true})
		ev := event(1)
		ev.ExternalID = "e-1"
		first := mustRecord(t, r, ev, audit.StatusRecorded)
		if first.Sequence != 1 || first.Hash.IsZero() || first.ID.IsZero() {
			t.Errorf("receipt %+v", first)
		}
		again := mustRecord(t, r, ev, audit.StatusDuplicate)
		if again.Sequence != 1 || again.Hash != first.Hash || again.ID != first.ID {
			t.Errorf("receipt of the duplicate %+v", again)
		}
		other := *ev
		other.Actor.ID = "eve"
		receipt, err := r.Record(t.Context(), &other)
		if !errors.Is(err, audit.ErrConflict) || receipt.Status != audit.StatusRejected || receipt.Reason != "conflict" {
			t.Errorf("receipt of the conflict %+v, %v", receipt, err)
		}
		mustRecord(t, r, read(2), audit.StatusFiltered)
		if diff := cmp.Diff(Account{Offered: 4, Stored: 1, Duplicates: 1, Failed: 1, Filtered: 1}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSyncBatchIsOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{Durability: Sync})
		got := r.RecordBatch(t.Context(), []*audit.Event{event(1), read(2), nil, event(3), event(4)}, Memory)
		var statuses []audit.Status
		for _, receipt := range got {
			statuses = append(statuses, receipt.Status)
		}
		if diff := cmp.Diff([]audit.Status{"recorded", "filtered", "rejected", "recorded", "recorded"}, statuses); diff != "" {
			t.Error(diff)
		}
		if got[0].Sequence != 1 || got[3].Sequence != 2 || got[4].Sequence != 3 {
			t.Errorf("positions %+v", got)
		}
		if diff := cmp.Diff([]int{3}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		mustClose(t, r)
	})
}

func TestConcurrentSyncCallersShareABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { time.Sleep(10 * time.Millisecond); return nil }
		r := start(t, s.Append, Options{Durability: Sync})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if receipt, err := r.Record(t.Context(), event(i)); err != nil || receipt.Status != audit.StatusRecorded {
					t.Error(receipt, err)
				}
			})
		}
		wg.Wait()
		if n := len(s.sizes()); n > 3 {
			t.Errorf("100 callers at once took %d transactions", n)
		}
		mustClose(t, r)
	})
}

func TestForcedSyncWaitsBehindTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{})
		begin := time.Now()
		mustRecord(t, r, event(1), audit.StatusQueued)
		got := r.RecordBatch(t.Context(), []*audit.Event{event(2)}, Sync)
		if got[0].Status != audit.StatusRecorded || got[0].Sequence != 2 || time.Since(begin) != 0 {
			t.Errorf("receipt %+v after %v", got[0], time.Since(begin))
		}
		if diff := cmp.Diff([]string{"1", "2"}, s.actions()); diff != "" {
			t.Error(diff)
		}
		mustClose(t, r)
	})
}

// A stalled store holds a caller no longer than the timeout, and a caller who
// leaves does not take the event along.
func TestStalledStoreLeavesTheOutcomeOpen(t *testing.T) {
	for name, leave := range map[string]func(context.Context) (context.Context, context.CancelFunc, time.Duration, error){
		"timeout": func(ctx context.Context) (context.Context, context.CancelFunc, time.Duration, error) {
			return ctx, func() {}, 2 * time.Second, context.DeadlineExceeded
		},
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc, time.Duration, error) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel, time.Second, context.Canceled
		},
		"cancelled before": func(ctx context.Context) (context.Context, context.CancelFunc, time.Duration, error) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel, 0, context.Canceled
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s store
				s.before = func(ctx context.Context, _ []*audit.Record) error { time.Sleep(10 * time.Second); return nil }
				r := start(t, s.Append, Options{Durability: Sync, Timeout: 2 * time.Second})
				ctx, cancel, after, cause := leave(t.Context())
				defer cancel()
				begin := time.Now()
				receipt, err := r.Record(ctx, event(1))
				if time.Since(begin) != after {
					t.Errorf("waited %v, want %v", time.Since(begin), after)
				}
				if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, cause) || receipt.Status != audit.StatusQueued || receipt.Reason != ReasonOpen || receipt.ID.IsZero() {
					t.Errorf("receipt %+v, %v", receipt, err)
				}
				a := mustClose(t, r)
				if a.Stored != 1 || a.Rejected != 0 || s.count(audit.KindEvent) != 1 || s.order[0].ID != receipt.ID {
					t.Errorf("account %+v", a)
				}
			})
		})
	}
}

func TestSyncCallersOutliveAShortOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		begin := time.Now()
		s.before = func(context.Context, []*audit.Record) error {
			if time.Since(begin) < 10*time.Minute {
				return errDown
			}
			return nil
		}
		r := start(t, s.Append, Options{Durability: Sync})
		if _, err := r.Record(t.Context(), event(1)); !errors.Is(err, audit.ErrUnavailable) {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute - time.Since(begin) - time.Millisecond)
		// The store is back: somebody who waits must not sit out a pause of 30 s.
		mustRecord(t, r, event(2), audit.StatusRecorded)
		if a := mustClose(t, r); a.Stored != 2 {
			t.Errorf("account %+v", a)
		}
	})
}
