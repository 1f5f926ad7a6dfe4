package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Log records one event: it is normalised and truncated as at every door, at the
// level all, and joins the chain of its namespace and tenant. It is durable when
// Log returns nil, also where it was there already. Nothing is filtered, sampled
// or redacted: that is what annals.Trail is for.
func (s *Store) Log(ctx context.Context, ev *audit.Event) error {
	if ev == nil {
		return audit.Invalid("event", "is missing")
	}
	rec := &audit.Record{Event: *ev, RecordedAt: s.opt.Now(), Level: "all"}
	if err := audit.Normalize(rec, rec.RecordedAt); err != nil {
		return err
	}
	if rec.ID.IsZero() {
		rec.ID = audit.NewID()
	}
	if err := audit.Truncate(rec, 0); err != nil {
		return err
	}
	results, err := s.AppendChained(ctx, []*audit.Record{rec})
	if err != nil {
		return err
	}
	return results[0].Err
}

// Cleanup deletes what has expired and, where Options.RetentionDays is set, what
// was recorded before that many days, in transactions of 10,000 records, and says
// how many it deleted, also when it fails half way. Legal holds are heeded.
func (s *Store) Cleanup(ctx context.Context) (deleted int64, err error) {
	now := s.opt.Now()
	cuts := []audit.Cut{{ExpiredAt: now, Reason: "expired"}}
	if days := s.opt.RetentionDays; days > 0 {
		cuts = append(cuts, s.ceiling(now))
	}
	for _, cut := range cuts {
		for {
			if cut.Holds, err = s.legalHolds(ctx); err != nil {
				return deleted, err
			}
			n, err := s.DeleteExpired(ctx, cut, sweepBatch)
			deleted += int64(n)
			if err != nil {
				return deleted, err
			}
			if n < sweepBatch {
				break
			}
		}
	}
	return deleted, nil
}

// ceiling is what Options.RetentionDays deletes, without the holds.
func (s *Store) ceiling(now time.Time) audit.Cut {
	days := s.opt.RetentionDays
	return audit.Cut{RecordedBefore: now.AddDate(0, 0, -days), Reason: olderThan(days)}
}

// DefaultCleanupInterval is the interval of StartCleanupRoutine where none is given.
const DefaultCleanupInterval = time.Hour

// StartCleanupRoutine begins to maintain the tables by themselves: at once, and
// then every interval (0 is [DefaultCleanupInterval]) until Close, which waits
// for it. Each run makes the partitions of the next months, drops those that
// Options.RetentionDays leaves nothing of, and does what Cleanup and Maintain
// do. A step that fails is logged, and the next run tries again. Of several
// processes one is at work at a time. It is for programs without an
// annals.Trail, whose own loop does the same; starting it again changes nothing.
func (s *Store) StartCleanupRoutine(interval time.Duration) {
	if interval <= 0 {
		interval = DefaultCleanupInterval
	}
	s.cleanup.Do(func() {
		if s.closing.Err() != nil {
			return
		}
		s.routines.Go(func() {
			next := time.NewTimer(0)
			defer next.Stop()
			for {
				select {
				case <-s.closing.Done():
					return
				case <-next.C:
				}
				next.Reset(interval)
				s.cleanUp(s.closing)
			}
		})
	})
}

// cleanUp is one run of the routine.
func (s *Store) cleanUp(ctx context.Context) {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"make partitions", func(ctx context.Context) error { return s.EnsureMonthlyPartitions(ctx, monthsAhead) }},
		{"drop partitions", s.dropAged},
		{"delete", func(ctx context.Context) error { _, err := s.Cleanup(ctx); return err }},
		{"maintain", s.Maintain},
	} {
		if err := step.do(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "postgres: a step of the cleanup routine failed; the next run tries again", "step", step.name, "error", err)
		}
	}
}

// dropAged drops the partitions that hold nothing but what is above the ceiling.
func (s *Store) dropAged(ctx context.Context) error {
	if s.opt.RetentionDays == 0 {
		return nil
	}
	now := s.opt.Now()
	_, err := s.DropPartitions(ctx, now.AddDate(0, 0, -s.opt.RetentionDays), func(ctx context.Context) (cut audit.Cut, err error) {
		cut = s.ceiling(now)
		cut.Holds, err = s.legalHolds(ctx)
		return cut, err
	})
	return err
}
