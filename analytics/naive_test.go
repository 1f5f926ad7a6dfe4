package analytics_test

import (
	"context"
	"math"
	"math/big"
	"slices"
	"sort"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// naive answers by loops over all records, sharing no code with the package.
type naive struct{ rs records }

func (n naive) matching(q *audit.Query) []*audit.Record {
	var out []*audit.Record
	for _, r := range n.rs {
		if q.Match(r) && (!q.Open || n.rs.open(r)) {
			out = append(out, r)
		}
	}
	return out
}

func (n naive) calls(q *audit.Query) []*audit.Record {
	return slices.DeleteFunc(n.matching(q), func(r *audit.Record) bool {
		return r.Kind != "event" || r.Outcome == "pending"
	})
}

// average is over the values that are not zero.
func average(rs []*audit.Record, value func(*audit.Record) int64) float64 {
	sum, n := new(big.Int), 0
	for _, r := range rs {
		if v := value(r); v != 0 {
			sum.Add(sum, big.NewInt(v))
			n++
		}
	}
	if n == 0 {
		return 0
	}
	f, _ := new(big.Float).SetInt(sum).Float64()
	return f / float64(n)
}

func total(rs []*audit.Record, value func(*audit.Record) int64) int64 {
	sum := new(big.Int)
	for _, r := range rs {
		sum.Add(sum, big.NewInt(value(r)))
	}
	if !sum.IsInt64() {
		return math.MaxInt64
	}
	return sum.Int64()
}

func count(rs []*audit.Record, is func(*audit.Record) bool) (n int64) {
	for _, r := range rs {
		if is(r) {
			n++
		}
	}
	return n
}

func share(rs []*audit.Record, is func(*audit.Record) bool) float64 {
	if len(rs) == 0 {
		return 0
	}
	return float64(count(rs, is)) / float64(len(rs))
}

func different(rs []*audit.Record, value func(*audit.Record) any, none any) int64 {
	seen := map[any]bool{}
	for _, r := range rs {
		seen[value(r)] = true
	}
	delete(seen, none)
	return int64(len(seen))
}

func micros(r *audit.Record) int64    { return int64(r.Duration / time.Microsecond) }
func succeeded(r *audit.Record) bool  { return r.Outcome == "success" }
func enriched(r *audit.Record) bool   { return r.Tool.Enrichment.Applied }
func full(r *audit.Record) int64      { return r.Tool.Enrichment.TokensFull }
func dedup(r *audit.Record) int64     { return r.Tool.Enrichment.TokensDedup }
func sessionKey(r *audit.Record) any  { return [3]string{r.Namespace, r.Tenant, r.Actor.SessionID} }
func hasSession(r *audit.Record) bool { return r.Actor.SessionID != "" }
func withSession(rs []*audit.Record) (out []*audit.Record) {
	for _, r := range rs {
		if hasSession(r) {
			out = append(out, r)
		}
	}
	return out
}

func (n naive) Overview(_ context.Context, q *audit.Query) (*analytics.Overview, error) {
	rs := n.calls(q)
	return &analytics.Overview{
		Total: int64(len(rs)), SuccessRate: share(rs, succeeded),
		ErrorCount:     count(rs, func(r *audit.Record) bool { return !succeeded(r) }),
		AvgDurationMS:  average(rs, micros) / 1000,
		UniqueActors:   different(rs, func(r *audit.Record) any { return r.Actor.ID }, ""),
		UniqueTools:    different(rs, func(r *audit.Record) any { return r.Tool.Name }, ""),
		EnrichmentRate: share(rs, enriched),
	}, nil
}

func (n naive) Timeseries(_ context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error) {
	layout := map[analytics.Unit]string{"minute": "2006-01-02T15:04", "hour": "2006-01-02T15", "day": "2006-01-02"}[unit]
	width := map[analytics.Unit]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[unit]
	start, err := time.Parse(layout, q.From.UTC().Format(layout))
	out := []analytics.Bucket{}
	for ; start.Before(q.To); start = start.Add(width) {
		var rs []*audit.Record
		for _, r := range n.calls(q) {
			if r.OccurredAt.UTC().Format(layout) == start.Format(layout) {
				rs = append(rs, r)
			}
		}
		ok := count(rs, succeeded)
		out = append(out, analytics.Bucket{
			Start: start, Count: int64(len(rs)), SuccessCount: ok, ErrorCount: int64(len(rs)) - ok, AvgDurationMS: average(rs, micros) / 1000,
		})
	}
	return out, err
}

func groups(rs []*audit.Record, value func(*audit.Record) string, limit int) []analytics.Group {
	by := map[string][]*audit.Record{}
	for _, r := range rs {
		by[value(r)] = append(by[value(r)], r)
	}
	delete(by, "")
	out := []analytics.Group{}
	for v, rs := range by {
		out = append(out, analytics.Group{Value: v, Count: int64(len(rs)), SuccessRate: share(rs, succeeded), AvgDurationMS: average(rs, micros) / 1000})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Count > out[j].Count || out[i].Count == out[j].Count && out[i].Value < out[j].Value
	})
	return out[:min(limit, len(out))]
}

