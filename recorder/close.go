package recorder

import (
	"context"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// closeGrace is how long Close waits, after its context has ended, for the
// answer to the write that it has just called off.
const closeGrace = 250 * time.Millisecond

// flush is a caller that waits until everything up to a place in the queue is settled.
type flush struct {
	upTo uint64
	gaps bool // the gap counts of its time are on their way
	done chan struct{}
}

// Flush writes what is waiting, in the spool too and gap counts included, and
// returns when all of it has met its fate: the store has it, or has refused it
// for good. It returns ctx's error when that ends first, and audit.ErrClosed on
// a closed recorder.
func (r *Recorder) Flush(ctx context.Context) error {
	if r.spooler != nil {
		if err := r.spooler.flush(ctx); err != nil {
			return err
		}
	}
	q := &r.queue
	f := &flush{done: make(chan struct{})}
	q.mu.Lock()
	select {
	case <-r.frozen:
		q.mu.Unlock()
		return audit.ErrClosed
	default:
	}
	q.seq++
	f.upTo, q.urgent, q.hurry = q.seq, q.seq, true
	q.flushes = append(q.flushes, f)
	q.mu.Unlock()
	q.signal()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		for i := range q.flushes {
			if q.flushes[i] == f {
				q.flushes = append(q.flushes[:i], q.flushes[i+1:]...)
				break
			}
		}
		return ctx.Err()
	case <-r.drained:
		// Close's last round may have written everything just before.
		select {
		case <-f.done:
			return nil
		default:
			return audit.ErrClosed
		}
	}
}

// Close refuses new events, writes what is waiting, in the spool too, and
// returns the balance (see [Account]). Events that are refused because Close
// has begun are in Rejected until Close returns, and nowhere afterwards. The
// error is ctx's when it ended before everything was written; Close then calls
// the write under way off and waits at most a quarter of a second more for its
// answer. What is left in the spool stays there for the next recorder; only
// Unwritten is lost. A second Close returns the same.
func (r *Recorder) Close(ctx context.Context) (Account, error) {
	r.closing.Do(func() {
		r.filtered.seal()
		r.queue.close()
		close(r.shut)
		if r.spooler != nil {
			r.spooler.wake()
		}
	})
	select {
	case <-r.drained:
	case <-ctx.Done():
		r.abort(ctx.Err())
		grace := time.NewTimer(closeGrace)
		defer grace.Stop()
		for _, ended := range r.endings() {
			select {
			case <-ended:
			case <-grace.C:
				grace.Reset(0)
			}
		}
	}
	r.freezing.Do(r.freeze)
	return r.final, r.finalErr
}

// endings are closed when everything that works in the background has ended.
func (r *Recorder) endings() []chan struct{} {
	if r.spooler == nil {
		return []chan struct{}{r.drained}
	}
	return []chan struct{}{r.drained, r.spooler.ended}
}

// freeze makes the balance final. What a store answers after this is not in it;
// the spool still hears of it, while it is open.
func (r *Recorder) freeze() {
	q := &r.queue
	var disk spool.Stats
	var spooled int64
	if r.spooler != nil {
		disk = r.spooler.disk.Stats()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.spooler != nil {
		q.reconcileLocked(&disk)
		spooled = min(q.spooled.held.Load(), max(0, q.spooled.durable(&disk)))
	}
	r.final = q.account(r.filtered.load().total)
	r.final.Spooled, r.final.Unwritten = spooled, q.queued()-spooled
	complete := false
	select {
	case <-r.drained:
		complete = r.batcher.complete
	default:
	}
	if !complete {
		r.finalErr = context.Cause(r.ctx)
	}
	close(r.frozen)
	r.abort(audit.ErrClosed)
}
