package recorder

import (
	"time"

	"github.com/annals-dev/annals/policy"
)

// Account is the exact balance of a recorder: every event that was handed in is
// in exactly one of the other numbers. Gap records are not events and not in it.
type Account struct {
	Offered    int64 // events handed in
	Filtered   int64 // not recorded by policy
	Rejected   int64 // refused with an error at the door: invalid, backlog, closed
	Dropped    int64 // left out under OnFull drop; each is counted in a gap record where Chained
	Stored     int64 // the store has them
	Duplicates int64 // the store had them before
	// Failed were refused by the store for good (conflict, invalid), or given up
	// after ten attempts while it took others. The store may have one that was
	// given up, where an attempt on it ended without an answer.
	Failed int64
	// Unwritten were still waiting when Close's context ended. The store may
	// have those whose write was under way then.
	Unwritten int64
}

// Stats is a snapshot for metrics. While the recorder runs, Offered also covers
// the events that are Queued.
type Stats struct {
	Account
	Queued         int64 // waiting now, the batch under way included
	QueuedBytes    int64
	OldestQueued   time.Duration // age of the oldest of them
	FilteredBy     [policy.NumReasons]int64
	Gaps           int64 // gap records the store took
	Batches        int64 // batches the store took
	FailedAttempts int64 // attempts the store did not take
	LastError      string
	LastErrorAt    time.Time
	LastSuccessAt  time.Time
}

// ledger is the part of the balance that is kept under the queue's lock.
type ledger struct {
	rejected, dropped, stored, duplicates, failed, gaps int64
}

func (l *ledger) add(o ledger) {
	l.rejected += o.rejected
	l.dropped += o.dropped
	l.stored += o.stored
	l.duplicates += o.duplicates
	l.failed += o.failed
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
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{
		Account: q.account(f.total), FilteredBy: f.by,
		Queued: int64(q.used), QueuedBytes: q.usedBytes, Gaps: q.ledger.gaps,
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
	select {
	case <-r.frozen:
		s.Account, s.Queued, s.QueuedBytes, s.OldestQueued = r.final, 0, 0, 0
	default:
	}
	return s
}

// account makes the balance of a recorder that runs; what is queued is in
// Offered alone.
func (q *queue) account(filtered int64) Account {
	l := &q.ledger
	a := Account{
		Filtered: filtered, Rejected: l.rejected, Dropped: l.dropped,
		Stored: l.stored, Duplicates: l.duplicates, Failed: l.failed,
	}
	a.Offered = a.Filtered + a.Rejected + a.Dropped + a.Stored + a.Duplicates + a.Failed + int64(q.used)
	return a
}
