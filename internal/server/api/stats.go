package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// The answers of the statistics that are not objects by themselves.
type (
	countAnswer struct {
		Count int64 `json:"count"`
	}
	seriesAnswer struct {
		Buckets []analytics.Bucket `json:"buckets"`
	}
	breakdownAnswer struct {
		Groups []analytics.Group `json:"groups"`
	}
	distinctAnswer struct {
		Values []string `json:"values"`
	}
	pairsAnswer struct {
		Pairs map[string]string `json:"pairs"`
	}
)

// stat registers one statistic. own are its parameters besides the filters.
func stat[O any](a *API, name, summary, doc string, own []*huma.Param, run func(context.Context, *audit.Query, url.Values) (O, error)) {
	names := make([]string, len(own))
	for i, p := range own {
		names[i] = p.Name
	}
	without := noOrder
	for _, n := range names {
		if n == audit.ParamLimit {
			without = []string{audit.ParamCursor, audit.ParamOrder}
		}
	}
	op := huma.Operation{
		OperationID: "stats-" + name, Method: http.MethodGet, Path: "/v1/stats/" + name, Tags: []string{"statistics"},
		Summary: summary, Description: doc + metadataNote,
		Parameters: append(append([]*huma.Param{}, own...), paramRefs(a.filters...)...),
	}
	typed(a, op, func(ctx context.Context, c *call, _ *struct{}) (out O, err error) {
		q, _, params, err := question(c.r, names, without)
		if err != nil {
			return out, err
		}
		for _, p := range own {
			if p.Required && params.Get(p.Name) == "" {
				return out, audit.Invalid(p.Name, "is required")
			}
		}
		if ctx, err = exactly(ctx, params); err != nil {
			return out, err
		}
		return run(ctx, q, params)
	})
}

// exactParam is a parameter of those statistics that an engine may estimate.
func exactParam() []*huma.Param {
	p := queryParam(paramExact, "true: percentiles and distinct counts are never estimated, however long that takes; else the answer tells the error of what is", false)
	p.Schema = &huma.Schema{Type: huma.TypeBoolean}
	return []*huma.Param{p}
}

// exactly passes the parameter exact on.
func exactly(ctx context.Context, params url.Values) (context.Context, error) {
	switch v := params.Get(paramExact); {
	case !params.Has(paramExact), v == "false":
		return ctx, nil
	case v == "true":
		return analytics.WithExact(ctx), nil
	default:
		return nil, audit.Invalid(paramExact, "is %q, want true or false", clip(v))
	}
}

func (a *API) registerStats() {
	t := a.trail
	stat(a, "count", "Count records", "Counts every record that the filters select, of any kind; without a bound it looks at all of time.", nil,
		func(ctx context.Context, q *audit.Query, _ url.Values) (countAnswer, error) {
			n, err := t.Count(ctx, q)
			return countAnswer{n}, err
		})
	stat(a, "overview", "The whole at a glance", "Totals, rates and distinct values.", exactParam(),
		func(ctx context.Context, q *audit.Query, _ url.Values) (*analytics.Overview, error) {
			return t.Overview(ctx, q)
		})
	stat(a, "timeseries", "Calls over time", "One bucket for every unit of the window, empty ones included, in UTC; at most 10,000.",
		[]*huma.Param{queryParam(paramUnit, "width of a bucket; hour where it is left out", false, string(analytics.Minute), string(analytics.Hour), string(analytics.Day))},
		func(ctx context.Context, q *audit.Query, p url.Values) (seriesAnswer, error) {
			unit := analytics.Hour
			if p.Has(paramUnit) {
				unit = analytics.Unit(p.Get(paramUnit))
			}
			buckets, err := t.Timeseries(ctx, q, unit)
			return seriesAnswer{list(buckets)}, err
		})
	limit := queryParam(audit.ParamLimit, "groups at most", false)
	one, most := 1.0, float64(analytics.MaxGroups)
	limit.Schema = &huma.Schema{Type: huma.TypeInteger, Minimum: &one, Maximum: &most, Default: analytics.DefaultGroups}
	stat(a, "breakdown", "Calls by a dimension", "The largest groups first.",
		[]*huma.Param{queryParam(paramDimension, "any dimension, e.g. tool_name, actor, resource_type, outcome, tenant", true), limit},
		func(ctx context.Context, q *audit.Query, p url.Values) (breakdownAnswer, error) {
			n := 0
			if p.Has(audit.ParamLimit) {
				var err error
				if n, err = strconv.Atoi(p.Get(audit.ParamLimit)); err != nil || n < 1 || n > analytics.MaxGroups {
					return breakdownAnswer{}, audit.Invalid(audit.ParamLimit, "is %q, want 1 to %d", clip(p.Get(audit.ParamLimit)), analytics.MaxGroups)
				}
			}
			groups, err := t.Breakdown(ctx, q, p.Get(paramDimension), n)
			return breakdownAnswer{list(groups)}, err
		})
	stat(a, "performance", "Durations and sizes", "Continuous percentiles of durations, and average sizes.", exactParam(),
		func(ctx context.Context, q *audit.Query, _ url.Values) (*analytics.Performance, error) {
			return t.Performance(ctx, q)
		})
	stat(a, "discovery", "Sessions that looked around before they asked", "Compares the first discovery call of each session with its first query call.", exactParam(),
		func(ctx context.Context, q *audit.Query, _ url.Values) (*analytics.Discovery, error) {
			return t.Discovery(ctx, q)
		})
	stat(a, "enrichment", "Context added to answers", "How often, how, and what it cost in tokens.", exactParam(),
		func(ctx context.Context, q *audit.Query, _ url.Values) (*analytics.Enrichment, error) {
			return t.Enrichment(ctx, q)
		})
	stat(a, "distinct", "Values of a column", "Sorted, without the empty value; without a bound it looks at all of time.",
		[]*huma.Param{queryParam(paramColumn, "any text dimension", true)},
		func(ctx context.Context, q *audit.Query, p url.Values) (distinctAnswer, error) {
			values, err := t.Distinct(ctx, q, p.Get(paramColumn))
			return distinctAnswer{list(values)}, err
		})
	stat(a, "distinct-pairs", "Values of one column and their counterparts in another", "Records where either is empty are left out; without a bound it looks at all of time.",
		[]*huma.Param{queryParam(paramA, "any text dimension", true), queryParam(paramB, "any text dimension", true)},
		func(ctx context.Context, q *audit.Query, p url.Values) (pairsAnswer, error) {
			pairs, err := t.DistinctPairs(ctx, q, p.Get(paramA), p.Get(paramB))
			if pairs == nil {
				pairs = map[string]string{}
			}
			return pairsAnswer{pairs}, err
		})
}

// list makes sure that an empty list is written as one, never as null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
