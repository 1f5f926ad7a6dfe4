package elasticsearch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// A lane writes one chain for this process. Records that arrive while a batch is
// under way wait for the next one, which takes all that fit: so the writers of
// one process never race with one another, and the more there are the fuller the
// batches. Processes race by the head document.
type lane struct {
	s       *Store
	scope   audit.Scope
	segment string // only of a lane that takes in a chain

	mu      sync.Mutex
	queue   []*ticket
	running bool
	wake    chan struct{} // has room for one: something has come

	// Of the goroutine that runs the lane.
	head  head
	seat  seat
	known bool // whether head is what was stored last, as far as we know
}

// key names the chain of the lane.
func (l *lane) key() chain.Key { return chain.Key{Scope: l.scope, Segment: l.segment} }

// ticket is an entry that waits in a lane.
type ticket struct {
	*entry
	owner *delivery
}

// delivery is one call of AppendChained.
type delivery struct {
	mu   sync.Mutex
	left int
	done chan struct{}
}

func (d *delivery) finish(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left -= n; d.left == 0 {
		close(d.done)
	}
}

// lanes are the lanes of a store by scope.
type lanes struct {
	mu sync.Mutex
	of map[audit.Scope]*lane
}

// Bounds of a batch and of what is remembered.
const (
	maxIdleLanes  = 4096
	maxBatch      = 1000
	maxBatchBytes = 4 << 20
)

// deliver hands the entries to their lanes and waits until each has its result.
// When ctx ends first, what no batch has taken yet is taken back.
func (ls *lanes) deliver(ctx context.Context, s *Store, entries []*entry) error {
	if len(entries) == 0 {
		return nil
	}
	d := &delivery{left: len(entries), done: make(chan struct{})}
	byScope := map[audit.Scope][]*ticket{}
	var order []audit.Scope
	for _, e := range entries {
		scope := e.rec.Scope()
		if byScope[scope] == nil {
			order = append(order, scope)
		}
		byScope[scope] = append(byScope[scope], &ticket{entry: e, owner: d})
	}
	used := make([]*lane, 0, len(order))
	for _, scope := range order {
		used = append(used, ls.enqueue(s, scope, byScope[scope]))
	}
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
	}
	for _, l := range used {
		l.takeBack(d)
	}
	return s.interrupted(ctx)
}

func (ls *lanes) enqueue(s *Store, scope audit.Scope, tickets []*ticket) *lane {
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
		l = &lane{s: s, scope: scope, wake: make(chan struct{}, 1)}
		ls.of[scope] = l
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, tickets...)
	if !l.running {
		l.running = true
		s.work.Go(l.run)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return l
}

// forget drops the lanes that have nothing to do.
func (ls *lanes) forget() {
	for scope, l := range ls.of {
		l.mu.Lock()
		if !l.running {
			delete(ls.of, scope)
		}
		l.mu.Unlock()
	}
}

// takeBack removes what a caller who has given up still has in the queue.
func (l *lane) takeBack(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = slices.DeleteFunc(l.queue, func(t *ticket) bool { return t.owner == d })
}

// run writes until nothing waits.
func (l *lane) run() {
	for {
		some := l.take()
		if len(some) == 0 {
			if l.waits() {
				continue
			}
			// With nothing to do, the last batch leaves the head.
			l.tidy()
			if l.rest() {
				return
			}
			continue
		}
		entries := make([]*entry, len(some))
		for i, t := range some {
			entries[i] = t.entry
		}
		l.commit(entries)
		l.refuse(some)
		owners := map[*delivery]int{}
		for _, t := range some {
			owners[t.owner]++
		}
		for d, n := range owners {
			d.finish(n)
		}
	}
}

// idle is how long a lane waits for more before it tidies up.
const idle = 300 * time.Millisecond

// waits reports whether something comes soon.
func (l *lane) waits() bool {
	t := time.NewTimer(idle)
	defer t.Stop()
	select {
	case <-l.wake:
		return true
	case <-t.C:
	case <-l.s.life.Done():
	}
	return false
}

// rest ends the goroutine unless something has come.
func (l *lane) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		return false
	}
	l.running = false
	return true
}

// refuse gives the rest of a call the error of its part before. It is tried again
// as a whole; if the rest were stored now, the chain would have it before the part
// that failed, and the records of one sender out of their order.
func (l *lane) refuse(some []*ticket) {
	failed := map[*delivery]error{}
	for _, t := range some {
		if err := t.result.Err; err != nil && audit.Retryable(err) {
			failed[t.owner] = err
		}
	}
	if len(failed) == 0 {
		return
	}
	refused := map[*delivery]int{}
	l.mu.Lock()
	l.queue = slices.DeleteFunc(l.queue, func(t *ticket) bool {
		err := failed[t.owner]
		if err != nil {
			t.result.Err = err
			refused[t.owner]++
		}
		return err != nil
	})
	l.mu.Unlock()
	for d, n := range refused {
		d.finish(n)
	}
}

// take takes from the queue what fits into one batch.
func (l *lane) take() []*ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := fitting(len(l.queue), func(i int) *audit.Record { return l.queue[i].rec })
	some := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return some
}

// fitting is how many of n records one batch takes: no id twice, as several callers
// may deliver the same record.
func fitting(n int, rec func(i int) *audit.Record) int {
	size := 0
	ids := map[audit.ID]bool{}
	for i := range n {
		r := rec(i)
		size += sizeOf(r)
		if i > 0 && (i >= maxBatch || size > maxBatchBytes || ids[r.ID]) {
			return i
		}
		ids[r.ID] = true
	}
	return n
}

// sizeOf is about the size of a record.
func sizeOf(r *audit.Record) (n int) {
	n = 512
	for i := range columns {
		if columns[i].Kind == audit.Document {
			n += len(columns[i].Bytes(r))
		}
	}
	return n + len(r.Error)
}
