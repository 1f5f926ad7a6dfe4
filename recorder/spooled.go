package recorder

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// spooledCounts are what the queue knows of the events that go through the
// spool, under its lock. All are zero without one.
type spooledCounts struct {
	base    spool.Stats // of the spool, when the recorder began
	feeding bool        // the pump may still bring some

	// These change without the lock where an event goes the usual way.
	held    atomic.Int64 // events that were given to it, or found there, and have met no fate
	appends atomic.Int64 // calls that are giving it events
	shut    atomic.Bool  // the queue is closed

	lent      int   // of queue.used: those that came out of it
	lentBytes int64 // their size
	settled   int64 // those that came out of it and have met their fate

	failed  int64 // the most that the spool has said of refused events, and
	lost    int64 // of damaged ones
	left    int64 // events whose callers had no answer in time
	refused int64 // events that its disk refused, and whose callers know
	late    int64 // of left: those that its disk refused then
	damaged int64 // events that it found damaged
}

func (s *spooledCounts) settle(events int, bytes int64) {
	s.lent -= events
	s.lentBytes -= bytes
	s.held.Add(-int64(events))
	s.settled += int64(events)
}

// durable counts the events that are on the disk and have met no fate.
func (s *spooledCounts) durable(st *spool.Stats) int64 {
	return s.base.Depth + st.Appended - s.base.Appended - s.settled - s.damaged
}

// reconcile books what the spool found out by itself: that its disk refused
// events whose callers had gone, and that others were damaged. It reports
// whether the disk still owes an answer to callers who have gone. st may be
// nil, where there is no spool.
func (q *queue) reconcile(st *spool.Stats) (owing bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.reconcileLocked(st)
}

// reconcileLocked is reconcile where the lock is held.
func (q *queue) reconcileLocked(st *spool.Stats) (owing bool) {
	if st == nil {
		return false
	}
	s := &q.spooled
	// Another goroutine may have seen later figures.
	s.failed, s.lost = max(s.failed, st.Failed-s.base.Failed), max(s.lost, st.Lost-s.base.Lost)
	// An answer that its caller has not booked yet is taken for a late one, and
	// set right with the next look.
	late := min(s.left, max(0, s.failed-s.refused))
	q.ledger.rejected += late - s.late
	s.held.Add(s.late - late)
	s.late = late
	q.ledger.failed += s.lost - s.damaged
	q.ledger.damaged += s.lost - s.damaged
	s.held.Add(s.damaged - s.lost)
	s.damaged = s.lost
	return s.held.Load() > s.durable(st) && s.left > s.late
}

// enter notes that n events are about to be given to the spool; false means
// that the recorder is closed, and that they are in the balance.
func (q *queue) enter(n int) bool {
	s := &q.spooled
	s.appends.Add(1) // before the look at shut: whoever shuts it looks the other way round
	if s.shut.Load() {
		q.mu.Lock()
		q.ledger.rejected += int64(n)
		q.mu.Unlock()
		s.appends.Add(-1)
		return false
	}
	s.held.Add(int64(n))
	return true
}

// leave books the answers to the items that were given to the spool. last
// means that nothing more comes into it.
func (q *queue) leave(items []item, errs []error) (last bool) {
	s := &q.spooled
	for _, err := range errs {
		if err != nil {
			q.bookAnswers(items, errs)
			break
		}
	}
	return s.appends.Add(-1) == 0 && s.shut.Load()
}

func (q *queue) bookAnswers(items []item, errs []error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.spooled
	for i, err := range errs {
		switch {
		case err == nil:
			continue
		case err == errOpen:
			s.left++
			continue
		case err == errDropped:
			q.drop(&items[i])
		case audit.CodeOf(err) == audit.CodeUnavailable && !errors.Is(err, audit.ErrClosed):
			s.refused++
			q.ledger.rejected++
		default:
			q.ledger.rejected++
		}
		s.held.Add(-1)
	}
}

// appendsOver reports whether nothing more comes into the spool.
func (q *queue) appendsOver() bool {
	return q.spooled.shut.Load() && q.spooled.appends.Load() == 0
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// buried books an entry of the spool that was no record.
func (q *queue) buried(f loss) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spooled.held.Add(-1)
	q.spooled.settled++
	f.add(&q.ledger)
}

// fed notes that nothing more comes out of the spool.
func (q *queue) fed() {
	q.mu.Lock()
	q.spooled.feeding = false
	q.mu.Unlock()
	q.signal()
}

// offerLoad puts a load at the end of the queue and waits for room as long as
// it takes, whatever OnFull says, and also on a closed recorder. false means
// that ctx ended before.
func (q *queue) offerLoad(ctx context.Context, items []item) bool {
	if len(items) == 0 {
		return true
	}
	q.mu.Lock()
	n := 0
	if len(q.room) == 0 {
		n = q.admit(items)
	}
	var w *roomWaiter
	if n < len(items) {
		w = &roomWaiter{items: items[n:], ready: make(chan struct{}), load: true}
		q.room = append(q.room, w)
		q.urgent = q.seq
	}
	q.mu.Unlock()
	q.signal()
	if w == nil {
		return true
	}
	select {
	case <-w.ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// awaitAppetite waits until the queue can do with another load: with two of
// them the batcher always finds one ready while the next is being read, and
// more would only take memory. false means that ctx ended before.
func (q *queue) awaitAppetite(ctx context.Context, events int, bytes int64) bool {
	for {
		q.mu.Lock()
		hungry := q.spooled.lent <= events && q.spooled.lentBytes <= bytes
		q.mu.Unlock()
		if hungry {
			return true
		}
		select {
		case <-q.hungry:
		case <-ctx.Done():
			return false
		}
	}
}
