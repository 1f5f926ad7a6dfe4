package recorder

import "time"

const (
	maxBatch      = 5_000    // events, where FlushSize is not more
	maxBatchBytes = 16 << 20 // of the events that are new in a batch
)

// batcher moves what waits in the queue to the sink, in one goroutine. While
// one batch is being written the queue goes on filling, and the next takes
// everything: batches grow with the load.
//
// Records that the store left undone wait in a list of their own, in their
// order, for their next attempt. As long as the store takes other records the
// queue flows past them; when it takes none, everything waits for it.
type batcher struct {
	r       *Recorder
	q       *queue
	w       *writer
	sweeper *gapSweeper // nil: no gap records
	aside   *aside
	limit   int

	batch    []item
	undone   []item
	gapsOut  bool      // a gap record is among undone: no further ones meanwhile, so their number is bounded
	retryAt  time.Time // when undone is tried again
	lastTry  time.Time
	down     bool // the store took nothing
	failures int  // rounds in a row in which the store took nothing
	complete bool // everything was written when the batcher ended
	timer    *time.Timer
}

func newBatcher(r *Recorder, sink Sink) *batcher {
	b := &batcher{r: r, q: &r.queue, w: newWriter(r, sink), aside: newAside(r), limit: max(maxBatch, r.opt.FlushSize)}
	if r.opt.Unbuffered && !r.sync {
		b.limit = 1
	}
	if r.gaps != nil {
		b.sweeper = &gapSweeper{counts: r.gaps, level: r.level, interval: r.opt.FlushInterval, now: r.now, retired: time.Now()}
	}
	return b
}

// run works until the recorder is closed and everything is written, or Close gives up.
func (b *batcher) run() {
	defer close(b.r.drained)
	defer b.w.logRest()
	defer b.aside.trouble.write()
	b.timer = time.NewTimer(time.Hour)
	defer b.timer.Stop()
	for {
		p := b.await()
		if p.stop {
			b.lose(b.aside.last())
			return
		}
		if p.retry || p.fresh || p.losses || p.other {
			if taken := b.fill(p); len(b.batch) > 0 {
				b.round(p, taken)
			}
		}
		b.aside.add(b.w.doomed)
		b.w.doomed = b.w.doomed[:0]
		b.lose(b.aside.collect(time.Now()))
		b.finish()
		if b.complete {
			return
		}
	}
}

func (b *batcher) lose(letters []letter) {
	for i := range letters {
		b.w.lose(&letters[i].item, letters[i].why, letters[i].loss())
	}
}

// await sleeps until there is something to do.
func (b *batcher) await() plan {
	for {
		now := time.Now()
		b.w.tickLogs(now)
		p := b.look(now)
		if p.stop || p.retry || p.fresh || p.losses || p.other || p.aside {
			return p
		}
		for _, due := range [...]time.Time{b.w.trouble.due(), b.w.refused.due(), b.w.lost.due()} {
			p.at = earliest(p.at, due)
		}
		var alarm <-chan time.Time
		if !p.at.IsZero() {
			b.timer.Reset(p.at.Sub(now))
			alarm = b.timer.C
		}
		select {
		case <-b.q.wake:
		case <-alarm:
		case <-b.r.ctx.Done():
		}
	}
}

// fill makes the batch of this round. taken says how many of undone are in it.
func (b *batcher) fill(p plan) (taken int) {
	b.batch = b.batch[:0]
	if p.retry {
		var bytes int64
		for taken < min(len(b.undone), b.limit) && (taken == 0 || bytes <= maxBatchBytes) {
			bytes += int64(b.undone[taken].size)
			taken++
		}
		b.batch = append(b.batch, b.undone[:taken]...)
	}
	old := len(b.batch)
	if p.fresh && old < b.limit {
		b.batch = b.q.take(b.batch, b.limit-old)
	}
	b.addGaps(p, b.batch[old:])
	return taken
}

// addGaps ends the batch with the gap records that are due with these events.
func (b *batcher) addGaps(p plan, events []item) {
	q := b.q
	q.mu.Lock()
	b.setOldest(b.batch)
	if b.gapsOut {
		q.mu.Unlock()
		return
	}
	seq := q.seq
	if q.waiting.len() > 0 {
		seq = q.waiting.front().seq - 1
	}
	ended := q.closed && !q.spooled.feeding && q.waiting.len() == 0 && b.aside.empty()
	all := b.flushDue(true) > 0 || ended
	if all || p.losses {
		q.lossyAt = time.Time{} // what is lost from here on is noted anew
	}
	q.mu.Unlock()
	if b.sweeper != nil {
		if all {
			b.batch = b.sweeper.ofAll(b.batch, seq)
		} else {
			if p.losses {
				b.batch = b.sweeper.ofLosses(b.batch, seq)
			}
			b.batch = b.sweeper.withBatch(b.batch, events, seq)
		}
	}
	b.complete = ended && len(b.batch) == 0 && len(b.undone) == 0
}

// round makes one attempt on the batch and plans the next for what is left.
func (b *batcher) round(p plan, taken int) {
	b.w.round(b.batch)
	left := b.w.left
	now := time.Now()
	b.lastTry = now
	had := len(b.undone) - taken
	if taken > 0 {
		// What was tried is older than the undone that were not, and new events
		// are in the batch only where all undone were.
		b.undone = append(append(make([]item, 0, len(left)+had), left...), b.undone[taken:]...)
	} else {
		b.undone = append(b.undone, left...)
	}
	if b.w.progress {
		b.failures = 0
	} else {
		b.failures++
	}
	b.down = b.w.down
	if len(left) > 0 {
		n := max(1, b.failures)
		for i := range left {
			n = max(n, int(left[i].attempts))
		}
		at := now.Add(backoff(n, b.patience(left)))
		if had == 0 || taken > 0 || b.down {
			b.retryAt = at
		}
		b.retryAt = earliest(b.retryAt, at)
	}
	b.gapsOut = false
	for i := range b.undone {
		b.gapsOut = b.gapsOut || b.undone[i].gap
	}
	clear(b.batch)
	b.w.release()
}

// patience is the longest pause that those who wait for the store put up with.
func (b *batcher) patience(left []item) time.Duration {
	waited := b.r.sync || b.r.spooler.wanted()
	for i := range left {
		waited = waited || left[i].call.waits()
	}
	b.q.mu.Lock()
	defer b.q.mu.Unlock()
	for _, w := range b.q.room {
		waited = waited || !w.load
	}
	if waited || b.q.closed || len(b.q.flushes) > 0 {
		return backoffWaited
	}
	return backoffCap
}

// finish tells those who flush how far the store has come.
func (b *batcher) finish() {
	q := b.q
	q.mu.Lock()
	defer q.mu.Unlock()
	b.setOldest(nil)
	open := q.next()
	for i := range b.undone {
		open = min(open, b.undone[i].seq)
	}
	open = min(open, b.aside.first())
	waiting := q.flushes[:0]
	for _, f := range q.flushes {
		if f.gaps && f.upTo < open {
			close(f.done)
		} else {
			waiting = append(waiting, f)
		}
	}
	clear(q.flushes[len(waiting):])
	q.flushes = waiting
}

// setOldest notes the age of what the queue does not hold any more; the lock is held.
func (b *batcher) setOldest(batch []item) {
	oldest := time.Time{}
	for _, items := range [...][]item{b.undone, batch} {
		for i := range items {
			if !items[i].gap {
				oldest = earliest(oldest, items[i].rec.RecordedAt)
				break
			}
		}
	}
	b.q.oldest = earliest(oldest, b.aside.oldest())
}
