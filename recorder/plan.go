package recorder

import (
	"math"
	"time"
)

// plan says what there is to do now, or else when to look again.
type plan struct {
	stop   bool
	retry  bool // records left undone are due
	fresh  bool // waiting events are due
	losses bool // lost events are to be accounted for
	other  bool // a flush or the end needs a round, events or not
	aside  bool // dead letters were written, or are to be
	at     time.Time
}

// look decides what is due.
func (b *batcher) look(now time.Time) (p plan) {
	q := b.q
	q.mu.Lock()
	defer q.mu.Unlock()
	idle := q.waiting.len() == 0 && len(b.undone) == 0 && b.aside.empty()
	if b.r.ctx.Err() != nil {
		b.complete = idle && !q.spooled.feeding && (b.sweeper == nil || !b.sweeper.any())
		p.stop = true
		return p
	}
	if q.hurry {
		q.hurry, b.failures = false, 0
		b.retryAt = earliest(b.retryAt, b.lastTry.Add(backoffBase))
	}
	p.aside, p.at = b.aside.due(now)
	p.retry = len(b.undone) > 0 && !now.Before(b.retryAt)
	if len(b.undone) > 0 {
		p.at = earliest(p.at, b.retryAt)
	}
	if b.down && !p.retry {
		return p
	}
	if q.waiting.len() > 0 {
		due := q.firstAt.Add(q.opt.FlushInterval)
		p.fresh = b.limit == 1 || q.closed || q.waiting.len() >= q.opt.FlushSize ||
			q.waiting.front().seq <= q.urgent || !now.Before(due)
		p.at = earliest(p.at, due)
	}
	if !q.lossyAt.IsZero() && !b.gapsOut {
		due := q.lossyAt.Add(q.opt.FlushInterval)
		p.losses = !now.Before(due)
		p.at = earliest(p.at, due)
	}
	p.other = q.closed && !q.spooled.feeding && idle || !b.gapsOut && b.flushDue(false) > 0
	return p
}

// flushDue gives the highest place up to which somebody flushes, of those whose
// events have all left the queue and whose gaps are not on their way; 0 is
// none. The lock is held.
func (b *batcher) flushDue(mark bool) (upTo uint64) {
	next := b.q.next()
	for _, f := range b.q.flushes {
		if !f.gaps && f.upTo < next {
			f.gaps = f.gaps || mark
			upTo = max(upTo, f.upTo)
		}
	}
	return upTo
}

// next is the place of the first event that waits; beyond every place that was
// given where none does. The lock is held.
func (q *queue) next() uint64 {
	if q.waiting.len() == 0 {
		return math.MaxUint64
	}
	return q.waiting.front().seq
}

// earliest gives the earlier of two times, of which either may be unset.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
