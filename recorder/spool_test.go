package recorder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// openSpool opens a spool that is closed when its bubble ends, after the recorder.
func openSpool(t *testing.T, dir string, opt spool.Options) *spool.Spool {
	t.Helper()
	opt.Logger = quiet
	s, err := spool.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeSpool(t *testing.T, s *spool.Spool) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func openLetters(t *testing.T, dir string) *spool.DeadLetters {
	t.Helper()
	d, err := spool.OpenDeadLetters(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// withSpool runs fn in a bubble with a spool of its own.
func withSpool(t *testing.T, opt spool.Options, fn func(t *testing.T, s *spool.Spool)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, dir, opt)
		defer closeSpool(t, s)
		fn(t, s)
	})
}

func TestSpooledEventsComeThrough(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, FlushSize: 10})
		for i := range 25 {
			if receipt := mustRecord(t, r, event(i), audit.StatusQueued); receipt.ID.IsZero() {
				t.Error("no id")
			}
		}
		evs := []*audit.Event{event(25), read(0), {Outcome: "maybe", Action: "a"}, event(26), nil}
		var got []audit.Status
		for _, receipt := range r.RecordBatch(t.Context(), evs, "") {
			got = append(got, receipt.Status)
		}
		if diff := cmp.Diff([]audit.Status{"queued", "filtered", "rejected", "queued", "rejected"}, got); diff != "" {
			t.Error(diff)
		}
		if st := r.Stats(); st.Spool == nil || st.Spool.Appended != 27 || st.Offered != 30 || st.Queued+st.Stored != 27 {
			t.Errorf("%+v", st)
		}
		if diff := cmp.Diff(Account{Offered: 30, Stored: 27, Filtered: 1, Rejected: 2}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(numbers(0, 27), s.actions()); diff != "" {
			t.Error("order:", diff)
		}
		if st := sp.Stats(); st.Depth != 0 {
			t.Errorf("%d entries are left", st.Depth)
		}
	})
}

// What comes out of the spool is what the door made, to the last field.
func TestEntryKeepsTheRecord(t *testing.T) {
	full := typicalEvent()
	full.ExternalID = "order/4711"
	full.Duration = 1234567 * time.Microsecond
	full.Error = "über \"quoted\"\n\t\u2028 \u00e9"
	full.Payload = []byte(`{"n":18446744073709551616,"z":-0,"e":1e400,"s":"\u001f"}`)
	full.Changes.Before = []byte(`null`)
	full.Changes.After = []byte(`[]`)
	full.ExpiresAt = time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var direct, through store
		now := time.Now()
		at := func() time.Time { return now }
		a := start(t, direct.Append, Options{Now: at})
		b := start(t, through.Append, Options{Now: at, Durability: Spool, Spool: sp})
		minimal := &audit.Event{Action: "a", ExternalID: "minimal"}
		for _, ev := range []*audit.Event{full, minimal} {
			mustRecord(t, a, ev, audit.StatusQueued)
			mustRecord(t, b, ev, audit.StatusQueued)
		}
		mustClose(t, a)
		mustClose(t, b)
		if diff := cmp.Diff(direct.order, through.order); diff != "" {
			t.Error(diff)
		}
		for _, rec := range direct.order {
			decoded := new(audit.Record)
			own, err := decodeEntry(appendEntry(nil, rec, true), decoded)
			bare := *rec
			bare.Sequence, bare.Hash = 0, audit.Digest{}
			if diff := cmp.Diff(&bare, decoded); diff != "" || !own || err != nil {
				t.Errorf("%v: %s", err, diff)
			}
		}
	})
}

