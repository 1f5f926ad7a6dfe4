package retention

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Partitioner is an engine that keeps the records of each month apart, so that a
// month can be dropped as a whole. The loop makes months beforehand, and drops
// those of which the ceiling leaves nothing.
// Fallback: none is needed; DeleteExpired deletes the records one by one.
type Partitioner interface {
	// EnsureMonthlyPartitions makes the partitions of the next months of UTC,
	// the current one left out, that are not there. It is idempotent.
	EnsureMonthlyPartitions(ctx context.Context, months int) error
	// DropPartitions drops the partitions that end at or before a time and gives
	// their names. What the cut does not select survives. The cut is asked before
	// each transaction, so that it knows the legal holds of that time, and an
	// error of it ends the drop. Chained records leave anchors.
	DropPartitions(ctx context.Context, end time.Time, cut func(context.Context) (audit.Cut, error)) (dropped []string, err error)
	// EachPartition gives the partitions to fn, the oldest first; a bound that is
	// not there is zero, records an estimate, bytes the size with its indexes.
	EachPartition(ctx context.Context, fn func(name string, from, to time.Time, records, bytes int64) error) error
	// Maintain does what else keeps the tables in order.
	Maintain(ctx context.Context) error
}

// DefaultMonthsAhead is how many months the loop makes partitions for
// beforehand: it may stand still for two without harm.
const DefaultMonthsAhead = 3

// Partition is a stretch of time whose records can be dropped as a whole.
type Partition struct {
	Name    string    `json:"name" doc:"of the table"`
	From    time.Time `json:"from,omitzero" doc:"the first time in it; left out where it has no such bound"`
	To      time.Time `json:"to,omitzero" doc:"the first time after it; left out where it has no such bound"`
	Records int64     `json:"records" doc:"about how many records it has"`
	Bytes   int64     `json:"bytes" doc:"its size, indexes included"`
}

// Default reports whether it holds what has no partition of its own.
func (p *Partition) Default() bool { return p.From.IsZero() && p.To.IsZero() }

func (p *Partition) overlaps(from, to time.Time) bool {
	return !p.Default() && (p.To.IsZero() || from.Before(p.To)) && (p.From.IsZero() || p.From.Before(to))
}

var errNoPartitions = audit.Unsupported("the engine has no partitions: records are deleted one by one")

// Partitions gives the partitions, the oldest first. An engine without them is ErrUnsupported.
func (l *Loop) Partitions(ctx context.Context) ([]Partition, error) {
	if l.opt.Partitions == nil {
		return nil, errNoPartitions
	}
	list := []Partition{}
	err := l.opt.Partitions.EachPartition(ctx, func(name string, from, to time.Time, records, bytes int64) error {
		list = append(list, Partition{name, from, to, records, bytes})
		return nil
	})
	return list, err
}

// EnsurePartitions makes the partitions of the next months that are not there,
// and gives the months that it made them for, as their first moments. With plan
// set it makes none, and gives those that it would.
func (l *Loop) EnsurePartitions(ctx context.Context, months int, plan bool) (made []time.Time, err error) {
	missing, err := l.missing(ctx, months)
	if err != nil || plan || len(missing) == 0 {
		return missing, err
	}
	err = l.opt.Partitions.EnsureMonthlyPartitions(ctx, months)
	still, e := l.missing(ctx, months)
	if e != nil {
		return nil, errors.Join(err, e)
	}
	return slices.DeleteFunc(missing, func(m time.Time) bool { return slices.ContainsFunc(still, m.Equal) }), err
}

// maxMonths bounds how far ahead is looked.
const maxMonths = 120

func (l *Loop) missing(ctx context.Context, months int) ([]time.Time, error) {
	if months < 0 || months > maxMonths {
		return nil, audit.Invalid("months", "is %d, want 0 to %d", months, maxMonths)
	}
	list, err := l.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	out := []time.Time{}
	y, m, _ := l.opt.Now().UTC().Date()
	for i := range months {
		from, to := time.Date(y, m+time.Month(i)+1, 1, 0, 0, 0, 0, time.UTC), time.Date(y, m+time.Month(i)+2, 1, 0, 0, 0, 0, time.UTC)
		if !slices.ContainsFunc(list, func(p Partition) bool { return p.overlaps(from, to) }) {
			out = append(out, from)
		}
	}
	return out, nil
}

