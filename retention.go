package annals

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

// StartRetention begins to delete what is due by Options.Retention: at once,
// and then every interval, until Close. Of several processes on one store one
// deletes at a time. A trail does not do so unless it is asked.
func (t *Trail) StartRetention() error { return t.retention.Start() }

// Retention gives the settings, what this process has done so far, and the
// legal holds.
func (t *Trail) Retention(ctx context.Context) (*retention.Status, error) {
	s, err := t.retention.Status(ctx)
	if err != nil {
		return nil, err
	}
	s.Settings.TTLSeconds = t.opt.TTL.Seconds()
	return s, nil
}

// RetentionState gives what this process has deleted so far, for metrics.
func (t *Trail) RetentionState() retention.State { return t.retention.State() }

// RetentionRun deletes what is due now. ErrConflict: a run is under way
// already, here or elsewhere, or the clock was set since the last look.
func (t *Trail) RetentionRun(ctx context.Context) (*retention.Run, error) {
	return t.retention.RunNow(ctx)
}

// RetentionPlan counts what RetentionRun would delete, and deletes nothing.
func (t *Trail) RetentionPlan(ctx context.Context) (*retention.Plan, error) {
	return t.retention.Plan(ctx)
}

// AddHold adds a legal hold: what it selects is not deleted until it is
// removed. When AddHold returns, every deletion heeds the hold. An engine that
// keeps no documents has no holds: ErrUnsupported.
func (t *Trail) AddHold(ctx context.Context, h retention.Hold) (retention.Hold, error) {
	return t.retention.AddHold(ctx, h)
}

// RemoveHold ends a legal hold and gives it back, or ErrNotFound.
func (t *Trail) RemoveHold(ctx context.Context, id string) (retention.Hold, error) {
	return t.retention.RemoveHold(ctx, id)
}

// newRetention makes the loop over the trail's store.
func (t *Trail) newRetention() (*retention.Loop, error) {
	opt := t.opt.Retention
	if opt.Logger == nil {
		opt.Logger = t.opt.Logger
	}
	if opt.Now == nil {
		opt.Now = t.opt.Now
	}
	keeper, _ := audit.As[audit.Keeper](t.store)
	opt.Partitions, _ = audit.As[retention.Partitioner](t.store)
	opt.Holder, _ = audit.As[audit.Holder](t.store)
	return retention.New(pruner{t}, keeper, opt)
}

// pruner is what retention sees of a trail.
type pruner struct{ t *Trail }

func (p pruner) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (n int, err error) {
	done := p.t.observe(ctx, "delete_expired")
	defer func() { done(n, err) }()
	return p.t.store.DeleteExpired(ctx, cut, limit)
}

func (p pruner) Count(ctx context.Context, q *audit.Query) (int64, error) { return p.t.Count(ctx, q) }

func (p pruner) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	return scanner(p).Scan(ctx, q, fn)
}