func TestSpoolWaitsForCompany(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		begin := time.Now()
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, FlushInterval: 30 * time.Second, FlushSize: 100})
		for i := range 50 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]int{50}, s.sizes()); diff != "" {
			t.Error("after the interval:", diff)
		}
		if at := s.callTimes()[0].Sub(begin); at != 30*time.Second {
			t.Errorf("written after %v", at)
		}
		// The size comes first: exactly when it is reached.
		for i := range 99 {
			mustRecord(t, r, event(50+i), audit.StatusQueued)
		}
		synctest.Wait()
		if n := len(s.sizes()); n != 1 {
			t.Errorf("%d batches", n)
		}
		mustRecord(t, r, event(149), audit.StatusQueued)
		synctest.Wait()
		if diff := cmp.Diff([]int{50, 100}, s.sizes()); diff != "" {
			t.Error("by size:", diff)
		}
		mustClose(t, r)
	})
}

func TestFlushWaitsForTheSpool(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, FlushInterval: time.Hour})
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
		if len(s.actions()) != 7 || time.Since(begin) != 0 || sp.Stats().Depth != 0 {
			t.Errorf("%d are stored after %v, %d in the spool", len(s.actions()), time.Since(begin), sp.Stats().Depth)
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
		s.mu.Lock()
		s.before = nil
		s.mu.Unlock()
		waiting := make(chan error, 1)
		go func() { waiting <- r.Flush(t.Context()) }()
		mustClose(t, r)
		if err := <-waiting; err != nil && err != audit.ErrClosed {
			t.Error(err)
		}
		if err := r.Flush(t.Context()); err != audit.ErrClosed {
			t.Error(err)
		}
	})
}

// An outage is survived on the disk: callers go on, memory stays small, and a
// restart in the middle loses nothing.
func TestSpoolOutlivesOutageAndRestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { return errDown }
		sp := openSpool(t, dir, spool.Options{})
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, Capacity: 20, FlushSize: 10, Chained: true})
		for i := range 200 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			if st := r.Stats(); st.QueuedBytes > 40*4000 {
				t.Fatalf("%d bytes in memory", st.QueuedBytes)
			}
		}
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, err := r.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if diff := cmp.Diff(Account{Offered: 200, Spooled: 200}, a); diff != "" {
			t.Error(diff)
		}
		closeSpool(t, sp)

		s.before = nil
		sp = openSpool(t, dir, spool.Options{})
		if sp.Recovery().Entries != 200 {
			t.Errorf("%+v", sp.Recovery())
		}
		// Whatever the durability now is, what is there is delivered.
		r = start(t, s.Append, Options{Durability: Sync, Spool: sp, FlushSize: 10, Capacity: 20})
		if err := r.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		mustRecord(t, r, event(200), audit.StatusRecorded)
		if diff := cmp.Diff(Account{Offered: 1, Recovered: 200, Stored: 201}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(numbers(0, 201), s.actions()); diff != "" {
			t.Error(diff)
		}
		closeSpool(t, sp)
	})
}

// What was stored when the process died and is delivered again is a duplicate.
func TestRedeliveryIsHarmless(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var s store
		sp := openSpool(t, dir, spool.Options{})
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, Capacity: 20, FlushSize: 20})
		for i := range 15 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil { // as a kill leaves it
			t.Fatal(err)
		}
		for i := range 15 {
			mustRecord(t, r, event(15+i), audit.StatusQueued)
		}
		mustClose(t, r)
		closeSpool(t, sp)
		sp = openSpool(t, killed, spool.Options{})
		r = start(t, s.Append, Options{Durability: Spool, Spool: sp})
		if diff := cmp.Diff(Account{Recovered: 15, Duplicates: 15}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(numbers(0, 30), s.actions()); diff != "" {
			t.Error(diff)
		}
		closeSpool(t, sp)
	})
}

// A caller who has gone, or never waited, does not take its event along.
func TestCancelledCallerIsSpooled(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp})
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

// A store that ignores its context cannot keep Close from returning; what it was
// writing is in the spool still.
func TestCloseLeavesTheSpoolToADeafStore(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { time.Sleep(time.Hour); return nil }
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, FlushSize: 2})
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
		if diff := cmp.Diff(Account{Offered: 5, Spooled: 5}, a); diff != "" {
			t.Error(diff)
		}
		time.Sleep(2 * time.Hour)
		if again, _ := r.Close(t.Context()); again != a || r.Stats().Account != a {
			t.Errorf("a late answer changed the account to %+v", again)
		}
	})
}

