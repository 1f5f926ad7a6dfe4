package client

import (
	"context"
	"strconv"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// Count counts what the question selects, whatever its limit.
func (c *Client) Count(ctx context.Context, q *audit.Query) (int64, error) {
	out, err := stat[struct {
		Count int64 `json:"count"`
	}](ctx, c, "count", q)
	return out.Count, err
}

// stat asks for one statistic; own are its parameters besides the filters, as
// name and value in turn.
func stat[T any](ctx context.Context, c *Client, name string, q *audit.Query, own ...string) (out T, err error) {
	params := filters(q)
	for i := 0; i < len(own); i += 2 {
		params.Set(own[i], own[i+1])
	}
	switch name {
	case "overview", "performance", "discovery", "enrichment": // what an engine may estimate
		if analytics.Exact(ctx) {
			params.Set("exact", "true")
		}
	}
	err = c.get(ctx, "/v1/stats/"+name, params, &out)
	return out, plain(err)
}

// Overview gives the whole at a glance. Like every statistic but Count,
// Distinct and DistinctPairs it looks at the last 24 hours where the question
// has no bounds. analytics.WithExact reaches the server's engine.
func (c *Client) Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error) {
	return stat[*analytics.Overview](ctx, c, "overview", q)
}

// Timeseries gives one bucket for every unit of the window.
func (c *Client) Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error) {
	out, err := stat[struct {
		Buckets []analytics.Bucket `json:"buckets"`
	}](ctx, c, "timeseries", q, "unit", string(unit))
	return out.Buckets, err
}

// Breakdown groups calls by a dimension; limit 0 is analytics.DefaultGroups.
func (c *Client) Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error) {
	own := []string{"dimension", dimension}
	if limit != 0 {
		own = append(own, "limit", strconv.Itoa(limit))
	}
	out, err := stat[struct {
		Groups []analytics.Group `json:"groups"`
	}](ctx, c, "breakdown", q, own...)
	return out.Groups, err
}

// Performance gives percentiles of durations and average sizes.
func (c *Client) Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error) {
	return stat[*analytics.Performance](ctx, c, "performance", q)
}

// Discovery tells how many sessions looked around before they asked.
func (c *Client) Discovery(ctx context.Context, q *audit.Query) (*analytics.Discovery, error) {
	return stat[*analytics.Discovery](ctx, c, "discovery", q)
}

// Enrichment tells what context was added to answers and what it cost.
func (c *Client) Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error) {
	return stat[*analytics.Enrichment](ctx, c, "enrichment", q)
}

// Distinct gives the sorted values of a column that are not empty.
func (c *Client) Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error) {
	out, err := stat[struct {
		Values []string `json:"values"`
	}](ctx, c, "distinct", q, "column", column)
	return out.Values, err
}

// DistinctPairs maps the values of column a to those of column b.
func (c *Client) DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	out, err := stat[struct {
		Pairs map[string]string `json:"pairs"`
	}](ctx, c, "distinct-pairs", q, "a", a, "b", b)
	return out.Pairs, err
}
