package recorder

import (
	"context"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// item is one record on its way, with what the batcher must know of it.
type item struct {
	rec  *audit.Record
	call *call  // who waits for the result; nil where nobody does
	seq  uint64 // place in the queue, from 1

	size     int32  // bytes in memory, roughly
	index    int32  // place in the call
	attempts uint8  // that count against the record itself
	took     uint32 // writer.took at its last attempt; 0 before the first
	own      bool   // the id is of our making, so nobody else can have stored it
	tried    bool   // it was handed to the store before
	open     bool   // a write of it ended without an answer
	gap      bool   // a gap record: not an event, in no balance
}

// queue is the bounded way from the door to the batcher, first in, first out.
// What was taken counts against the bounds until it is settled. Everything that
// the balance is made of changes under its lock, so the balance always adds up.
type queue struct {
	opt  *Options
	gaps *gapCounts
	wake chan struct{} // tells the batcher to look again; one token is enough

	mu      sync.Mutex
	waiting fifo
	room    []*roomWaiter // callers waiting for room, in order
	closed  bool

	used      int   // events that are not settled
	usedBytes int64 // their size
	seq       uint64
	urgent    uint64    // everything up to here is to be written now
	firstAt   time.Time // when the first of waiting came; unset where nothing depends on it
	lossyAt   time.Time // when the first event since the last sweep of gaps was dropped
	flushes   []*flush
	hurry     bool // somebody asks for the store: do not sit out a long pause

	capacityBytes int64 // the bound of usedBytes

	spooled spooledCounts
	hungry  chan struct{} // tells the pump that events out of the spool were settled

	ledger  ledger
	oldest  time.Time // RecordedAt of the oldest record that was taken and is not settled
	failing failing
}

// roomWaiter is a call that waits for room.
type roomWaiter struct {
	items []item        // not yet in the queue
	ready chan struct{} // closed when items is empty, or the queue is closed
	shut  bool          // the queue was closed meanwhile, and has counted the items as rejected
	load  bool          // out of the spool: it waits as long as it takes
}

func (q *queue) init(opt *Options, gaps *gapCounts) {
	q.capacityBytes = opt.CapacityBytes
	q.opt, q.gaps, q.wake, q.hungry = opt, gaps, make(chan struct{}, 1), make(chan struct{}, 1)
}

// offer puts items at the end. The first n of them are in the queue and will
// be settled; err says why the rest is not, and they are in the balance. p is
// asked to wait only where there is no room.
func (q *queue) offer(ctx context.Context, items []item, p *patience) (n int, err error) {
	q.mu.Lock()
	if q.closed {
		q.ledger.rejected += int64(len(items))
		q.mu.Unlock()
		return 0, audit.ErrClosed
	}
	before := q.urgent
	had := q.waiting.len()
	if len(q.room) == 0 && !q.spills(items) {
		n = q.admit(items)
	}
	now := q.waiting.len()
	wake := q.urgent != before || had == 0 || had < q.opt.FlushSize && now >= q.opt.FlushSize
	if n == len(items) {
		q.mu.Unlock()
		if wake {
			q.signal()
		}
		return n, nil
	}
	// Full: whatever waits for its interval or for company waits no longer.
	q.urgent = q.seq
	rest := items[n:]
	if q.opt.OnFull != Block {
		err = q.turnAway(rest)
		q.mu.Unlock()
		q.signal()
		return n, err
	}
	w := &roomWaiter{items: append([]item(nil), rest...), ready: make(chan struct{})}
	q.room = append(q.room, w)
	q.mu.Unlock()
	q.signal()
	refused, err := q.await(ctx, w, p)
	return len(items) - refused, err
}

// spills reports whether events must go to the spool though there is room:
// others went there before them, and nobody may overtake them. The lock is held.
func (q *queue) spills(items []item) bool {
	return q.spooled.held.Load() > int64(q.spooled.lent) && q.opt.OnFull == Spill && items[0].call == nil
}

// turnAway answers for the events that find no room, without waiting.
func (q *queue) turnAway(rest []item) error {
	if q.opt.OnFull == Spill && rest[0].call == nil {
		return errSpill
	}
	if q.opt.OnFull != Drop || rest[0].call != nil {
		q.ledger.rejected += int64(len(rest))
		return audit.ErrBacklog
	}
	for i := range rest {
		q.drop(&rest[i])
	}
	return errDropped
}

// drop leaves one event out and counts it. The lock is held.
func (q *queue) drop(it *item) {
	q.ledger.dropped++
	if q.gaps != nil {
		q.gaps.add(it.rec.Namespace, it.rec.Tenant, gapDropped)
		q.noteLoss()
	}
}

// errDropped and errSpill never reach a caller.
var (
	errDropped error = &audit.Error{Code: audit.CodeBacklog, Message: "dropped"}
	errSpill   error = &audit.Error{Code: audit.CodeBacklog, Message: "to the spool"}
)

// noteLoss sees to it that lost events are accounted for in time.
func (q *queue) noteLoss() {
	if q.lossyAt.IsZero() {
		q.lossyAt = time.Now()
	}
}

// await waits until the queue has taken the waiter's items, and says how many
// it did not take, and why.
func (q *queue) await(ctx context.Context, w *roomWaiter, p *patience) (refused int, err error) {
	select {
	case <-w.ready:
	case <-ctx.Done():
		err = &audit.Error{Code: audit.CodeBacklog, Message: "the queue is full and the caller stopped waiting; nothing was accepted", Cause: ctx.Err()}
	case <-p.end():
		err = audit.ErrBacklog
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(w.items) == 0 {
		return 0, nil
	}
	if w.shut {
		return len(w.items), audit.ErrClosed
	}
	for i := range q.room {
		if q.room[i] == w {
			q.room = append(q.room[:i], q.room[i+1:]...)
			break
		}
	}
	q.ledger.rejected += int64(len(w.items))
	// The one behind may be smaller and fit.
	q.letIn()
	q.signal()
	return len(w.items), err
}

// admit puts as many of the items at the end as fit.
func (q *queue) admit(items []item) int {
	n := 0
	for n < len(items) {
		it := &items[n]
		if q.used >= q.opt.Capacity || q.usedBytes+int64(it.size) > q.capacityBytes && q.used > 0 {
			break
		}
		q.seq++
		it.seq = q.seq
		if it.call != nil {
			q.urgent = q.seq
		}
		if q.waiting.len() == 0 && it.call == nil && !q.opt.Unbuffered {
			q.firstAt = time.Now()
		}
		if it.call.spooled() {
			q.spooled.lent++
			q.spooled.lentBytes += int64(it.size)
		}
		q.waiting.push(it)
		q.used++
		q.usedBytes += int64(it.size)
		n++
	}
	return n
}

// letIn gives room that has become free to those who wait for it, in order.
func (q *queue) letIn() {
	for len(q.room) > 0 {
		w := q.room[0]
		w.items = w.items[q.admit(w.items):]
		if len(w.items) > 0 {
			break
		}
		close(w.ready)
		q.room[0] = nil
		q.room = q.room[1:]
	}
	if len(q.room) > 0 {
		q.urgent = q.seq
	}
}

// take appends up to limit waiting items to dst, and at most maxBatchBytes of
// them. A limit of one is stretched over the items of one call, which are one batch.
func (q *queue) take(dst []item, limit int) []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	var bytes int64
	for n := 0; q.waiting.len() > 0; n++ {
		it := q.waiting.front()
		if n > 0 && bytes+int64(it.size) > maxBatchBytes {
			break
		}
		if n >= limit {
			last := &dst[len(dst)-1]
			if limit != 1 || !it.call.waits() || it.call != last.call {
				break
			}
		}
		bytes += int64(it.size)
		dst = append(dst, *it)
		q.waiting.pop()
	}
	return dst
}

// settle takes items that have met their fate out of the bounds and into the
// balance. It must be told of each event once.
func (q *queue) settle(t *tally) {
	q.mu.Lock()
	q.used -= t.events
	q.usedBytes -= t.bytes
	q.spooled.settle(t.lent, t.lentBytes)
	q.ledger.add(t.ledger)
	if (t.failed > 0 || t.dropped > 0) && q.gaps != nil {
		q.noteLoss()
	}
	q.letIn()
	q.mu.Unlock()
	if t.lent > 0 {
		select {
		case q.hungry <- struct{}{}:
		default:
		}
	}
}

// close refuses new events and sends those away who wait for room.
func (q *queue) close() {
	q.mu.Lock()
	q.closed, q.hurry = true, true
	q.spooled.shut.Store(true)
	var loads []*roomWaiter
	for _, w := range q.room {
		if w.load {
			loads = append(loads, w)
			continue
		}
		q.ledger.rejected += int64(len(w.items))
		w.shut = true
		close(w.ready)
	}
	q.room = loads
	q.letIn()
	q.mu.Unlock()
	q.signal()
}

// reject counts an event that never came as far as the queue.
func (q *queue) reject() {
	q.mu.Lock()
	q.ledger.rejected++
	q.mu.Unlock()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
