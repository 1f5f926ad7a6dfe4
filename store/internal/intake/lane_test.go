package intake

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
)

// script is a writer that notes what it is asked to do.
type script struct {
	commit  func(entries []*Entry) // instead of storing all
	batches [][]*audit.Record
	tidied  int
	tidy    func()
}

func (w *script) Commit(entries []*Entry) {
	var recs []*audit.Record
	for _, e := range entries {
		recs = append(recs, e.Rec)
	}
	w.batches = append(w.batches, recs)
	if w.commit != nil {
		w.commit(entries)
		return
	}
	for _, e := range entries {
		e.Put()
	}
}

func (w *script) Tidy() {
	w.tidied++
	if w.tidy != nil {
		w.tidy()
	}
}

func endless() func(*audit.Record) bool { return func(*audit.Record) bool { return true } }

// lanesOf gives lanes with one writer, and what waits for their goroutines.
func lanesOf(t *testing.T, w Writer) (ls *Lanes, wait func()) {
	var work sync.WaitGroup
	return &Lanes{Open: func(audit.Scope) Writer { return w }, Room: endless, Go: work.Go, Life: t.Context()}, work.Wait
}

func records(tenant string, n int) (recs []*audit.Record) {
	for range n {
		recs = append(recs, record(tenant))
	}
	return recs
}

func entriesOf(recs ...*audit.Record) []*Entry { return NewBatch(recs, true).Entries }

func sizes(batches [][]*audit.Record) (n []int) {
	for _, b := range batches {
		n = append(n, len(b))
	}
	return n
}

// What arrives while a batch is under way goes into the next one, as a whole and
// in its order; what waits when its caller gives up is not written.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		w := &script{commit: func(entries []*Entry) {
			<-gate
			for _, e := range entries {
				e.Put()
			}
		}}
		ls, wait := lanesOf(t, w)
		first, gone, second, third := records("a", 1), records("a", 5), records("a", 3), records("a", 2)
		ctx, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for _, c := range []struct {
			ctx  context.Context
			recs []*audit.Record
			want bool
		}{{t.Context(), first, true}, {ctx, gone, false}, {t.Context(), second, true}, {t.Context(), third, true}} {
			calls.Go(func() {
				entries := entriesOf(c.recs...)
				if got := ls.Deliver(c.ctx, entries); got != c.want {
					t.Errorf("%d records: got %t", len(c.recs), got)
				}
				for _, e := range entries {
					if e.Settled() != c.want {
						t.Errorf("an entry is settled: %t, want %t", e.Settled(), c.want)
					}
				}
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		close(gate)
		calls.Wait()
		wait()
		if got := sizes(w.batches); !slices.Equal(got, []int{1, 5}) {
			t.Fatalf("batches of %v", got)
		}
		for i, r := range slices.Concat(second, third) {
			if w.batches[1][i].ID != r.ID {
				t.Errorf("record %d is out of its order", i)
			}
		}
		if w.tidied == 0 {
			t.Error("the lane was never tidied up")
		}
	})
}

// What a call still has in the queue goes back with the part of it that failed, and
// nothing of others.
func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		name    string
		failure error
		want    []int
	}{
		{"may be tried again", audit.Unavailable("no answer", nil), []int{2, 2}},
		{"for good", audit.ErrConflict, []int{2, 2, 2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mine, theirs := records("a", 5), records("a", 2)
				gate := make(chan struct{})
				w := &script{commit: func(entries []*Entry) {
					<-gate
					for _, e := range entries {
						if e.Put(); e.Rec.ID == mine[1].ID {
							e.Stored, e.Result.Err = nil, c.failure
						}
					}
				}}
				ls, wait := lanesOf(t, w)
				ls.Room = func() func(*audit.Record) bool {
					n := 0
					return func(*audit.Record) bool { n++; return n <= 2 }
				}
				var calls sync.WaitGroup
				deliver := func(entries []*Entry) {
					calls.Go(func() {
						if !ls.Deliver(t.Context(), entries) {
							t.Error("not delivered")
						}
					})
					synctest.Wait()
				}
				of, others := entriesOf(mine...), entriesOf(theirs...)
				deliver(of)
				deliver(others)
				close(gate)
				calls.Wait()
				wait()
				if got := sizes(w.batches); !slices.Equal(got, c.want) {
					t.Errorf("batches of %v, want %v", got, c.want)
				}
				for i, e := range of {
					if failed := i == 1 || i > 1 && audit.Retryable(c.failure); failed != (e.Result.Err == c.failure) {
						t.Errorf("record %d: %+v", i, e.Result)
					}
				}
				for _, e := range others {
					if e.Stored == nil {
						t.Errorf("another's: %+v", e.Result)
					}
				}
			})
		})
	}
}

