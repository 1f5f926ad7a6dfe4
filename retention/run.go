package retention

import (
	"context"
	"errors"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Run is the account of one run.
type Run struct {
	Started time.Time `json:"started_at" doc:"when it began"`
	Ended   time.Time `json:"ended_at,omitzero" doc:"when it ended; left out while it is under way"`
	Seconds float64   `json:"seconds" doc:"how long it took"`
	Deleted int64     `json:"deleted" doc:"records deleted in all"`
	Expired int64     `json:"expired" doc:"of them, those that had expired"`
	Ceiling int64     `json:"over_ceiling" doc:"of them, those that were older than the ceiling"`
	Batches int       `json:"batches" doc:"transactions that deleted something"`
	Error   string    `json:"error,omitempty" doc:"why it ended early"`
}

// returnTime is how long giving the lease back may take.
const returnTime = 5 * time.Second

// run deletes everything that is due. The caller has the token.
func (l *Loop) run(ctx context.Context, waiting bool) (*Run, error) {
	start := time.Now()
	err := l.lease.take(ctx, waiting)
	var held *heldError
	switch {
	case errors.Is(err, errReturned):
		return nil, nil
	case errors.As(err, &held):
		return nil, err
	}
	r := &Run{Started: l.opt.Now().UTC()}
	if err == nil {
		l.set(func(s *State) { s.Leading = true })
		l.makePartitions(ctx)
		// First, as an AddHold or RemoveHold may have been cut off before it did so.
		if err = l.applyHolds(ctx); err == nil {
			err = l.deleteDue(ctx, r)
		}
		if err == nil {
			l.maintain(ctx)
		}
		l.giveBack(ctx)
	}
	r.Ended, r.Seconds = l.opt.Now().UTC(), time.Since(start).Seconds()
	l.finish(ctx, r, err)
	return r, err
}

// deleteDue deletes what has expired, and then what is above the ceiling: one
// after the other, so that every anchor says which of the two it was. The times
// are those of the beginning, however long it takes.
func (l *Loop) deleteDue(ctx context.Context, r *Run) error {
	now := l.opt.Now()
	count := func(into *int64) func(int) {
		return func(n int) {
			*into += int64(n)
			r.Deleted += int64(n)
			r.Batches++
			l.set(func(s *State) { s.Deleted += int64(n) })
		}
	}
	for _, cut := range l.cuts(now) {
		into := &r.Expired
		if cut.ExpiredAt.IsZero() {
			into = &r.Ceiling
		}
		if err := l.drain(ctx, cut, l.opt.BatchSize, count(into)); err != nil {
			return err
		}
	}
	return nil
}

// cuts are what is due at a time, in the order in which it is deleted.
func (l *Loop) cuts(now time.Time) []audit.Cut {
	cuts := []audit.Cut{{ExpiredAt: now, Reason: reasonExpired}}
	if l.opt.Ceiling > 0 {
		cuts = append(cuts, audit.Cut{RecordedBefore: now.Add(-l.opt.Ceiling), Reason: reasonCeiling(l.opt.Ceiling)})
	}
	return cuts
}

// drain deletes everything that cut selects and no hold protects, a batch at a
// time. Before each batch the lease is renewed and then the holds are read, in
// this order, on which AddHold relies.
func (l *Loop) drain(ctx context.Context, cut audit.Cut, batch int, deleted func(n int)) error {
	own := cut.Holds
	for {
		if err := l.lease.renew(ctx); err != nil {
			return err
		}
		holds, err := l.held(ctx)
		if err != nil {
			return err
		}
		cut.Holds = append(holds, own...)
		start := time.Now()
		n, err := l.store.DeleteExpired(ctx, cut, batch)
		if n > 0 {
			deleted(n)
		}
		if err != nil || n < batch {
			return err
		}
		if err := sleep(ctx, l.pause(time.Since(start))); err != nil {
			return audit.Unavailable("the run was given up", err)
		}
	}
}

// rest is how long writers have the store to themselves after a batch, in times
// that it took. One file has one writer: a batch of 10,000 holds SQLite up for a
// quarter of a second. With a fifth of the time at most, the inserts that meet a
// batch stay far from one in a hundred (see the benchmark in internal/conformance).
const rest = 4

// pause is never so long that the lease runs out.
func (l *Loop) pause(took time.Duration) time.Duration { return min(rest*took, l.opt.LeaseTTL/4) }

// Delete deletes everything that cut selects and no legal hold protects, in
// batches, and says how many it deleted, also when it fails half way. It takes
// its turn with the runs: ErrConflict while one is under way.
func (l *Loop) Delete(ctx context.Context, cut audit.Cut, batch int) (deleted int, err error) {
	ctx, end, err := l.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	if err := l.lease.take(ctx, false); err != nil {
		return 0, err
	}
	defer l.giveBack(ctx)
	err = l.drain(ctx, cut, batch, func(n int) { deleted += n })
	return deleted, err
}

// giveBack gives the lease back, also where the run was given up.
func (l *Loop) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), returnTime)
	defer cancel()
	if err := l.lease.giveBack(ctx); err != nil {
		l.opt.Logger.Warn("retention: the lease could not be given back, and runs out by itself", "error", err)
	}
}

// finish counts a run and tells of it.
func (l *Loop) finish(ctx context.Context, r *Run, err error) {
	failed := err != nil && ctx.Err() == nil // a run that was given up did not fail
	if err != nil {
		r.Error = public(err)
	}
	l.set(func(s *State) {
		s.Leading = false
		s.Runs++
		s.LastRun = r
		switch {
		case failed:
			s.Errors++
		case err != nil:
			s.GivenUp++
		default:
			s.LastSuccess = r.Ended
		}
	})
	attrs := []any{"deleted", r.Deleted, "expired", r.Expired, "over_ceiling", r.Ceiling, "batches", r.Batches, "seconds", r.Seconds}
	switch log := l.opt.Logger; {
	case err != nil && !failed:
		log.Info("retention: a run was given up", attrs...)
	case failed:
		log.Error("retention: a run failed; the next one tries again", append(attrs, "error", err)...)
	case r.Deleted > 0:
		log.Info("retention: records were deleted", attrs...)
	default:
		log.Debug("retention: nothing was due", attrs...)
	}
}

// public gives what others may read of an error: our words, never a driver's.
func public(err error) string {
	var e *audit.Error
	if !errors.As(err, &e) {
		return "an internal error"
	}
	if e.Field != "" {
		return e.Field + ": " + e.Message
	}
	return e.Message
}
