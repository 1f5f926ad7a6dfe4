// Package analytics holds the statistics over records: their types, and a
// streaming reference implementation that any store can fall back on. Engines
// that aggregate natively must give the same answers.
package analytics

import (
	"context"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Rules that hold for every statistic:
//   - only calls count: records of kind event whose outcome is not pending, see
//     [Calls]. Distinct and DistinctPairs fill the boxes that people filter by,
//     so these two look at every record, see [Records];
//   - all filters of the question apply; Order, Limit and After do not;
//   - rates are fractions from 0 to 1; without rows everything is zero and
//     lists are empty, never null;
//   - success means the outcome success; every other outcome of a call is an error;
//   - durations are milliseconds; averages and percentiles are over calls whose
//     duration was measured (greater than zero);
//   - sums are of whole microseconds, bytes and tokens, exact, and divided once
//     at the end, see [Sum]. So engines that sum natively agree with [Stream] to
//     the last bit;
//   - an engine may estimate percentiles and distinct counts of many records,
//     within an error that the answer states, unless [WithExact] asks it not to;
//   - texts are compared and ordered by their bytes.

// Analyzer is the capability of a store that aggregates natively.
// Fallback: [Stream] over an audit.Scanner, in memory bounded by the number of
// distinct values.
//
// The question need not be validated: [Calls] and [Records] do that. Wrong
// arguments are errors of code invalid that name the parameter; an engine
// finds them by [CheckSeries], [CheckBreakdown], [CheckKinds] and [CheckColumn].
type Analyzer interface {
	Overview(ctx context.Context, q *audit.Query) (*Overview, error)
	// Timeseries needs From and To, see [CheckSeries].
	Timeseries(ctx context.Context, q *audit.Query, unit Unit) ([]Bucket, error)
	// Breakdown groups calls by a dimension that holds texts or flags. Limit 0
	// is DefaultGroups, at most MaxGroups.
	Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]Group, error)
	Performance(ctx context.Context, q *audit.Query) (*Performance, error)
	// Discovery takes the default for a list of kinds that is empty.
	Discovery(ctx context.Context, q *audit.Query, kinds DiscoveryKinds) (*Discovery, error)
	Enrichment(ctx context.Context, q *audit.Query) (*Enrichment, error)
	// Distinct gives the values of a text dimension that are not empty, ordered
	// by their bytes. More than MaxDistinct are an error of code too_large that
	// names the column: a list that was cut would hide values without a word.
	Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error)
	// DistinctPairs gives for each value of a the value of b, both text
	// dimensions, over records where neither is empty. Where one a has several
	// b, the newest record decides: by OccurredAt, then ID, then (two tenants
	// can share an id) the greater b. More than MaxDistinct are an error of code
	// too_large that names a.
	DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error)
}

// Overview is the whole at a glance.
type Overview struct {
	Total          int64   `json:"total"`
	SuccessRate    float64 `json:"success_rate"`
	ErrorCount     int64   `json:"error_count"`
	AvgDurationMS  float64 `json:"avg_duration_ms"`
	UniqueActors   int64   `json:"unique_actors"` // distinct actor ids that are not empty
	UniqueTools    int64   `json:"unique_tools"`  // distinct tool names that are not empty
	EnrichmentRate float64 `json:"enrichment_rate"`
	// ActorsError is how far UniqueActors may be off, as a fraction of it: 0 where it is exact. See [WithExact].
	ActorsError float64 `json:"unique_actors_error,omitempty"`
}

// Unit is the width of a bucket.
type Unit string

// The units.
const (
	Minute Unit = "minute"
	Hour   Unit = "hour"
	Day    Unit = "day"
)

// Limits of lists.
const (
	MaxBuckets  = 10_000 // buckets of one series
	MaxDistinct = 10_000 // values or pairs of one answer
)

// Width gives the unit's duration; ok is false for an unknown unit.
func (u Unit) Width() (d time.Duration, ok bool) {
	switch u {
	case Minute:
		return time.Minute, true
	case Hour:
		return time.Hour, true
	case Day:
		return 24 * time.Hour, true
	}
	return 0, false
}