// A lane tidies up once nothing has come for a while, goes on with what comes
// meanwhile, and waits no longer when the store closes.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = time.Second
		w := &script{}
		ls, wait := lanesOf(t, w)
		once := true
		w.tidy = func() { // something comes in the last moment
			if once {
				once = false
				if len(w.batches) != 3 {
					t.Errorf("tidied up after %d batches", len(w.batches))
				}
				ls.enqueue(audit.Scope{Tenant: "a"}, []*Entry{{Rec: record("a"), call: &call{done: make(chan struct{})}}})
			}
		}
		life, end := context.WithCancel(t.Context())
		ls.Idle, ls.Life = idle, life
		deliver := func() {
			if !ls.Deliver(t.Context(), entriesOf(record("a"))) {
				t.Error("not delivered")
			}
			synctest.Wait()
		}
		for range 3 {
			deliver()
			time.Sleep(idle - 1)
		}
		began := time.Now()
		wait()
		if len(w.batches) != 4 || w.tidied != 2 || time.Since(began) != idle+1 {
			t.Errorf("%d batches, tidied up %d times, %v", len(w.batches), w.tidied, time.Since(began))
		}
		deliver()
		end()
		began = time.Now()
		wait()
		if w.tidied != 3 || time.Since(began) != 0 {
			t.Errorf("tidied up %d times, %v after the end", w.tidied, time.Since(began))
		}
	})
}

// Each scope has a lane of its own; no more are remembered than maxIdleLanes.
func TestManyScopes(t *testing.T) {
	var mu sync.Mutex
	opened := map[audit.Scope]int{}
	ls, wait := lanesOf(t, nil)
	ls.Open = func(scope audit.Scope) Writer {
		mu.Lock()
		defer mu.Unlock()
		opened[scope]++
		return &script{}
	}
	if !ls.Deliver(t.Context(), nil) {
		t.Error("nothing is not delivered")
	}
	var recs []*audit.Record
	for i := range maxIdleLanes {
		recs = append(recs, record(fmt.Sprint(i)))
	}
	for range 2 {
		if !ls.Deliver(t.Context(), entriesOf(recs...)) {
			t.Error("not delivered")
		}
		wait()
	}
	if len(opened) != maxIdleLanes || len(ls.of) != maxIdleLanes {
		t.Errorf("%d lanes opened, %d remembered", len(opened), len(ls.of))
	}
	ls.Deliver(t.Context(), entriesOf(record("one more")))
	wait()
	if len(ls.of) != 1 {
		t.Errorf("%d lanes are remembered", len(ls.of))
	}
	for scope, n := range opened {
		if n != 1 {
			t.Errorf("%v: opened %d times", scope, n)
		}
	}
}

// A batch takes no id twice, what has room, and always one.
func TestFit(t *testing.T) {
	recs := records("a", 5)
	for _, c := range []struct {
		name string
		recs []*audit.Record
		room int
		want int
	}{
		{"none", nil, 3, 0},
		{"all", recs, 9, 5},
		{"as many as have room", recs, 3, 3},
		{"one without room", recs, 0, 1},
		{"an id twice", append(recs[:2:2], recs[0]), 9, 2},
	} {
		left := c.room
		if got := Fit(slices.Values(c.recs), func(*audit.Record) bool { left--; return left >= 0 }); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
