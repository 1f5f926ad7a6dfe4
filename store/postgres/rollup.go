package postgres

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// rollupHours is how many hours the routine makes sums of in one transaction.
const rollupHours = 24

// rollupSettle is how long an hour must have been left alone before the routine
// makes its sums.
const rollupSettle = 5 * time.Second

// rollups tells how the routine that makes sums fares.
type rollups struct {
	mu      sync.Mutex
	stopped string // why it does not run; empty while it does
	hours   int64  // whose sums were made by this process
	errors  int64
	last    string    // the last error, until a run succeeds
	ran     time.Time // when a run last came to its end, here or in another process

	hashBytes, exactCalls int64 // maxHashBytes and alwaysExact, less in tests
}

// Rollup makes all sums that are not up to date, unless another process is at
// it. The routine does so by itself, see [Options.RollupInterval]; this is for
// the time after an import, and where the routine is switched off.
func (s *Store) Rollup(ctx context.Context) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	ctx, stop := s.untilClosed(ctx)
	defer stop()
	return s.fail(ctx, s.rollupAll(ctx, 0))
}

// rollupAll makes the sums of all hours that are due.
func (s *Store) rollupAll(ctx context.Context, settle time.Duration) error {
	for {
		r, err := s.rollup(ctx, rollupHours, settle)
		s.rollups.note(r, translate(ctx, err))
		if err != nil || r.busy || r.due == 0 || r.hours == 0 {
			return err
		}
	}
}

func (r *rollups) note(done rolled, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errors++
		r.last = err.Error()
		return
	}
	r.hours += int64(done.hours)
	r.last, r.ran = "", time.Now()
}

// startRollup starts the routine, which does too what must follow closely behind
// the writers.
func (s *Store) startRollup() {
	if s.opt.RollupInterval < 0 {
		s.rollups.stopped = "switched off"
		return
	}
	units := s.blockUnits
	s.routines.Go(func() {
		next := time.NewTimer(0)
		defer next.Stop()
		for {
			select {
			case <-s.closing.Done():
				return
			case <-next.C:
			}
			s.tend(s.closing, units)
			err := s.rollupAll(s.closing, rollupSettle)
			if state(err) == stateNoPrivilege {
				// Somebody else has to: questions are answered from the records meanwhile.
				s.rollups.stop("the database user may not: give maintenance_url one that may")
				return
			}
			next.Reset(s.opt.RollupInterval)
		}
	})
}

func (r *rollups) stop(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped, r.last = why, ""
}

// state is what Stater tells of it.
func (r *rollups) state() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{
		"sums_routine":    cmp.Or(r.stopped, "runs"),
		"sums_hours_made": strconv.FormatInt(r.hours, 10),
		"sums_errors":     strconv.FormatInt(r.errors, 10),
	}
	if r.last != "" {
		out["sums_last_error"] = r.last
	}
	if !r.ran.IsZero() {
		out["sums_ran_at"] = r.ran.UTC().Format(time.RFC3339)
	}
	return out
}
