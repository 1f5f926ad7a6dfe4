package intake

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Lanes write chains for this process, each in a lane of its own. Records that
// arrive while a batch is under way wait for the next one, which takes all that
// fit: so the writers of one process never race with one another, and the more
// there are the fuller the batches. How processes race is the engine's business.
//
// The fields are set before the first Deliver.
type Lanes struct {
	Open func(scope audit.Scope) Writer    // makes the writer of a lane
	Room func() func(r *audit.Record) bool // see [Fit]
	Go   func(run func())                  // starts the goroutine of a lane
	Idle time.Duration                     // how long a lane waits for more before it tidies up
	Life context.Context                   // whose end ends that waiting

	mu sync.Mutex
	of map[audit.Scope]*lane
}

// Writer writes one chain. Its methods are never called at the same time.
type Writer interface {
	// Commit stores the entries as the next links of the chain and gives each its
	// result. No id is among them twice.
	Commit(entries []*Entry)
	// Tidy is called when there is nothing more to do for now.
	Tidy()
}

// maxIdleLanes is how many lanes are remembered, each with what its writer knows.
const maxIdleLanes = 4096

type lane struct {
	of     *Lanes
	writer Writer // of the goroutine that runs the lane

	mu      sync.Mutex
	queue   []*Entry
	running bool
	wake    chan struct{} // has room for one: something has come
}

// call is one call of Deliver.
type call struct {
	left atomic.Int64
	done chan struct{}
}

// finish says of entries that they have their results.
func finish(entries []*Entry) {
	for _, e := range entries {
		if e.call.left.Add(-1) == 0 {
			close(e.call.done)
		}
	}
}

// Deliver hands the entries to the lanes of their scopes and waits until each has
// its result. When ctx ends first, what no batch has taken yet is taken back, and
// the answer is false.
func (ls *Lanes) Deliver(ctx context.Context, entries []*Entry) bool {
	if len(entries) == 0 {
		return true
	}
	c := &call{done: make(chan struct{})}
	c.left.Store(int64(len(entries)))
	byScope := map[audit.Scope][]*Entry{}
	for _, e := range entries {
		e.call = c
		byScope[e.Rec.Scope()] = append(byScope[e.Rec.Scope()], e)
	}
	used := make([]*lane, 0, len(byScope))
	for scope, some := range byScope {
		used = append(used, ls.enqueue(scope, some))
	}
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
	}
	for _, l := range used {
		l.remove(func(e *Entry) bool { return e.call == c })
	}
	return false
}

func (ls *Lanes) enqueue(scope audit.Scope, entries []*Entry) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.of[scope]
	if l == nil {
		if ls.of == nil {
			ls.of = map[audit.Scope]*lane{}
		}
		if len(ls.of) >= maxIdleLanes {
			ls.forget()
		}
		l = &lane{of: ls, writer: ls.Open(scope), wake: make(chan struct{}, 1)}
		ls.of[scope] = l
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, entries...)
	if !l.running {
		l.running = true
		ls.Go(l.run)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return l
}

// forget drops the lanes that have nothing to do.
func (ls *Lanes) forget() {
	for scope, l := range ls.of {
		l.mu.Lock()
		if !l.running {
			delete(ls.of, scope)
		}
		l.mu.Unlock()
	}
}

// run writes until nothing waits.
func (l *lane) run() {
	for {
		some := l.take()
		switch {
		case len(some) > 0:
			l.writer.Commit(some)
			finish(l.refuse(some))
			finish(some)
		case l.waits():
		default:
			l.writer.Tidy()
			if l.rest() {
				return
			}
		}
	}
}

// take takes from the queue what fits into one batch.
func (l *lane) take() []*Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := Fit(func(yield func(*audit.Record) bool) {
		for _, e := range l.queue {
			if !yield(e.Rec) {
				return
			}
		}
	}, l.of.Room())
	some := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return some
}

// refuse gives the rest of a call the error of its part before. It is tried again
// as a whole; if the rest were stored now, the chain would have it before the part
// that failed, and the records of one sender out of their order.
func (l *lane) refuse(some []*Entry) []*Entry {
	failed := map[*call]error{}
	for _, e := range some {
		if err := e.Result.Err; err != nil && audit.Retryable(err) {
			failed[e.call] = err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	refused := l.remove(func(e *Entry) bool { return failed[e.call] != nil })
	for _, e := range refused {
		e.Result.Err = failed[e.call]
	}
	return refused
}

// remove takes out of the queue what is not to be written any more.
func (l *lane) remove(out func(*Entry) bool) (removed []*Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = slices.DeleteFunc(l.queue, func(e *Entry) bool {
		if !out(e) {
			return false
		}
		removed = append(removed, e)
		return true
	})
	return removed
}

// waits reports whether something comes soon.
func (l *lane) waits() bool {
	if l.of.Idle == 0 {
		return false
	}
	t := time.NewTimer(l.of.Idle)
	defer t.Stop()
	select {
	case <-l.wake:
		return true
	case <-t.C:
	case <-l.of.Life.Done():
	}
	return false
}

// rest ends the goroutine unless something has come.
func (l *lane) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = len(l.queue) > 0
	return !l.running
}

// Fit is how many of the records, from the first, one batch takes: no id twice, as
// several callers may deliver the same record, and what room has, which is asked
// about each in turn. The first one always fits.
func Fit(recs iter.Seq[*audit.Record], room func(r *audit.Record) bool) (n int) {
	ids := map[audit.ID]bool{}
	for r := range recs {
		if fits := room(r); n > 0 && (!fits || ids[r.ID]) {
			return n
		}
		ids[r.ID] = true
		n++
	}
	return n
}
