package analytics

import (
	"cmp"
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
)

// The types in this file hold what an engine counts and adds; their methods
// turn it into the answer. Every engine goes through them, so the arithmetic
// is the same everywhere, and the zero value gives the answer without rows.

// Tally counts calls and adds their durations.
type Tally struct {
	Calls    int64
	Success  int64 // calls whose outcome is success
	Measured int64 // calls whose duration is greater than zero
	Micros   Sum   // their durations, whole microseconds
}

// Add counts one call.
func (t *Tally) Add(r *audit.Record) {
	t.Calls++
	if r.Outcome == audit.Success {
		t.Success++
	}
	if us := r.Duration.Microseconds(); us > 0 {
		t.Measured++
		t.Micros.Add(us)
	}
}

// Bucket gives the bucket that starts there.
func (t *Tally) Bucket(start time.Time) Bucket {
	return Bucket{
		Start: start, Count: t.Calls, SuccessCount: t.Success, ErrorCount: t.Calls - t.Success,
		AvgDurationMS: t.Micros.AverageMS(t.Measured),
	}
}

// Group gives the group of that value.
func (t *Tally) Group(value string) Group {
	return Group{
		Value: value, Count: t.Calls, SuccessRate: Rate(t.Success, t.Calls),
		AvgDurationMS: t.Micros.AverageMS(t.Measured),
	}
}

// TopGroups gives the groups of a breakdown in their order, at most limit.
func TopGroups(tallies map[string]*Tally, limit int) []Group {
	groups := make([]Group, 0, len(tallies))
	for value, t := range tallies {
		groups = append(groups, t.Group(value))
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return slices.Clone(groups[:min(limit, len(groups))])
}

// OverviewSums is what Overview needs.
type OverviewSums struct {
	Tally
	Enriched int64 // calls with enrichment applied
	Actors   int64 // distinct actor ids that are not empty
	Tools    int64 // distinct tool names that are not empty
}

// Overview gives the answer.
func (s *OverviewSums) Overview() *Overview {
	return &Overview{
		Total: s.Calls, SuccessRate: Rate(s.Success, s.Calls), ErrorCount: s.Calls - s.Success,
		AvgDurationMS: s.Micros.AverageMS(s.Measured),
		UniqueActors:  s.Actors, UniqueTools: s.Tools,
		EnrichmentRate: Rate(s.Enriched, s.Calls),
	}
}

// PerformanceSums is what Performance needs. Measured calls are those whose
// duration is greater than zero.
type PerformanceSums struct {
	Measured      int64
	Micros        Sum     // durations, whole microseconds
	MaxMicros     int64   // the longest
	P50, P95, P99 float64 // in microseconds, see [Percentile]
	Requests      int64   // calls whose request size is not zero
	RequestBytes  Sum
	Responses     int64 // calls whose response size is not zero
	ResponseBytes Sum
}

// Performance gives the answer.
func (s *PerformanceSums) Performance() *Performance {
	return &Performance{
		P50MS: s.P50 / 1000, P95MS: s.P95 / 1000, P99MS: s.P99 / 1000,
		AvgMS: s.Micros.AverageMS(s.Measured), MaxMS: float64(s.MaxMicros) / 1000,
		AvgRequestBytes:  s.RequestBytes.Average(s.Requests),
		AvgResponseBytes: s.ResponseBytes.Average(s.Responses),
	}
}

// SessionCounts is what Discovery needs of the sessions.
type SessionCounts struct {
	Total         int64 // with a call of either kind
	WithDiscovery int64 // with a discovery call
	WithQuery     int64 // with a query call
	Before        int64 // with a discovery call strictly before the first query call
}

// Discovery gives the answer with these most used tools.
func (s *SessionCounts) Discovery(top []Group) *Discovery {
	if top == nil {
		top = []Group{}
	}
	return &Discovery{
		TotalSessions: s.Total, DiscoverySessions: s.WithDiscovery, QuerySessions: s.WithQuery,
		Before: s.Before, Without: s.WithQuery - s.Before, Rate: Rate(s.Before, s.WithQuery),
		TopTools: top,
	}
}

// EnrichmentSums is what Enrichment needs.
type EnrichmentSums struct {
	Calls       int64
	Enriched    int64            // with enrichment applied
	Modes       map[string]int64 // calls by mode as stored, "" included
	WithFull    int64            // calls whose TokensFull is not zero
	TokensFull  Sum
	WithDedup   int64 // calls whose TokensDedup is not zero
	TokensDedup Sum
	TokensSaved Sum   // of each call, TokensFull minus TokensDedup where that is not negative
	Sessions    int64 // distinct (namespace, tenant, session id) with an id
}

// Enrichment gives the answer.
func (s *EnrichmentSums) Enrichment() *Enrichment {
	modes := map[string]int64{"full": 0, "summary": 0, "reference": 0, "none": 0}
	for mode, n := range s.Modes {
		modes[cmp.Or(mode, "none")] += n
	}
	return &Enrichment{
		Calls: s.Calls, Enriched: s.Enriched, Rate: Rate(s.Enriched, s.Calls), ByMode: modes,
		TokensFull: s.TokensFull.Int(), TokensDedup: s.TokensDedup.Int(), TokensSaved: s.TokensSaved.Int(),
		AvgTokensFull:  s.TokensFull.Average(s.WithFull),
		AvgTokensDedup: s.TokensDedup.Average(s.WithDedup),
		UniqueSessions: s.Sessions,
	}
}
