package dynamodb

import (
	"context"
	"slices"
	"sync"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// A lane writes one chain for this process. Records that arrive while a
// transaction is under way wait for the next one, which takes all that fit: so
// the writers of one process never race with one another, and the more there are
// the fuller the transactions. Processes race by the conditions of their
// transactions.
type lane struct {
	s     *Store
	part  string
	scope audit.Scope

	mu      sync.Mutex
	queue   []*ticket
	running bool

	// Of the goroutine that runs the lane.
	head  chain.Head
	known bool // whether head is what was stored last, as far as we know
	pace  pace
}

// ticket is an entry that waits in a lane.
type ticket struct {
	*entry
	size  int
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

// lanes are the lanes of a store by partition.
type lanes struct {
	mu sync.Mutex
	of map[string]*lane
}

// maxIdleLanes is how many lanes are remembered, each with the head of its chain.
const maxIdleLanes = 4096

// deliver hands the entries to their lanes and waits until each has its result.
// When ctx ends first, what no transaction has taken yet is taken back.
func (ls *lanes) deliver(ctx context.Context, s *Store, entries []*entry) error {
	d := &delivery{left: len(entries), done: make(chan struct{})}
	byPart := map[string][]*ticket{}
	var order []string
	for _, e := range entries {
		part := partition(e.rec.Scope())
		if byPart[part] == nil {
			order = append(order, part)
		}
		byPart[part] = append(byPart[part], &ticket{entry: e, size: bytesOf(e.rec) + overhead, owner: d})
	}
	used := make([]*lane, 0, len(order))
	for _, part := range order {
		used = append(used, ls.enqueue(s, part, byPart[part]))
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

func (ls *lanes) enqueue(s *Store, part string, tickets []*ticket) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.of[part]
	if l == nil {
		if ls.of == nil {
			ls.of = map[string]*lane{}
		}
		if len(ls.of) >= maxIdleLanes {
			ls.forget()
		}
		l = &lane{s: s, part: part, scope: tickets[0].rec.Scope()}
		ls.of[part] = l
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, tickets...)
	if !l.running {
		l.running = true
		s.work.Go(l.run)
	}
	return l
}

// forget drops the lanes that have nothing to do.
func (ls *lanes) forget() {
	for part, l := range ls.of {
		l.mu.Lock()
		if !l.running {
			delete(ls.of, part)
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
			return
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

// take takes from the queue what fits into one transaction: its actions, its
// size, and no id twice, as several callers may deliver the same record.
func (l *lane) take() []*ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := newRoom()
	n := 0
	for n < len(l.queue) && room.takes(l.queue[n].rec, l.queue[n].size) {
		n++
	}
	if n == 0 {
		l.running = false
		return nil
	}
	some := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return some
}

// room is what is left of a transaction.
type room struct {
	records, actions, size int
	ids                    map[audit.ID]bool
}

// newRoom is that of a transaction with a head.
func newRoom() *room { return &room{actions: 1, size: fenceRoom, ids: map[audit.ID]bool{}} }

// takes reports whether a record of that size fits in, and adds it; the first one
// always does.
func (m *room) takes(r *audit.Record, size int) bool {
	m.actions += actionsOf(r)
	m.size += size + fenceRoom
	if m.records > 0 && (m.actions > maxActions || m.size > maxTransaction || m.ids[r.ID]) {
		return false
	}
	m.ids[r.ID] = true
	m.records++
	return true
}
