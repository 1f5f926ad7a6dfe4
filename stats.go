package annals

import (
	"context"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// DefaultWindow is how far back a statistic looks when the question has no From.
const DefaultWindow = 24 * time.Hour

// window checks a question and fills its open bounds: To is now, From is the
// default window before To.
func (t *Trail) window(q *audit.Query) (*audit.Query, error) {
	w := *q
	if w.To.IsZero() {
		w.To = t.opt.Now()
	}
	if w.From.IsZero() {
		w.From = w.To.Add(-DefaultWindow)
	}
	return t.check(&w)
}

// stat runs one statistic over a windowed question.
func stat[T any](ctx context.Context, t *Trail, name string, q *audit.Query, windowed bool, run func(*audit.Query) (T, error)) (out T, err error) {
	check := t.check
	if windowed {
		check = t.window
	}
	v, err := check(q)
	if err != nil {
		return out, err
	}
	done := t.observe(ctx, name)
	defer func() { done(0, err) }()
	return run(v)
}

// Overview gives the whole at a glance; see analytics.Overview. Like every
// statistic but Distinct and DistinctPairs it looks at the last 24 hours where
// the question has no bounds.
func (t *Trail) Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error) {
	return stat(ctx, t, "overview", q, true, func(v *audit.Query) (*analytics.Overview, error) { return t.analyzer.Overview(ctx, v) })
}

// Timeseries gives one bucket for every unit of the window, at most
// analytics.MaxBuckets; more is ErrInvalid.
func (t *Trail) Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error) {
	return stat(ctx, t, "timeseries", q, true, func(v *audit.Query) ([]analytics.Bucket, error) {
		if err := analytics.CheckSeries(v, unit); err != nil {
			return nil, err
		}
		return t.analyzer.Timeseries(ctx, v, unit)
	})
}

// Breakdown groups calls by a dimension; limit 0 is analytics.DefaultGroups, at
// most analytics.MaxGroups.
func (t *Trail) Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error) {
	return stat(ctx, t, "breakdown", q, true, func(v *audit.Query) ([]analytics.Group, error) {
		_, limit, err := analytics.CheckBreakdown(dimension, limit)
		if err != nil {
			return nil, err
		}
		return t.analyzer.Breakdown(ctx, v, dimension, limit)
	})
}

// Performance gives percentiles of durations and average sizes.
func (t *Trail) Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error) {
	return stat(ctx, t, "performance", q, true, func(v *audit.Query) (*analytics.Performance, error) {
		return t.analyzer.Performance(ctx, v)
	})
}

// Discovery tells how many sessions looked around before they asked.
func (t *Trail) Discovery(ctx context.Context, q *audit.Query) (*analytics.Discovery, error) {
	return stat(ctx, t, "discovery", q, true, func(v *audit.Query) (*analytics.Discovery, error) {
		return t.analyzer.Discovery(ctx, v, t.opt.DiscoveryKinds)
	})
}

// Enrichment tells what context was added to answers and what it cost.
func (t *Trail) Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error) {
	return stat(ctx, t, "enrichment", q, true, func(v *audit.Query) (*analytics.Enrichment, error) {
		return t.analyzer.Enrichment(ctx, v)
	})
}

// Distinct gives the sorted values of a column that are not empty.
func (t *Trail) Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error) {
	return stat(ctx, t, "distinct", q, false, func(v *audit.Query) ([]string, error) {
		if _, err := analytics.CheckColumn("column", column); err != nil {
			return nil, err
		}
		return t.analyzer.Distinct(ctx, v, column)
	})
}

// DistinctPairs maps the values of column a to those of column b.
func (t *Trail) DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	return stat(ctx, t, "distinct_pairs", q, false, func(v *audit.Query) (map[string]string, error) {
		if _, err := analytics.CheckColumn("a", a); err != nil {
			return nil, err
		}
		if _, err := analytics.CheckColumn("b", b); err != nil {
			return nil, err
		}
		return t.analyzer.DistinctPairs(ctx, v, a, b)
	})
}
