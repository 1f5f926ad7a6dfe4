package recorder

import (
	"time"

	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/spool"
)

// Account is the exact balance of a recorder: every event that was handed in or
// found in the spool is in exactly one of the other numbers,
//
//	Offered + Recovered = Filtered + Rejected + Dropped + Stored + Duplicates + Failed + Unwritten + Spooled
//
// Gap records are not events and not in it.
type Account struct {
	Offered   int64 // events handed in
	Recovered int64 // events found in the spool at the beginning
	Filtered  int64 // not recorded by policy
	Rejected  int64 // refused with an error at the door: invalid, backlog, closed
	// Dropped were left out under OnFull drop, or found no room among the dead
	// letters. Each is counted as dropped in a gap record where Chained.
	Dropped    int64
	Stored     int64 // the store has them
	Duplicates int64 // the store had them before
	// Failed were refused by the store for good (conflict, invalid), or given up
	// after ten attempts while it took others, or could not be read in the
	// spool any more. The store may have one that was given up, where an
	// attempt on it ended without an answer.
	Failed int64
	// Lost counts those of Dropped that were acknowledged before: the store
	// refused them for good, and the dead letters were full. The log names them.
	Lost int64
	// SetAside counts those of Failed that are among the dead letters.
	SetAside int64
	// Damaged counts those of Failed that the spool found damaged on its disk.
	Damaged int64
	// Unwritten were still waiting in memory when Close's context ended, or for
	// the spool's disk. The store may have those whose write was under way then.
	Unwritten int64
	// Spooled were left in the spool when Close's context ended, and are
	// delivered by the next recorder: nothing of them is lost. It may find more
	// than these, as the spool gives away what was stored in batches only; what
	// comes again is a duplicate then.
	Spooled int64
}

// Stats is a snapshot for metrics. While the recorder runs, the balance holds
// with Queued in the place of Unwritten and Spooled.
type Stats struct {
	Account
	Queued         int64         // waiting now, in memory or in the spool, the batch under way included
	QueuedBytes    int64         // of those in memory
	OldestQueued   time.Duration // age of the oldest of them
	FilteredBy     [policy.NumReasons]int64
	Gaps           int64 // gap records the store took
	Batches        int64 // batches the store took
	FailedAttempts int64 // attempts the store did not take
	LastError      string
	LastErrorAt    time.Time
	LastSuccessAt  time.Time
	Spool          *spool.Stats // nil without a spool
}

// ledger is the part of the balance that is kept under the queue's lock.
type ledger struct {
	rejected, dropped, lost, stored, duplicates, failed, setAside, damaged, gaps int64
}

func (l *ledger) add(o ledger) {
	l.rejected += o.rejected
	l.dropped += o.dropped
	l.lost += o.lost
	l.stored += o.stored
	l.duplicates += o.duplicates
	l.failed += o.failed
	l.setAside += o.setAside
	l.damaged += o.damaged
	l.gaps += o.gaps
}

// failing is what metrics tell of the store.
type failing struct {
	batches, attempts      int64
	last                   string
	errorAt, lastSuccessAt time.Time
}

// Stats gives a snapshot.
func (r *Recorder) Stats() Stats {
	f := r.filtered.load()
	now := r.now()
	q := &r.queue
	var disk *spool.Stats
	if r.spooler != nil {
		st := r.spooler.disk.Stats()
		disk = &st
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reconcileLocked(disk)
	s := Stats{
		Account: q.account(f.total), FilteredBy: f.by, Spool: disk,
		Queued: q.queued(), QueuedBytes: q.usedBytes, Gaps: q.ledger.gaps,
		Batches: q.failing.batches, FailedAttempts: q.failing.attempts,
		LastError: q.failing.last, LastErrorAt: q.failing.errorAt, LastSuccessAt: q.failing.lastSuccessAt,
	}
	oldest := q.oldest
	if oldest.IsZero() && q.waiting.len() > 0 {
		oldest = q.waiting.front().rec.RecordedAt
	}
	if !oldest.IsZero() {
		s.OldestQueued = max(0, now.Sub(oldest))
	}
	if disk != nil {
		s.QueuedBytes += r.spooler.recent.size()
		s.OldestQueued = max(s.OldestQueued, disk.OldestAge)
	}
	select {
	case <-r.frozen:
		s.Account, s.Queued, s.QueuedBytes, s.OldestQueued = r.final, 0, 0, 0
	default:
	}
	return s
}

// queued counts the events that have met no fate. The lock is held.
func (q *queue) queued() int64 { return int64(q.used-q.spooled.lent) + q.spooled.held.Load() }

// account makes the balance of a recorder that runs; what is queued is in
// Offered and Recovered alone.
func (q *queue) account(filtered int64) Account {
	l := &q.ledger
	a := Account{
		Filtered: filtered, Rejected: l.rejected, Dropped: l.dropped, Lost: l.lost,
		Stored: l.stored, Duplicates: l.duplicates, Failed: l.failed, SetAside: l.setAside, Damaged: l.damaged,
		Recovered: q.spooled.base.Depth,
	}
	a.Offered = a.Filtered + a.Rejected + a.Dropped + a.Stored + a.Duplicates + a.Failed + q.queued() - a.Recovered
	return a
}