// Bucket is one step of a series. Buckets start at whole units in UTC, the
// first one at or before From, and every one that starts before To is present.
// A call counts only if it is in the window, so that the first and the last
// bucket may be partly filled. From and To must both be set.
type Bucket struct {
	Start         time.Time `json:"start"`
	Count         int64     `json:"count"`
	SuccessCount  int64     `json:"success_count"`
	ErrorCount    int64     `json:"error_count"`
	AvgDurationMS float64   `json:"avg_duration_ms"`
}

// Limits of a breakdown.
const (
	DefaultGroups = 10
	MaxGroups     = 100
)

// Group is one value of a breakdown, the largest count first, then by value.
// Calls whose value is empty are left out. For the dimension "actor" the value
// is the e-mail where the call has one, else the id.
type Group struct {
	Value         string  `json:"value"`
	Count         int64   `json:"count"`
	SuccessRate   float64 `json:"success_rate"`
	AvgDurationMS float64 `json:"avg_duration_ms"`
}

// Performance describes durations and sizes. Percentiles are continuous: the
// value at rank p·(n-1), interpolated linearly (percentile_cont of SQL:2003).
// Sizes are averages over calls whose size is not zero.
type Performance struct {
	P50MS            float64 `json:"p50_ms"`
	P95MS            float64 `json:"p95_ms"`
	P99MS            float64 `json:"p99_ms"`
	AvgMS            float64 `json:"avg_ms"`
	MaxMS            float64 `json:"max_ms"`
	AvgRequestBytes  float64 `json:"avg_request_bytes"`
	AvgResponseBytes float64 `json:"avg_response_bytes"`
	// PercentileError is how far each percentile may be off, as a fraction of it: 0 where they are exact. See [WithExact].
	PercentileError float64 `json:"percentile_error,omitempty"`
}

// DiscoveryKinds says which toolkit kinds count as discovery and which as
// query. A kind in both lists counts as both.
type DiscoveryKinds struct {
	Discovery []string `json:"discovery"`
	Query     []string `json:"query"`
}

// DefaultDiscoveryKinds are datahub for discovery and trino for queries.
func DefaultDiscoveryKinds() DiscoveryKinds {
	return DiscoveryKinds{Discovery: []string{"datahub"}, Query: []string{"trino"}}
}

// Discovery tells how many sessions looked around before they asked. A session
// is a (namespace, tenant, session id) whose id is not empty; its calls of the
// two kinds are compared by OccurredAt.
type Discovery struct {
	TotalSessions     int64   `json:"total_sessions"`     // sessions with a call of either kind
	DiscoverySessions int64   `json:"discovery_sessions"` // with a discovery call
	QuerySessions     int64   `json:"query_sessions"`     // with a query call
	Before            int64   `json:"before"`             // whose first discovery call came strictly before their first query call
	Without           int64   `json:"without"`            // with a query call and no discovery call before it
	Rate              float64 `json:"rate"`               // Before / QuerySessions
	TopTools          []Group `json:"top_tools"`          // the ten most used discovery tools, calls outside any session included
	// SessionsError is how far TotalSessions may be off, as a fraction of it, and the other numbers of
	// sessions as the same fraction of TotalSessions: 0 where they are exact. See [WithExact].
	SessionsError float64 `json:"sessions_error,omitempty"`
}

// MaxTopTools is the length of Discovery.TopTools at most.
const MaxTopTools = 10

// Enrichment tells what context was added to answers and what it cost. The
// averages are over calls whose value is not zero. A sum of tokens past 2^63-1
// is given as 2^63-1; averages are not cut.
type Enrichment struct {
	Calls          int64            `json:"calls"`
	Enriched       int64            `json:"enriched"`
	Rate           float64          `json:"rate"`
	ByMode         map[string]int64 `json:"by_mode"` // full, summary, reference, none (also for an empty mode); always all four, others as they occur
	TokensFull     int64            `json:"tokens_full"`
	TokensDedup    int64            `json:"tokens_dedup"`
	TokensSaved    int64            `json:"tokens_saved"` // full minus dedup, summed over calls, never below zero a call
	AvgTokensFull  float64          `json:"avg_tokens_full"`
	AvgTokensDedup float64          `json:"avg_tokens_dedup"`
	UniqueSessions int64            `json:"unique_sessions"` // distinct (namespace, tenant, session id) with an id
	// SessionsError is how far UniqueSessions may be off, as a fraction of it: 0 where it is exact. See [WithExact].
	SessionsError float64 `json:"unique_sessions_error,omitempty"`
}
