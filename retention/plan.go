package retention

import (
	"context"
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Plan says what a run would delete, and deletes nothing. It is exact for a
// store that nobody writes to meanwhile.
type Plan struct {
	At      time.Time `json:"at" doc:"the time that decides what has expired"`
	Before  time.Time `json:"recorded_before,omitzero" doc:"records older than this are above the ceiling; left out where there is none"`
	Deleted int64     `json:"deleted" doc:"records that a run would delete in all"`
	Expired int64     `json:"expired" doc:"of them, those that have expired"`
	Ceiling int64     `json:"over_ceiling" doc:"of them, those that have not expired and are older than the ceiling"`
	Held    int64     `json:"held" doc:"records that are due and that a legal hold keeps"`
	Holds   int       `json:"holds" doc:"legal holds in force"`
}

// Plan counts what a run would delete now.
func (l *Loop) Plan(ctx context.Context) (*Plan, error) {
	holds, err := l.held(ctx)
	if err != nil {
		return nil, err
	}
	now := l.opt.Now()
	p := &Plan{At: audit.FromMicros(now.UnixMicro()), Holds: len(holds)}
	expired := rangeTo("expires_at", now.UnixMicro())
	if p.Expired, err = l.count(ctx, expired); err != nil {
		return nil, err
	}
	var over audit.Filter
	cut := audit.Cut{ExpiredAt: now}
	if l.opt.Ceiling > 0 {
		cut.RecordedBefore = now.Add(-l.opt.Ceiling)
		p.Before = audit.FromMicros(ceilMicros(cut.RecordedBefore))
		over = rangeTo("recorded_at", audit.Micros(p.Before)-1)
		all, err := l.count(ctx, over)
		if err != nil {
			return nil, err
		}
		both, err := l.count(ctx, over, expired)
		if err != nil {
			return nil, err
		}
		p.Ceiling = all - both
	}
	heldExpired, heldOver, err := l.countHeld(ctx, &cut, holds)
	if err != nil {
		return nil, err
	}
	p.Held = heldExpired + heldOver
	// Others may have written between two counts.
	p.Expired, p.Ceiling = max(p.Expired-heldExpired, 0), max(p.Ceiling-heldOver, 0)
	p.Deleted = p.Expired + p.Ceiling
	return p, nil
}

// rangeTo is the filter for an instant up to a microsecond, inclusive.
func rangeTo(field string, last int64) audit.Filter {
	return audit.Filter{Field: field, Op: audit.OpRange, Max: &last}
}

// ceilMicros rounds up: records hold whole microseconds, so what is before t is before that.
func ceilMicros(t time.Time) int64 {
	us := t.UnixMicro()
	if time.UnixMicro(us).Before(t) {
		us++
	}
	return us
}

var eventsOnly = audit.Is("kind", string(audit.KindEvent))

func (l *Loop) count(ctx context.Context, filters ...audit.Filter) (int64, error) {
	q, err := (&audit.Query{Filters: append(filters, eventsOnly)}).Validate()
	if err != nil {
		return 0, err
	}
	return l.store.Count(ctx, q)
}

// countHeld counts the records that are due and held, apart by why they are
// due. It walks what each hold selects; what an earlier hold selects too was
// counted there.
func (l *Loop) countHeld(ctx context.Context, cut *audit.Cut, holds []*audit.Query) (expired, over int64, err error) {
	byExpiry, byAge := audit.Cut{ExpiredAt: cut.ExpiredAt}, audit.Cut{RecordedBefore: cut.RecordedBefore}
	for i, h := range holds {
		err := l.store.Scan(ctx, narrowed(h), func(r *audit.Record) error {
			if slices.ContainsFunc(holds[:i], func(o *audit.Query) bool { return o.Match(r) }) {
				return nil
			}
			switch {
			case byExpiry.Selects(r):
				expired++
			case byAge.Selects(r):
				over++
			}
			return nil
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return expired, over, nil
}

// narrowed is the question of a hold, for events only where it can say so.
func narrowed(h *audit.Query) *audit.Query {
	q := *h
	q.Filters = append(slices.Clone(h.Filters), eventsOnly)
	if v, err := q.Validate(); err == nil {
		return v
	}
	q.Filters, q.Limit = h.Filters, audit.DefaultLimit
	return &q
}
