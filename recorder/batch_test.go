package recorder

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func TestFiftyEventsInTenSecondsAreOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{FlushInterval: 30 * time.Second})
		begin := time.Now()
		// A free-running ticker, started with the recorder, would strike at 30 s.
		time.Sleep(25 * time.Second)
		for i := range 50 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if n := len(s.sizes()); n != 0 {
			t.Fatalf("%d batches before the interval has passed", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]int{50}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		if at := s.callTimes()[0].Sub(begin); at != 55*time.Second {
			t.Errorf("written %v after the start, want 30 s after the first event at 25 s", at)
		}
		mustClose(t, r)
	})
}

func TestSizeTriggersAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{FlushSize: 10})
		for i := range 25 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			synctest.Wait()
		}
		if diff := cmp.Diff([]int{10, 10}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		// The other five came with the second batch's end, and wait on their own.
		time.Sleep(DefaultFlushInterval)
		synctest.Wait()
		if diff := cmp.Diff([]int{10, 10, 5}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		mustClose(t, r)
	})
}

func TestBatchesGrowUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { time.Sleep(time.Second); return nil }
		r := start(t, s.Append, Options{FlushSize: 10})
		for i := range 10 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		synctest.Wait() // the first batch is under way
		for i := 10; i < 6010; i++ {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]int{10, 5000, 1000}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		mustClose(t, r)
	})
}

// A batch is bounded in bytes too: a store refuses a message of 100 MiB.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { time.Sleep(time.Second); return nil }
		r := start(t, s.Append, Options{FlushSize: 1})
		large := event(0)
		large.Payload = append(append([]byte(`"`), make([]byte, 900_000)...), '"')
		for i := range large.Payload[1:900_001] {
			large.Payload[i+1] = 'x'
		}
		for range 40 {
			mustRecord(t, r, large, audit.StatusQueued)
		}
		a := mustClose(t, r)
		if a.Stored != 40 {
			t.Errorf("account %+v", a)
		}
		for _, n := range s.sizes() {
			if n > 18 {
				t.Errorf("a batch of %d large records", n)
			}
		}
	})
}

func TestUnbufferedWritesEachEventAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{Unbuffered: true})
		r.RecordBatch(t.Context(), []*audit.Event{event(0), event(1), event(2)}, "")
		mustRecord(t, r, event(3), audit.StatusQueued)
		synctest.Wait()
		if diff := cmp.Diff([]int{1, 1, 1, 1}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"0", "1", "2", "3"}, s.actions()); diff != "" {
			t.Error(diff)
		}
		r.RecordBatch(t.Context(), []*audit.Event{event(4), event(5)}, Sync)
		if diff := cmp.Diff([]int{1, 1, 1, 1, 2}, s.sizes()); diff != "" {
			t.Error("a call that waits is one batch:", diff)
		}
		mustClose(t, r)
	})
}

func TestBufferingSavesTransactions(t *testing.T) {
	trace := func(unbuffered bool) (stored int64, transactions int) {
		synctest.Test(t, func(t *testing.T) {
			var s store
			r := start(t, s.Append, Options{Unbuffered: unbuffered})
			for i := range 10_000 {
				ev, want := event(i), audit.StatusQueued
				if i%10 != 0 {
					ev, want = read(i), audit.StatusFiltered
				}
				mustRecord(t, r, ev, want)
				time.Sleep(time.Millisecond)
			}
			a := mustClose(t, r)
			if a.Offered != 10_000 || a.Filtered != 9_000 || a.Stored != 1_000 || s.count(audit.KindEvent) != 1_000 || len(s.order) != 1_000 {
				t.Errorf("account %+v, the store holds %d", a, len(s.order))
			}
			stored, transactions = a.Stored, len(s.sizes())
		})
		return stored, transactions
	}
	stored, many := trace(true)
	_, few := trace(false)
	if many != int(stored) || float64(few) > 0.05*float64(many) {
		t.Errorf("%d transactions unbuffered, %d buffered", many, few)
	}
}

// Only records carry the door's clock; a jump must neither hold a batch back
// nor split it.
func TestClockMayJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		shift := time.Duration(0)
		r := start(t, s.Append, Options{Now: func() time.Time { return time.Now().Add(shift) }})
		for i, jump := range []time.Duration{0, 48 * time.Hour, -72 * time.Hour, time.Hour} {
			shift += jump
			mustRecord(t, r, event(i), audit.StatusQueued)
			time.Sleep(time.Second)
			if age := r.Stats().OldestQueued; age < 0 {
				t.Errorf("the oldest event is %v old", age)
			}
		}
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if n := len(s.sizes()); n != 0 {
			t.Errorf("%d batches too early", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]int{4}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		mustClose(t, r)
	})
}

func TestStoredIsToldOfEachBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		var told []string
		lost := true
		s.after = func([]*audit.Record) error {
			if lost {
				lost = false
				return errDown
			}
			return nil
		}
		r := start(t, s.Append, Options{FlushSize: 2, Stored: func(recs []*audit.Record) {
			for _, rec := range recs {
				told = append(told, fmt.Sprint(rec.ActionID, "#", rec.Sequence))
			}
		}})
		twice := event(1)
		twice.ExternalID = "one"
		mustRecord(t, r, twice, audit.StatusQueued)
		mustRecord(t, r, event(2), audit.StatusQueued)
		time.Sleep(time.Minute)
		mustRecord(t, r, event(3), audit.StatusQueued)
		mustRecord(t, r, twice, audit.StatusQueued)
		a := mustClose(t, r)
		if diff := cmp.Diff([]string{"1#1", "2#2", "3#3"}, told); diff != "" {
			t.Error(diff)
		}
		// Event 2 has an id of ours: that the store had it can only mean that
		// the attempt without an answer stored it. Of event 1 nobody can tell.
		if diff := cmp.Diff(Account{Offered: 4, Stored: 2, Duplicates: 2}, a); diff != "" {
			t.Error(diff)
		}
	})
}
