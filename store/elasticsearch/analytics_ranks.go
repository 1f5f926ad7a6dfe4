package elasticsearch

import (
	"context"
	"encoding/json"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// Performance implements analytics.Analyzer. Percentiles are exact: the servers'
// own are estimates, so the two values that each lies between are found by their
// rank, see [Store.spanOf].
func (s *Store) Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var sums analytics.PerformanceSums
	w, err := s.calls(q)
	if err != nil || w == nil {
		return sums.Performance(), err
	}
	var got struct {
		Measured  value `json:"measured"`
		Micros    value `json:"micros"`
		Longest   value `json:"longest"`
		Requests  value `json:"requests"`
		Sent      value `json:"sent"`
		Responses value `json:"responses"`
		Received  value `json:"received"`
	}
	_, err = s.aggregate(ctx, w, object{
		"measured": countOf("duration_ms"), "micros": sumOf("duration_ms"), "longest": object{"max": object{"field": "duration_ms"}},
		"requests": countOf("request_bytes"), "sent": sumOf("request_bytes"),
		"responses": countOf("response_bytes"), "received": sumOf("response_bytes"),
	}, &got)
	if err != nil {
		return nil, err
	}
	sums = analytics.PerformanceSums{
		Measured: got.Measured.int(), Micros: got.Micros.sum(), MaxMicros: got.Longest.int(),
		Requests: got.Requests.int(), RequestBytes: got.Sent.sum(),
		Responses: got.Responses.int(), ResponseBytes: got.Received.sum(),
	}
	if n := sums.Measured; n > 0 {
		all := span{low: 1, high: sums.MaxMicros + 1, count: n}
		for p, out := range map[float64]*float64{0.50: &sums.P50, 0.95: &sums.P95, 0.99: &sums.P99} {
			if *out, err = s.percentile(ctx, w, p, n, all); err != nil {
				return nil, err
			}
		}
	}
	return sums.Performance(), nil
}

func (s *Store) percentile(ctx context.Context, w *where, p float64, n int64, all span) (float64, error) {
	low, high, part := analytics.PercentileRanks(p, n)
	a, err := s.valueAt(ctx, w, low, all)
	if err != nil || high == low {
		return float64(a), err
	}
	b, err := s.valueAt(ctx, w, high, all)
	return analytics.Interpolate(a, b, part), err
}

// span is a stretch of durations in microseconds, from low to before high: count
// of them lie in it, and below are less than low.
type span struct{ low, high, below, count int64 }

const (
	// maxFrom is how deep into an answer a server goes (index.max_result_window).
	maxFrom = 10_000
	// spanParts is in how many parts a stretch is divided at a time.
	spanParts = 100
)

// valueAt gives the duration at a rank, counted from 0.
func (s *Store) valueAt(ctx context.Context, w *where, rank int64, in span) (int64, error) {
	in, err := s.spanOf(ctx, w, rank, in)
	if err != nil {
		return 0, err
	}
	if in.high-in.low == 1 {
		return in.low, nil
	}
	f, err := s.search(ctx, "/"+s.readAlias(), object{
		"query": in.within(w).query(), "sort": []any{object{"duration_ms": "asc"}}, "from": rank - in.below, "size": 1, "_source": false, "track_total_hits": false,
	})
	if err != nil {
		return 0, err
	}
	if len(f.Hits.Hits) == 0 {
		return in.low, nil // records went while they were counted
	}
	var v int64
	if err := json.Unmarshal(f.Hits.Hits[0].Sort[0], &v); err != nil {
		return 0, garbled(err)
	}
	return v, nil
}

func (in span) within(w *where) *where {
	some := &where{must: append([]any{object{"range": object{"duration_ms": object{"gte": in.low, "lt": in.high}}}}, w.must...), not: w.not}
	return some
}

// spanOf narrows a stretch until the rank can be reached in it: the records are
// counted in parts of it, and the part with the rank is the next stretch.
func (s *Store) spanOf(ctx context.Context, w *where, rank int64, in span) (span, error) {
	for in.count > maxFrom-1 && in.high-in.low > 1 {
		width := max((in.high-in.low+spanParts-1)/spanParts, 1)
		var ranges []any
		for low := in.low; low < in.high; low += width {
			ranges = append(ranges, object{"from": low, "to": min(low+width, in.high)})
		}
		var got struct {
			X struct {
				Buckets []struct {
					Count int64 `json:"doc_count"`
				} `json:"buckets"`
			} `json:"x"`
		}
		if _, err := s.aggregate(ctx, in.within(w), object{"x": object{"range": object{"field": "duration_ms", "ranges": ranges}}}, &got); err != nil {
			return span{}, err
		}
		next := in
		for i, b := range got.X.Buckets {
			low := in.low + int64(i)*width
			next = span{low: low, high: min(low+width, in.high), below: next.below, count: b.Count}
			if next.below+b.Count > rank {
				break
			}
			if i < len(got.X.Buckets)-1 {
				next.below += b.Count
			}
		}
		in = next
	}
	return in, nil
}

// firsts are the first calls of a session.
type firsts struct {
	Discovery struct {
		Count int64 `json:"doc_count"`
		At    value `json:"at"`
	} `json:"discovery"`
	Query struct {
		Count int64 `json:"doc_count"`
		At    value `json:"at"`
	} `json:"query"`
}

// Discovery implements analytics.Analyzer.
func (s *Store) Discovery(ctx context.Context, q *audit.Query, kinds analytics.DiscoveryKinds) (*analytics.Discovery, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	kinds, err = analytics.CheckKinds(kinds)
	if err != nil {
		return nil, err
	}
	var counts analytics.SessionCounts
	w, err := s.calls(q)
	if err != nil || w == nil {
		return counts.Discovery(nil), err
	}
	discovery, query := terms("toolkit_kind", kinds.Discovery), terms("toolkit_kind", kinds.Query)
	earliest := object{"at": object{"min": object{"field": "occurred_at"}}}
	either := &where{must: append([]any{anyOf(discovery, query)}, w.must...), not: w.not}
	err = s.eachGroup(ctx, either, fieldSession, object{
		"discovery": object{"filter": discovery, "aggs": earliest},
		"query":     object{"filter": query, "aggs": earliest},
	}, func(group json.RawMessage) error {
		var f firsts
		if err := json.Unmarshal(group, &f); err != nil {
			return garbled(err)
		}
		counts.Total++
		if f.Discovery.Count > 0 {
			counts.WithDiscovery++
		}
		if f.Query.Count > 0 {
			counts.WithQuery++
			if f.Discovery.Count > 0 && f.Discovery.At.float() < f.Query.At.float() {
				counts.Before++
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	tools := &where{must: append([]any{discovery}, w.must...), not: w.not}
	top, err := s.groups(ctx, tools, "tool_name", analytics.MaxTopTools)
	if err != nil {
		return nil, err
	}
	return counts.Discovery(top), nil
}