func (n naive) Breakdown(_ context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error) {
	f, _ := audit.FieldByName(dimension)
	return groups(n.calls(q), func(r *audit.Record) string {
		if dimension == "actor" && r.Actor.Email != "" {
			return r.Actor.Email
		}
		return f.Text(r)
	}, limit), nil
}

func (n naive) Performance(_ context.Context, q *audit.Query) (*analytics.Performance, error) {
	rs := n.calls(q)
	var us []float64
	for _, r := range rs {
		if r.Duration > 0 {
			us = append(us, float64(micros(r)))
		}
	}
	sort.Float64s(us)
	at := func(p float64) float64 {
		if len(us) == 0 {
			return 0
		}
		whole, part := math.Modf(p * float64(len(us)-1))
		low := us[int(whole)]
		if part == 0 {
			return low / 1000
		}
		return (low + float64(part*(us[int(whole)+1]-low))) / 1000
	}
	return &analytics.Performance{
		P50MS: at(0.5), P95MS: at(0.95), P99MS: at(0.99), MaxMS: at(1), AvgMS: average(rs, micros) / 1000,
		AvgRequestBytes:  average(rs, func(r *audit.Record) int64 { return r.Request.Bytes }),
		AvgResponseBytes: average(rs, func(r *audit.Record) int64 { return r.Response.Bytes }),
	}, nil
}

func (n naive) Discovery(_ context.Context, q *audit.Query, kinds analytics.DiscoveryKinds) (*analytics.Discovery, error) {
	looks := func(r *audit.Record) bool { return slices.Contains(kinds.Discovery, r.Tool.Kind) }
	asks := func(r *audit.Record) bool { return slices.Contains(kinds.Query, r.Tool.Kind) }
	rs := n.calls(q)
	by := map[any][]*audit.Record{}
	for _, r := range withSession(rs) {
		by[sessionKey(r)] = append(by[sessionKey(r)], r)
	}
	d := &analytics.Discovery{}
	for _, calls := range by {
		looked, asked, before := count(calls, looks) > 0, count(calls, asks) > 0, true
		for _, query := range calls {
			// Before: some discovery call is earlier than every query call.
			before = before && (!asks(query) || slices.ContainsFunc(calls, func(r *audit.Record) bool {
				return looks(r) && r.OccurredAt.Before(query.OccurredAt)
			}))
		}
		for n, is := range map[*int64]bool{
			&d.TotalSessions: looked || asked, &d.DiscoverySessions: looked, &d.QuerySessions: asked,
			&d.Before: asked && before, &d.Without: asked && !before,
		} {
			if is {
				*n++
			}
		}
	}
	if d.QuerySessions > 0 {
		d.Rate = float64(d.Before) / float64(d.QuerySessions)
	}
	d.TopTools = groups(slices.DeleteFunc(rs, func(r *audit.Record) bool { return !looks(r) }), func(r *audit.Record) string { return r.Tool.Name }, 10)
	return d, nil
}

func (n naive) Enrichment(_ context.Context, q *audit.Query) (*analytics.Enrichment, error) {
	rs := n.calls(q)
	modes := map[string]int64{}
	for _, m := range []string{"full", "summary", "reference", "none"} {
		modes[m] = count(rs, func(r *audit.Record) bool {
			return r.Tool.Enrichment.Mode == m || m == "none" && r.Tool.Enrichment.Mode == ""
		})
	}
	if own := count(rs, func(r *audit.Record) bool { return r.Tool.Enrichment.Mode == "own" }); own > 0 {
		modes["own"] = own
	}
	return &analytics.Enrichment{
		Calls: int64(len(rs)), Enriched: count(rs, enriched), Rate: share(rs, enriched), ByMode: modes,
		TokensFull: total(rs, full), TokensDedup: total(rs, dedup),
		TokensSaved:   total(rs, func(r *audit.Record) int64 { return max(0, full(r)-dedup(r)) }),
		AvgTokensFull: average(rs, full), AvgTokensDedup: average(rs, dedup),
		UniqueSessions: different(withSession(rs), sessionKey, nil),
	}, nil
}

func (n naive) Distinct(_ context.Context, q *audit.Query, column string) ([]string, error) {
	f, _ := audit.FieldByName(column)
	out := []string{}
	for _, r := range n.matching(q) {
		if v := f.Text(r); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	sort.Strings(out)
	return out, nil
}

func (n naive) DistinctPairs(_ context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	fa, _ := audit.FieldByName(a)
	fb, _ := audit.FieldByName(b)
	rs := n.matching(q)
	sort.Slice(rs, func(i, j int) bool {
		if c := rs[i].Position().Compare(rs[j].Position()); c != 0 {
			return c < 0
		}
		return fb.Text(rs[i]) < fb.Text(rs[j])
	})
	out := map[string]string{}
	for _, r := range rs {
		if fa.Text(r) != "" && fb.Text(r) != "" {
			out[fa.Text(r)] = fb.Text(r)
		}
	}
	return out, nil
}
