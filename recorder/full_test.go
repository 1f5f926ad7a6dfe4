package recorder

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// gate is a store that answers only when it is opened.
func gate(s *store) (open func()) {
	ch := make(chan struct{})
	s.before = func(ctx context.Context, _ []*audit.Record) error {
		select {
		case <-ch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return func() { close(ch) }
}

// fill brings a recorder of capacity 4 to where the next event finds no room,
// the store being shut.
func fillUp(t *testing.T, r *Recorder) {
	t.Helper()
	for i := range 4 {
		mustRecord(t, r, event(i), audit.StatusQueued)
	}
	synctest.Wait()
}

func TestFullBlocksForTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{Capacity: 4, Timeout: 3 * time.Second, WriteTimeout: time.Hour})
		fillUp(t, r)
		begin := time.Now()
		receipt, err := r.Record(t.Context(), event(4))
		if !errors.Is(err, audit.ErrBacklog) || receipt.Status != audit.StatusRejected || receipt.Reason != "backlog" || time.Since(begin) != 3*time.Second {
			t.Errorf("%+v, %v after %v", receipt, err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if _, err := r.Record(ctx, event(5)); !errors.Is(err, audit.ErrBacklog) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		// Room in time: the event is taken, and the batch under way counted as room until then.
		time.AfterFunc(time.Second, open)
		mustRecord(t, r, event(6), audit.StatusQueued)
		a := mustClose(t, r)
		if diff := cmp.Diff(Account{Offered: 7, Rejected: 2, Stored: 5}, a); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"0", "1", "2", "3", "6"}, s.actions()); diff != "" {
			t.Error(diff)
		}
	})
}

// A cancelled context suppresses nothing where there is room.
func TestCancelledCallerIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if receipt, err := r.Record(ctx, event(1)); err != nil || receipt.Status != audit.StatusQueued {
			t.Error(receipt, err)
		}
		mustClose(t, r)
		if s.count(audit.KindEvent) != 1 {
			t.Error("the event was suppressed")
		}
	})
}

func TestRoomIsGivenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{Capacity: 4, Timeout: time.Hour, WriteTimeout: time.Hour})
		fillUp(t, r)
		for i := 4; i < 20; i++ {
			go r.Record(t.Context(), event(i))
			synctest.Wait()
		}
		// A large call waits with all it has, and in its turn.
		go r.RecordBatch(t.Context(), []*audit.Event{event(20), event(21), event(22), event(23), event(24), event(25)}, "")
		synctest.Wait()
		open()
		time.Sleep(time.Minute)
		mustClose(t, r)
		var want []string
		for i := range 26 {
			want = append(want, event(i).ActionID)
		}
		if diff := cmp.Diff(want, s.actions()); diff != "" {
			t.Error(diff)
		}
		for _, n := range s.sizes() {
			if n > 4 {
				t.Errorf("a batch of %d with a capacity of 4", n)
			}
		}
	})
}

func TestFullFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{Capacity: 4, OnFull: Fail, WriteTimeout: time.Hour})
		fillUp(t, r)
		begin := time.Now()
		if _, err := r.Record(t.Context(), event(4)); !errors.Is(err, audit.ErrBacklog) || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		open()
		synctest.Wait()
		got := r.RecordBatch(t.Context(), []*audit.Event{event(5), event(6), event(7), event(8), event(9), event(10)}, "")
		for i, receipt := range got {
			if fits := i < 4; fits != (receipt.Err == nil) || !fits && !errors.Is(receipt.Err, audit.ErrBacklog) {
				t.Errorf("event %d: %+v", i, receipt)
			}
		}
		if diff := cmp.Diff(Account{Offered: 11, Rejected: 3, Stored: 8}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFullDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{Capacity: 4, OnFull: Drop, WriteTimeout: time.Hour, Chained: true, FlushInterval: 10 * time.Second})
		fillUp(t, r)
		for i := range 3 {
			if got := mustRecord(t, r, event(4+i), audit.StatusRejected); got.Reason != ReasonDropped || got.ID.IsZero() {
				t.Errorf("%+v", got)
			}
		}
		// A caller that asked for the store must learn that it does not get it.
		if got := r.RecordBatch(t.Context(), []*audit.Event{event(8)}, Sync)[0]; !errors.Is(got.Err, audit.ErrBacklog) {
			t.Errorf("%+v", got)
		}
		other := event(9)
		other.Tenant = "other"
		mustRecord(t, r, other, audit.StatusRejected)
		open()
		// Nothing else is offered: the gap records come by themselves.
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if n := s.count(audit.KindGap); n != 2 {
			t.Errorf("%d gap records, want one a tenant", n)
		}
		if diff := cmp.Diff(map[string]int64{"acme/dropped": 3, "other/dropped": 1}, gapsIn(t, &s)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(Account{Offered: 9, Dropped: 4, Rejected: 1, Stored: 4}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCapacityInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{CapacityBytes: 5000, OnFull: Fail, WriteTimeout: time.Hour})
		large := event(0)
		large.Payload = make([]byte, 20_000)
		large.Payload[0], large.Payload[19_999] = '"', '"'
		for i := range large.Payload[1:19_999] {
			large.Payload[i+1] = 'x'
		}
		mustRecord(t, r, large, audit.StatusQueued) // an empty recorder takes any record
		if _, err := r.Record(t.Context(), event(1)); !errors.Is(err, audit.ErrBacklog) {
			t.Error(err)
		}
		if got := r.Stats(); got.Queued != 1 || got.QueuedBytes < 20_000 {
			t.Errorf("%+v", got)
		}
		open()
		synctest.Wait()
		if got := r.Stats(); got.Queued != 0 || got.QueuedBytes != 0 {
			t.Errorf("%+v", got)
		}
		for i := range 3 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		if _, err := r.Record(t.Context(), large); !errors.Is(err, audit.ErrBacklog) {
			t.Error(err)
		}
		mustClose(t, r)
	})
}

// What waits for company is written when there is no room for company.
func TestFullQueueDoesNotWaitForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{CapacityBytes: 4000, FlushInterval: time.Hour})
		begin := time.Now()
		for i := range 20 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		if time.Since(begin) != 0 {
			t.Errorf("waited %v for room", time.Since(begin))
		}
		mustClose(t, r)
	})
}
