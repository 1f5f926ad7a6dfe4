package recorder

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// Records are used again, but no event may ever show in another's record, and
// every receipt must name the event that it is for.
func TestReuseMixesNothing(t *testing.T) {
	for _, opt := range []Options{
		{FlushSize: 3}, {Unbuffered: true}, {Durability: Sync}, {Capacity: 8, OnFull: Fail, FlushSize: 2},
	} {
		synctest.Test(t, func(t *testing.T) { runReuse(t, opt) })
	}
}

func runReuse(t *testing.T, opt Options) {
	var s store
	n := 0
	s.before = func(_ context.Context, recs []*audit.Record) error {
		for _, rec := range recs {
			want := "x" + rec.ActionID
			if rec.Actor.ID != want || rec.Resource.ID != want || string(rec.Payload) != strconv.Quote(want) || rec.Error != "" && rec.Error != want {
				t.Errorf("a mixed record: %+v", rec)
			}
		}
		if n++; n%5 == 0 {
			return errDown
		}
		return nil
	}
	s.each = func(*audit.Record) error {
		if n%7 == 0 {
			return errDown
		}
		return nil
	}
	r := start(t, s.Append, opt)
	var mu sync.Mutex
	named := map[audit.ID]string{}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 150 {
				name := fmt.Sprintf("x%d", g*1000+i)
				ev := &audit.Event{Action: "a.create", ActionID: name[1:], Actor: audit.Actor{ID: name}, Resource: audit.Resource{ID: name}, Payload: []byte(strconv.Quote(name))}
				if i%3 == 0 { // a field that the next user of the record may not have
					ev.Error = name
				}
				receipts := r.RecordBatch(context.Background(), []*audit.Event{ev}, "")
				if i%2 == 0 {
					receipts[0], _ = r.Record(context.Background(), ev)
				}
				if receipts[0].Err == nil {
					mu.Lock()
					named[receipts[0].ID] = name
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, r)
	found := 0
	for _, rec := range s.order {
		if name, ok := named[rec.ID]; ok {
			found++
			if rec.Actor.ID != name {
				t.Errorf("the receipt of %s names the record of %s", name, rec.Actor.ID)
			}
		}
	}
	if found != len(named) {
		t.Errorf("%d of %d receipts name a stored record", found, len(named))
	}
}

func TestWatchedKeepsItsRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		var kept []*audit.Record
		watching := true
		r := start(t, s.Append, Options{
			Unbuffered: true,
			Stored:     func(recs []*audit.Record) { kept = append(kept, recs...) },
			Watched:    func() bool { return watching },
		})
		for i := range 30 {
			watching = i < 10 || i >= 20
			mustRecord(t, r, event(i), audit.StatusQueued)
			synctest.Wait()
		}
		mustClose(t, r)
		var got []string
		for _, rec := range kept {
			got = append(got, rec.ActionID)
		}
		if diff := cmp.Diff(append(numbers(0, 10), numbers(20, 30)...), got); diff != "" {
			t.Error(diff)
		}
	})
}

// A sink that times out may leave a goroutine behind that still reads what it
// was given; those records are not used again.
func TestRecordsOfAFailedAttemptAreNotReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		var left []*audit.Record
		s.before = func(_ context.Context, recs []*audit.Record) error {
			if left == nil {
				left = append(left, recs...)
				return context.DeadlineExceeded
			}
			return nil
		}
		r := start(t, s.Append, Options{Unbuffered: true})
		for i := range 50 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			time.Sleep(time.Second)
		}
		mustClose(t, r)
		if len(left) != 1 || left[0].ActionID != "0" {
			t.Errorf("the record has become %+v", left[0])
		}
	})
}