// DropPartitions drops the partitions that end at or before the given number of
// days ago, whenever their records were recorded, and gives those that went.
// What a legal hold protects survives. With plan set it drops none, and gives
// those that it would. ErrConflict: a run is under way.
func (l *Loop) DropPartitions(ctx context.Context, days int, plan bool) (dropped []Partition, err error) {
	age := time.Duration(days) * day
	if days <= 0 || days > int(MaxAge/day) {
		return nil, audit.Invalid("days", "is %d, want 1 to %d", days, int(MaxAge/day))
	}
	list, err := l.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	end := l.opt.Now().Add(-age)
	list = slices.DeleteFunc(list, func(p Partition) bool { return p.To.IsZero() || p.To.After(end) })
	if plan || len(list) == 0 {
		return list, nil
	}
	ctx, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := l.lease.take(ctx, false); err != nil {
		return nil, err
	}
	defer l.giveBack(ctx)
	everything := time.Date(audit.MaxYear+1, 1, 1, 0, 0, 0, 0, time.UTC)
	names, err := l.opt.Partitions.DropPartitions(ctx, end, l.heeding(audit.Cut{RecordedBefore: everything, Reason: reasonCeiling(age)}))
	return slices.DeleteFunc(list, func(p Partition) bool { return !slices.Contains(names, p.Name) }), err
}

// heeding gives the cut with the holds in force, read after the lease was
// renewed, on which AddHold relies.
func (l *Loop) heeding(cut audit.Cut) func(context.Context) (audit.Cut, error) {
	return func(ctx context.Context) (_ audit.Cut, err error) {
		if err := l.lease.renew(ctx); err != nil {
			return audit.Cut{}, err
		}
		cut.Holds, err = l.held(ctx)
		return cut, err
	}
}

// makePartitions is the part of a run that comes before the deletion: months to
// come get partitions, and those that are over go.
func (l *Loop) makePartitions(ctx context.Context) {
	if l.opt.Partitions == nil {
		return
	}
	l.partitionStep(ctx, "make partitions", func(ctx context.Context) error {
		// It holds the lease, and does not renew it.
		ctx, cancel := context.WithTimeout(ctx, l.opt.LeaseTTL/2)
		defer cancel()
		return l.opt.Partitions.EnsureMonthlyPartitions(ctx, DefaultMonthsAhead)
	})
	if l.opt.Ceiling == 0 {
		return
	}
	l.partitionStep(ctx, "drop partitions", func(ctx context.Context) error {
		before := l.opt.Now().Add(-l.opt.Ceiling)
		names, err := l.opt.Partitions.DropPartitions(ctx, before, l.heeding(audit.Cut{RecordedBefore: before, Reason: reasonCeiling(l.opt.Ceiling)}))
		if len(names) > 0 {
			l.set(func(s *State) { s.Dropped += int64(len(names)) })
			l.opt.Logger.Info("retention: partitions were dropped", "partitions", names)
		}
		return err
	})
}

// maintain is the part of a run that comes last: it may outlast the lease, which
// nothing depends on any more.
func (l *Loop) maintain(ctx context.Context) {
	if l.opt.Partitions != nil {
		l.partitionStep(ctx, "maintain", l.opt.Partitions.Maintain)
	}
}

// partitionStep does what the deletion does not depend on: where it fails, that
// is logged and counted, and the next run tries again.
func (l *Loop) partitionStep(ctx context.Context, name string, do func(context.Context) error) {
	if ctx.Err() != nil {
		return
	}
	if err := do(ctx); err != nil && ctx.Err() == nil {
		l.set(func(s *State) { s.PartitionErrors++ })
		l.opt.Logger.Warn("retention: a step failed, which deletion does without; the next run tries again", "step", name, "error", err)
	}
}
