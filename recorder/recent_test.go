package recorder

import (
	"sync"
	"testing"

	"github.com/annals-dev/annals/audit"
)

func recordOf(id audit.ID) *audit.Record {
	return &audit.Record{Event: audit.Event{ID: id, Action: "a"}}
}

func TestRecent(t *testing.T) {
	rec := recordOf(audit.NewID())
	size := sizeOf(rec)
	c := newRecent(3, 3*int64(size))
	keep := func(number uint64, want bool) *audit.Record {
		t.Helper()
		r := recordOf(audit.NewID())
		if got := c.keep(number, r, size); got != want {
			t.Errorf("keep %d: %v", number, got)
		}
		return r
	}
	want := func(number uint64, rec *audit.Record) {
		t.Helper()
		if got := c.take(number); got != rec || got != nil && got.Sequence != 0 {
			t.Errorf("take %d: %+v", number, got)
		}
	}
	first := keep(1, true)
	want(1, first)
	want(1, nil)
	keep(0, false) // no number
	want(0, nil)
	second := keep(2, true)
	keep(3, true)
	fourth := keep(4, true)
	keep(5, false) // over the bytes
	want(2, second)
	keep(7, true) // in the place of 3, which nobody took
	want(3, nil)
	want(4, fourth)
	if c.size() != 0 {
		t.Errorf("%d bytes are left", c.size())
	}
	c.pass(9)
	keep(9, true) // too late: the pump has been there
	want(9, nil)
	if c.size() != 0 {
		t.Errorf("%d bytes are left", c.size())
	}
	var none *recent
	none.pass(1)
	if none.keep(1, rec, size) || none.take(1) != nil || none.size() != 0 {
		t.Error("nothing is kept in nothing")
	}
}

// Each record comes out once, under its own number, or is given back.
func TestRecentBesideThePump(t *testing.T) {
	const numbers, producers = 20_000, 4
	c := newRecent(64, 1<<30)
	ids := make([]audit.ID, numbers+1)
	for i := range ids {
		ids[i] = audit.NewID()
	}
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := p + 1; n <= numbers; n += producers {
				rec := records.Get().(*audit.Record)
				rec.ID = ids[n]
				if !c.keep(uint64(n), rec, sizeOf(rec)) {
					t.Error("no room")
				}
			}
		})
	}
	for n := 1; n <= numbers; n += 10 {
		c.pass(uint64(n + 9))
		for i := n; i < n+10; i++ {
			rec := c.take(uint64(i))
			if rec == nil {
				continue
			}
			if rec.ID != ids[i] || rec.Sequence != 0 {
				t.Fatalf("%d: %+v", i, rec)
			}
			giveBack(rec)
		}
	}
	wg.Wait()
	if c.size() != 0 {
		t.Errorf("%d bytes are left", c.size())
	}
}