// A record that is tried again and again does not stop those behind it, and
// holds back only the place up to which the spool is given back.
func TestStuckRecordDoesNotStopTheSpool(t *testing.T) {
	dir := t.TempDir()
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		s.each = func(rec *audit.Record) error {
			if rec.ActionID == "5" {
				return errors.New("constraint 23514")
			}
			return nil
		}
		letters := openLetters(t, dir)
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, DeadLetters: letters, Capacity: 20, FlushSize: 1, Chained: true, FlushInterval: time.Second})
		for i := range 600 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			time.Sleep(300 * time.Millisecond)
			if i == 30 && s.count(audit.KindEvent) < 25 {
				t.Errorf("%d are stored of 30", s.count(audit.KindEvent))
			}
		}
		if diff := cmp.Diff(Account{Offered: 600, Stored: 599, Failed: 1, SetAside: 1}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		list, err := letters.List()
		if err != nil || len(list) != 1 || list[0].Attempts != maxAttempts || !strings.Contains(list[0].Reason, "given up after 10 attempts: constraint 23514") {
			t.Fatalf("%+v, %v", list, err)
		}
		if sp.Stats().Depth != 0 {
			t.Errorf("%d are left in the spool", sp.Stats().Depth)
		}
	})
}

func TestUnreadableEntryIsSetAside(t *testing.T) {
	dir := t.TempDir()
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		if _, err := sp.AppendBatch(t.Context(), [][]byte{[]byte("\x20{}"), []byte("\x10{}"), []byte("\x10nonsense")}); err != nil {
			t.Fatal(err)
		}
		var s store
		letters := openLetters(t, dir)
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, DeadLetters: letters})
		mustRecord(t, r, event(1), audit.StatusQueued)
		if diff := cmp.Diff(Account{Offered: 1, Recovered: 3, Stored: 1, Failed: 3, SetAside: 3}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		if list, err := letters.List(); err != nil || len(list) != 3 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestManyProducersKeepTheirOrder(t *testing.T) {
	for _, opt := range []Options{{Durability: Spool}, {OnFull: Spill, Capacity: 16, FlushSize: 4}} {
		t.Run(fmt.Sprintf("%s%s", opt.Durability, opt.OnFull), func(t *testing.T) {
			withSpool(t, spool.Options{SegmentBytes: 16 << 10, MaxBytes: 8 << 20}, func(t *testing.T, sp *spool.Spool) {
				var s store
				s.before = func(context.Context, []*audit.Record) error { time.Sleep(time.Millisecond); return nil }
				opt := opt
				opt.Spool = sp
				r := start(t, s.Append, opt)
				var wg sync.WaitGroup
				for g := range 8 {
					wg.Go(func() {
						for i := 0; i < 100; i++ {
							ev := event(i)
							ev.Actor.ID = strconv.Itoa(g)
							if i%10 == 0 {
								next := event(i + 1)
								next.Actor.ID = ev.Actor.ID
								for _, receipt := range r.RecordBatch(t.Context(), []*audit.Event{ev, next}, "") {
									if receipt.Err != nil {
										t.Error(receipt.Err)
									}
								}
								i++
								continue
							}
							if _, err := r.Record(t.Context(), ev); err != nil {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
				if diff := cmp.Diff(Account{Offered: 800, Stored: 800}, mustClose(t, r)); diff != "" {
					t.Error(diff)
				}
				next := map[string]int{}
				for _, rec := range s.order {
					n, _ := strconv.Atoi(rec.ActionID)
					if n != next[rec.Actor.ID] {
						t.Fatalf("producer %s: %d came, %d was next", rec.Actor.ID, n, next[rec.Actor.ID])
					}
					next[rec.Actor.ID]++
				}
			})
		})
	}
}
