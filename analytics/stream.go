package analytics

import (
	"context"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// Stream answers every statistic by one walk over the records that the
// question selects. It is the reference that native engines are tested against,
// and the fallback for those that have none.
//
// It keeps no record. Its memory grows with distinct values only (actors, tools,
// sessions, groups, buckets), but for Performance, whose exact percentiles need
// every measured duration: 8 bytes a call, up to twice that while the list grows.
func Stream(s audit.Scanner) Analyzer { return stream{s} }

type stream struct{ scanner audit.Scanner }

// calls walks the calls that the question selects.
func (s stream) calls(ctx context.Context, q *audit.Query, fn func(*audit.Record)) error {
	calls, ok, err := Calls(q)
	if err != nil || !ok {
		return err
	}
	return s.walk(ctx, calls, fn)
}

func (s stream) walk(ctx context.Context, q *audit.Query, fn func(*audit.Record)) error {
	return s.scanner.Scan(ctx, q, func(r *audit.Record) error {
		fn(r)
		return nil
	})
}

// Overview implements [Analyzer].
func (s stream) Overview(ctx context.Context, q *audit.Query) (*Overview, error) {
	var sums OverviewSums
	actors, tools := set[string]{}, set[string]{}
	err := s.calls(ctx, q, func(r *audit.Record) {
		sums.Add(r)
		if r.Tool.Enrichment.Applied {
			sums.Enriched++
		}
		addText(actors, r.Actor.ID)
		addText(tools, r.Tool.Name)
	})
	if err != nil {
		return nil, err
	}
	sums.Actors, sums.Tools = int64(len(actors)), int64(len(tools))
	return sums.Overview(), nil
}

// Timeseries implements [Analyzer].
func (s stream) Timeseries(ctx context.Context, q *audit.Query, unit Unit) ([]Bucket, error) {
	steps, err := newSeries(q, unit)
	if err != nil {
		return nil, err
	}
	tallies := make([]Tally, steps.count)
	err = s.calls(ctx, q, func(r *audit.Record) { tallies[steps.index(r.OccurredAt)].Add(r) })
	if err != nil {
		return nil, err
	}
	buckets := make([]Bucket, steps.count)
	for i, start := range steps.starts() {
		buckets[i] = tallies[i].Bucket(start)
	}
	return buckets, nil
}

// Breakdown implements [Analyzer].
func (s stream) Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]Group, error) {
	f, limit, err := CheckBreakdown(dimension, limit)
	if err != nil {
		return nil, err
	}
	groups := map[string]*Tally{}
	err = s.calls(ctx, q, func(r *audit.Record) { addTo(groups, GroupValue(f, r), r) })
	if err != nil {
		return nil, err
	}
	return TopGroups(groups, limit), nil
}

// Performance implements [Analyzer].
func (s stream) Performance(ctx context.Context, q *audit.Query) (*Performance, error) {
	var sums PerformanceSums
	var durations []int64 // microseconds
	err := s.calls(ctx, q, func(r *audit.Record) {
		if us := r.Duration.Microseconds(); us > 0 {
			durations = append(durations, us)
			sums.Micros.Add(us)
		}
		addSize(&sums.RequestBytes, &sums.Requests, r.Request.Bytes)
		addSize(&sums.ResponseBytes, &sums.Responses, r.Response.Bytes)
	})
	if err != nil {
		return nil, err
	}
	if n := len(durations); n > 0 {
		slices.Sort(durations)
		sums.Measured, sums.MaxMicros = int64(n), durations[n-1]
		sums.P50, sums.P95, sums.P99 = Percentile(durations, 0.50), Percentile(durations, 0.95), Percentile(durations, 0.99)
	}
	return sums.Performance(), nil
}

// Discovery implements [Analyzer].
func (s stream) Discovery(ctx context.Context, q *audit.Query, kinds DiscoveryKinds) (*Discovery, error) {
	kinds, err := CheckKinds(kinds)
	if err != nil {
		return nil, err
	}
	calls, ok, err := Calls(q)
	if err != nil {
		return nil, err
	}
	sessions := map[session]*firsts{}
	tools := map[string]*Tally{}
	if ok && keepOnly(calls, "toolkit_kind", slices.Concat(kinds.Discovery, kinds.Query)...) {
		err = s.walk(ctx, calls, func(r *audit.Record) {
			discovery, query := slices.Contains(kinds.Discovery, r.Tool.Kind), slices.Contains(kinds.Query, r.Tool.Kind)
			if discovery {
				addTo(tools, r.Tool.Name, r)
			}
			if r.Actor.SessionID == "" {
				return
			}
			key := sessionOf(r)
			f := sessions[key]
			if f == nil {
				f = &firsts{}
				sessions[key.clone()] = f
			}
			at := audit.Micros(r.OccurredAt)
			if discovery {
				f.discovery = earlier(f.discovery, at)
			}
			if query {
				f.query = earlier(f.query, at)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	counts := SessionCounts{Total: int64(len(sessions))}
	for _, f := range sessions {
		if f.discovery != 0 {
			counts.WithDiscovery++
		}
		if f.query != 0 {
			counts.WithQuery++
			if f.discovery != 0 && f.discovery < f.query {
				counts.Before++
			}
		}
	}
	return counts.Discovery(TopGroups(tools, MaxTopTools)), nil
}

// Enrichment implements [Analyzer].
func (s stream) Enrichment(ctx context.Context, q *audit.Query) (*Enrichment, error) {
	var sums EnrichmentSums
	modes := map[string]*int64{}
	sessions := set[session]{}
	err := s.calls(ctx, q, func(r *audit.Record) {
		e := &r.Tool.Enrichment
		sums.Calls++
		if e.Applied {
			sums.Enriched++
		}
		// Through a pointer, as modes[e.Mode]++ would put the record's own text
		// in the place of the key that is there.
		n := modes[e.Mode]
		if n == nil {
			n = new(int64)
			modes[strings.Clone(e.Mode)] = n
		}
		*n++
		addSize(&sums.TokensFull, &sums.WithFull, e.TokensFull)
		addSize(&sums.TokensDedup, &sums.WithDedup, e.TokensDedup)
		sums.TokensSaved.Add(e.TokensFull - e.TokensDedup)
		if r.Actor.SessionID != "" {
			if key := sessionOf(r); !sessions.has(key) {
				sessions[key.clone()] = struct{}{}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	sums.Sessions = int64(len(sessions))
	sums.Modes = make(map[string]int64, len(modes))
	for mode, n := range modes {
		sums.Modes[mode] = *n
	}
	return sums.Enrichment(), nil
}
