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
	"github.com/annals-dev/annals/policy"
)

func TestCloseDrainsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{})
		for i := range 10 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		begin := time.Now()
		a := mustClose(t, r)
		if a.Stored != 10 || time.Since(begin) != 0 {
			t.Errorf("account %+v after %v", a, time.Since(begin))
		}
		for _, ev := range []*audit.Event{event(1), read(2)} {
			if receipt, err := r.Record(t.Context(), ev); err != audit.ErrClosed || receipt.Status != audit.StatusRejected || receipt.Reason != ReasonClosed {
				t.Errorf("%+v, %v", receipt, err)
			}
		}
		if got := r.RecordBatch(t.Context(), []*audit.Event{event(1), read(2)}, Sync); got[0].Err != audit.ErrClosed || got[1].Err != audit.ErrClosed {
			t.Errorf("%+v", got)
		}
		if err := r.Flush(t.Context()); err != audit.ErrClosed {
			t.Error(err)
		}
		if again := mustClose(t, r); again != a {
			t.Errorf("the second Close returned %+v, the first %+v", again, a)
		}
		if st := r.Stats(); st.Account != a {
			t.Errorf("statistics %+v", st.Account)
		}
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { return errDown }
		r := start(t, s.Append, Options{Chained: true, Durability: Sync, Timeout: time.Hour})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if receipt, err := r.Record(t.Context(), event(i)); !errors.Is(err, audit.ErrUnavailable) || receipt.Status != audit.StatusQueued {
					t.Error(receipt, err)
				}
			})
		}
		mustRecord(t, r, read(6), audit.StatusFiltered)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		a, err := r.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		wg.Wait() // nobody waits for a store that will not be asked again
		if diff := cmp.Diff(Account{Offered: 6, Filtered: 1, Unwritten: 5}, a); diff != "" {
			t.Error(diff)
		}
		if again, err2 := r.Close(t.Context()); again != a || err2 != err {
			t.Errorf("the second Close returned %+v, %v", again, err2)
		}
		if st := r.Stats(); st.Account != a || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A store that ignores its context cannot keep Close from returning, and what
// it answers later changes nothing.
func TestCloseDoesNotWaitForADeafStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { time.Sleep(time.Hour); return nil }
		r := start(t, s.Append, Options{FlushSize: 2})
		for i := range 5 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		a, err := r.Close(ctx)
		if took := time.Since(begin); err == nil || took != time.Second+closeGrace {
			t.Errorf("%v after %v", err, took)
		}
		if diff := cmp.Diff(Account{Offered: 5, Unwritten: 5}, a); diff != "" {
			t.Error(diff)
		}
		time.Sleep(2 * time.Hour)
		if again, _ := r.Close(t.Context()); again != a || r.Stats().Account != a {
			t.Errorf("a late answer changed the account to %+v", again)
		}
	})
}

// An answer that comes just after the context has ended still counts.
func TestCloseHearsTheAnswerUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error {
			time.Sleep(time.Second + closeGrace/2)
			return nil
		}
		r := start(t, s.Append, Options{})
		mustRecord(t, r, event(1), audit.StatusQueued)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a, err := r.Close(ctx); err != nil || a.Stored != 1 || a.Unwritten != 0 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

func TestCloseWithAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		r := start(t, (&store{}).Append, Options{Chained: true})
		if a, err := r.Close(ended); err != nil || a != (Account{}) {
			t.Errorf("an idle recorder: %+v, %v", a, err)
		}
		r = start(t, (&store{}).Append, Options{})
		mustRecord(t, r, event(1), audit.StatusQueued)
		if a, err := r.Close(ended); a.Stored+a.Unwritten != 1 || (err != nil) != (a.Unwritten == 1) {
			t.Errorf("a waiting event: %+v, %v", a, err)
		}
	})
}

func TestCloseSendsAwayWhoWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{Capacity: 4, Timeout: time.Hour, WriteTimeout: time.Hour})
		fillUp(t, r)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if _, err := r.Record(t.Context(), event(4+i)); err != audit.ErrClosed {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		time.AfterFunc(time.Second, open)
		a := mustClose(t, r)
		wg.Wait()
		if diff := cmp.Diff(Account{Offered: 7, Rejected: 3, Stored: 4}, a); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{FlushInterval: time.Hour})
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal("nothing to flush:", err)
		}
		for i := range 7 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		begin := time.Now()
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{7}, s.sizes()); diff != "" || time.Since(begin) != 0 {
			t.Error(diff)
		}
		s.mu.Lock()
		s.before = func(context.Context, []*audit.Record) error { return errDown }
		s.mu.Unlock()
		mustRecord(t, r, event(7), audit.StatusQueued)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Flush(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		s.mu.Lock()
		s.before = nil
		s.mu.Unlock()
		begin = time.Now()
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 2*backoffBase {
			t.Errorf("Flush sat out a pause: %v", took)
		}
		mustRecord(t, r, event(8), audit.StatusQueued)
		waiting := make(chan error, 1)
		go func() { waiting <- r.Flush(t.Context()) }()
		mustClose(t, r)
		if err := <-waiting; err != nil && err != audit.ErrClosed {
			t.Error(err)
		}
	})
}

// The account is exact although callers race with Close: each call has its
// receipt, and the receipts of those that were not too late add up.
func TestAccountIsExactUnderRacingCallers(t *testing.T) {
	for _, opt := range []Options{
		{}, {Chained: true}, {Durability: Sync, Chained: true}, {Capacity: 8, OnFull: Drop, Chained: true}, {Capacity: 8, OnFull: Fail, Unbuffered: true},
	} {
		var s store
		opt.Policy = mustPolicy(t, policy.Config{})
		r := start(t, s.Append, opt)
		var mu sync.Mutex
		var seen Account
		var late int64
		begun := make(chan struct{})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				var mine Account
				var closed int64
				for i := 0; closed < 5; i++ {
					if g == 0 && i == 200 {
						close(begun)
					}
					ev := event(i)
					if i%3 != 0 {
						ev = read(i)
					}
					receipt, err := r.Record(context.Background(), ev)
					switch {
					case err == audit.ErrClosed:
						closed++
					case err != nil:
						mine.Rejected++
					case receipt.Status == audit.StatusFiltered:
						mine.Filtered++
					case receipt.Reason == ReasonDropped:
						mine.Dropped++
					default:
						mine.Stored++
					}
				}
				mu.Lock()
				seen.Rejected += mine.Rejected
				seen.Filtered += mine.Filtered
				seen.Dropped += mine.Dropped
				seen.Stored += mine.Stored
				late += closed
				mu.Unlock()
			})
		}
		<-begun
		a := mustClose(t, r)
		wg.Wait()
		refused := a.Rejected - seen.Rejected // those that came while Close was under way
		if refused < 0 || refused > late || a.Filtered != seen.Filtered || a.Dropped != seen.Dropped || a.Stored != seen.Stored {
			t.Errorf("%+v: the account says %+v, the receipts %+v", opt, a, seen)
		}
		if got := s.count(audit.KindEvent); got != a.Stored {
			t.Errorf("the store holds %d, the account says %d", got, a.Stored)
		}
		if opt.Chained {
			gaps := gapsIn(t, &s)
			if gaps["acme/level"] < a.Filtered || gaps["acme/level"] > a.Filtered+late || gaps["acme/dropped"] != a.Dropped {
				t.Errorf("gap records say %v, the account %+v", gaps, a)
			}
		}
	}
}
