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
	"github.com/annals-dev/annals/spool"
)

// isTimeout reports whether a caller was held for the timeout, which calls to
// the spool share.
func isTimeout(held, timeout time.Duration) bool {
	return held >= timeout && held <= timeout+timeout/20
}

func TestFullSpool(t *testing.T) {
	small := spool.Options{MaxBytes: 3500, SegmentBytes: 2048}
	for _, onFull := range []OnFull{Block, Fail, Drop} {
		t.Run(string(onFull), func(t *testing.T) {
			withSpool(t, small, func(t *testing.T, sp *spool.Spool) {
				var s store
				open := gate(&s)
				r := start(t, s.Append, Options{
					Durability: Spool, Spool: sp, OnFull: onFull, Timeout: 3 * time.Second, WriteTimeout: time.Hour, Chained: true, FlushInterval: 10 * time.Second,
				})
				n := 0
				var last audit.Receipt
				var held time.Duration
				for last.Err == nil && last.Status != audit.StatusRejected {
					begin := time.Now()
					last, _ = r.Record(t.Context(), event(n))
					held = time.Since(begin)
					n++
				}
				if n < 5 || n > 40 {
					t.Fatalf("%d events filled it: %+v", n, last)
				}
				if onFull == Block && !isTimeout(held, 3*time.Second) || onFull != Block && held != 0 {
					t.Errorf("held %v", held)
				}
				if onFull == Drop && (last.Err != nil || last.Reason != ReasonDropped) || onFull != Drop && !errors.Is(last.Err, audit.ErrBacklog) {
					t.Errorf("%+v", last)
				}
				// A call takes what room there is when some comes free.
				time.AfterFunc(time.Second, open)
				want := Account{Offered: int64(n + 50), Stored: int64(n - 1)}
				evs := make([]*audit.Event, 50)
				for i := range evs {
					evs[i] = event(n + i)
				}
				accepted := true
				for i, receipt := range r.RecordBatch(t.Context(), evs, "") {
					if ok := receipt.Status == audit.StatusQueued; ok {
						want.Stored++
						if !accepted {
							t.Errorf("event %d was taken after one that was not", i)
						}
						continue
					}
					accepted = false
				}
				if onFull == Block && !accepted {
					t.Error("not all found room in time")
				}
				rest := want.Offered - want.Stored
				if onFull == Drop {
					want.Dropped = rest
				} else {
					want.Rejected = rest
				}
				a := mustClose(t, r)
				if diff := cmp.Diff(want, a); diff != "" {
					t.Error(diff)
				}
				if gaps := gapsIn(t, &s); gaps["acme/dropped"] != a.Dropped {
					t.Errorf("the gap records say %v", gaps)
				}
			})
		})
	}
}

func TestCloseSendsAwayWhoWaitsForTheSpool(t *testing.T) {
	withSpool(t, spool.Options{MaxBytes: 3500, SegmentBytes: 2048}, func(t *testing.T, sp *spool.Spool) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, Timeout: time.Hour, WriteTimeout: time.Hour})
		var wg sync.WaitGroup
		var mu sync.Mutex
		var queued, closed int64
		for i := range 40 {
			wg.Go(func() {
				receipt, err := r.Record(t.Context(), event(i))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == audit.ErrClosed:
					closed++
				case err == nil && receipt.Status == audit.StatusQueued:
					queued++
				default:
					t.Error(receipt, err)
				}
			})
		}
		time.Sleep(time.Second)
		time.AfterFunc(time.Second, open)
		a := mustClose(t, r)
		wg.Wait()
		if queued == 0 || closed == 0 {
			t.Errorf("%d queued, %d sent away", queued, closed)
		}
		if diff := cmp.Diff(Account{Offered: 40, Stored: queued, Rejected: closed}, a); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSpillTakesWhatFindsNoRoom(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		open := gate(&s)
		r := start(t, s.Append, Options{OnFull: Spill, Spool: sp, Capacity: 4, FlushSize: 2, WriteTimeout: time.Hour})
		for i := range 10 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		for _, receipt := range r.RecordBatch(t.Context(), []*audit.Event{event(10), event(11)}, "") {
			if receipt.Status != audit.StatusQueued || receipt.Err != nil {
				t.Errorf("%+v", receipt)
			}
		}
		if st := r.Stats(); st.Queued != 12 || st.Spool.Depth == 0 {
			t.Errorf("%+v", st)
		}
		// A caller that asked for the store must learn that it does not get it.
		if got := r.RecordBatch(t.Context(), []*audit.Event{event(99)}, Sync)[0]; !errors.Is(got.Err, audit.ErrBacklog) {
			t.Errorf("%+v", got)
		}
		open()
		synctest.Wait()
		// The way through memory is open again, and nobody has overtaken.
		spilled := sp.Stats().Appended
		mustRecord(t, r, event(12), audit.StatusQueued)
		if got := sp.Stats().Appended; got != spilled {
			t.Errorf("%d entries, %d before", got, spilled)
		}
		if diff := cmp.Diff(Account{Offered: 14, Stored: 13, Rejected: 1}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(numbers(0, 13), s.actions()); diff != "" {
			t.Error("order:", diff)
		}
	})
}

func TestSpillIntoAFullSpool(t *testing.T) {
	withSpool(t, spool.Options{MaxBytes: 3500, SegmentBytes: 2048}, func(t *testing.T, sp *spool.Spool) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { return errDown }
		r := start(t, s.Append, Options{OnFull: Spill, Spool: sp, Capacity: 4, FlushSize: 2})
		n := int64(0)
		for {
			if _, err := r.Record(t.Context(), event(int(n))); err != nil {
				if !errors.Is(err, audit.ErrBacklog) {
					t.Error(err)
				}
				break
			}
			n++
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, err := r.Close(ctx)
		if err == nil {
			t.Error("closed without an error")
		}
		balanced(t, a)
		if a.Unwritten != 4 || a.Spooled != n-4 || a.Rejected != 1 {
			t.Errorf("%+v after %d", a, n)
		}
	})
}
