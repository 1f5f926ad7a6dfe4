package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// Statistics are answered by the sums of hours and days where the question has
// no filter but time, namespace and tenant, and by the records for the rest of
// the window and for every other question. Everything is exact, but for this,
// where sums are used:
//
//   - percentiles are within 1 % of the exact ones, see
//     analytics.Performance.PercentileError; of at most 10,000 calls they are
//     exact;
//   - of more than some 500,000 sessions, or 1,000,000 actors, counted once in
//     each day, a sample is counted, which is within 1 % (99.9 % of the time).
//
// The answer says which it is, and analytics.WithExact asks the records.

var _ analytics.Analyzer = (*Store)(nil)

// tallySQL counts calls as scanTally reads it.
const tallySQL = `count(*), count(*) FILTER (WHERE r.outcome = 'success'), count(*) FILTER (WHERE r.duration_us > 0),
	sum(r.duration_us) FILTER (WHERE r.duration_us > 0)`

func scanTally(raw [][]byte) (t analytics.Tally, err error) {
	t.Calls, t.Success, t.Measured = bigint(raw[0]), bigint(raw[1]), bigint(raw[2])
	t.Micros, err = numericSum(raw[3])
	return t, err
}

// tallies are the tallies of groups.
type tallies map[string]*analytics.Tally

func (t tallies) add(value []byte, n *analytics.Tally) {
	if len(value) == 0 {
		return
	}
	mine := t[string(value)]
	if mine == nil {
		mine = new(analytics.Tally)
		t[string(value)] = mine
	}
	mergeTally(mine, n)
}

// Overview implements analytics.Analyzer.
func (s *Store) Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error) {
	var out *analytics.Overview
	err := s.statistic(ctx, q, byDays, func(st *statistic) (err error) {
		out, err = st.overview(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return cmp.Or(out, new(analytics.OverviewSums).Overview()), nil
}

func (st *statistic) overview(ctx context.Context) (*analytics.Overview, error) {
	var sum analytics.OverviewSums
	tools := map[string]struct{}{}
	octetsOfIDs := int64(0)
	err := st.sums(ctx, totalColumns+`, tools, octet_length(actor_ids)`, false, func(_ int64, raw [][]byte) (bool, error) {
		packedTools, ids := raw[firstPacked-firstTotal], raw[firstPacked-firstTotal+1]
		n, has := octets(ids)
		if !has || packedTools == nil {
			return false, nil
		}
		octetsOfIDs += n
		var t totals
		if err := t.scan(raw); err != nil {
			return false, err
		}
		mergeTally(&sum.Tally, &t.Tally)
		sum.Enriched += t.enriched
		return true, eachTally(packedTools, func(value []byte, _ *analytics.Tally) {
			if _, tool := splitJoined(value); len(tool) > 0 {
				tools[string(tool)] = struct{}{}
			}
		})
	})
	if err != nil {
		return nil, err
	}
	ids, err := st.sample(ctx, "actor_ids", idBytes, octetsOfIDs)
	if err != nil {
		return nil, err
	}
	var others []uint64
	err = st.rows(ctx, func(_ *where, from string) string {
		return `SELECT ` + tallySQL + `, count(*) FILTER (WHERE r.enriched), r.actor, r.tool_name` + from + ` GROUP BY r.actor, r.tool_name`
	}, func(raw [][]byte) error {
		t, err := scanTally(raw)
		mergeTally(&sum.Tally, &t)
		sum.Enriched += bigint(raw[4])
		if actor := raw[5]; len(actor) > 0 {
			others = append(others, hashOf(actor))
		}
		if tool := raw[6]; len(tool) > 0 {
			tools[string(tool)] = struct{}{}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sum.Actors, sum.Tools = ids.distinct(idBytes, others), int64(len(tools))
	out := sum.Overview()
	out.ActorsError = ids.error()
	return out, nil
}

// Timeseries implements analytics.Analyzer.
func (s *Store) Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error) {
	starts, err := analytics.BucketStarts(q, unit)
	if err != nil {
		return nil, err
	}
	duration, _ := unit.Width()
	width := duration.Microseconds()
	level := map[analytics.Unit]level{analytics.Minute: byRows, analytics.Hour: byHours, analytics.Day: byDays}[unit]
	var buckets map[int64]analytics.Tally
	err = s.statistic(ctx, q, level, func(st *statistic) error {
		buckets = map[int64]analytics.Tally{}
		add := func(at int64, raw [][]byte) error {
			t, err := scanTally(raw)
			at = floor(at, width)
			sum := buckets[at]
			mergeTally(&sum, &t)
			buckets[at] = sum
			return err
		}
		err := st.sums(ctx, `calls, success, measured, micros`, false, func(start int64, raw [][]byte) (bool, error) {
			return true, add(start, raw)
		})
		if err != nil {
			return err
		}
		return st.rows(ctx, func(w *where, from string) string {
			return fmt.Sprintf(`SELECT date_bin('%d microseconds', r.occurred_at, '0001-01-01 00:00:00+00'), `, width) + tallySQL + from + ` GROUP BY 1`
		}, func(raw [][]byte) error { return add(microsOf(raw[0]), raw[1:]) })
	})
	if err != nil {
		return nil, err
	}
	return analytics.Buckets(starts, buckets), nil
}

// Performance implements analytics.Analyzer.
func (s *Store) Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error) {
	var out *analytics.Performance
	err := s.statistic(ctx, q, byDays, func(st *statistic) (err error) {
		if !st.parts.summed() {
			out, err = st.exactPerformance(ctx)
			return err
		}
		out, err = st.performance(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return cmp.Or(out, new(analytics.PerformanceSums).Performance()), nil
}

// sizesSQL are sums of what Performance needs besides percentiles.
const sizesSQL = `count(*) FILTER (WHERE r.duration_us > 0), sum(r.duration_us) FILTER (WHERE r.duration_us > 0), max(r.duration_us),
	count(*) FILTER (WHERE r.request_bytes > 0), sum(r.request_bytes) FILTER (WHERE r.request_bytes > 0),
	count(*) FILTER (WHERE r.response_bytes > 0), sum(r.response_bytes) FILTER (WHERE r.response_bytes > 0)`

// addSizes adds a row of sizesSQL.
func addSizes(sum *analytics.PerformanceSums, raw [][]byte) error {
	var sums [3]analytics.Sum
	for i, column := range []int{1, 4, 6} {
		var err error
		if sums[i], err = numericSum(raw[column]); err != nil {
			return err
		}
	}
	sum.Measured += bigint(raw[0])
	sum.Micros.AddSum(sums[0])
	sum.MaxMicros = max(sum.MaxMicros, bigint(raw[2]))
	sum.Requests += bigint(raw[3])
	sum.RequestBytes.AddSum(sums[1])
	sum.Responses += bigint(raw[5])
	sum.ResponseBytes.AddSum(sums[2])
	return nil
}

// exactPerformance asks the records only.
func (st *statistic) exactPerformance(ctx context.Context) (*analytics.Performance, error) {
	var sum analytics.PerformanceSums
	err := st.rows(ctx, func(_ *where, from string) string {
		sql := `SELECT ` + sizesSQL
		for _, p := range []string{"0.5", "0.95", "0.99"} {
			sql += `, percentile_cont(` + p + `) WITHIN GROUP (ORDER BY r.duration_us::float8) FILTER (WHERE r.duration_us > 0)`
		}
		return sql + from
	}, func(raw [][]byte) error {
		float := func(b []byte) float64 { return math.Float64frombits(uint64(bigint(b))) }
		sum.P50, sum.P95, sum.P99 = float(raw[7]), float(raw[8]), float(raw[9])
		return addSizes(&sum, raw)
	})
	return sum.Performance(), err
}

// alwaysExact is how many calls have exact percentiles in any case, as so many
// records are read fast enough.
const alwaysExact = 10_000

func (st *statistic) performance(ctx context.Context) (*analytics.Performance, error) {
	var sum analytics.PerformanceSums
	var durations histogram
	err := st.sums(ctx, totalColumns+", durations", false, func(_ int64, raw [][]byte) (bool, error) {
		var t totals
		if err := t.scan(raw); err != nil {
			return false, err
		}
		sum.Measured += t.Measured
		sum.Micros.AddSum(t.Micros)
		sum.MaxMicros = max(sum.MaxMicros, t.maxMicros)
		sum.Requests += t.requests
		sum.RequestBytes.AddSum(t.requestBytes)
		sum.Responses += t.responses
		sum.ResponseBytes.AddSum(t.responseBytes)
		return true, durations.unpack(raw[firstPacked-firstTotal])
	})
	if err != nil {
		return nil, err
	}
	err = st.rows(ctx, func(_ *where, from string) string {
		return `SELECT CASE WHEN r.duration_us > 0 THEN ` + bucketSQL + ` END, ` + sizesSQL + from + ` GROUP BY 1`
	}, func(raw [][]byte) error {
		if bucket, measured := octets(raw[0]); measured {
			durations.add(int(min(bucket, maxBucket)), bigint(raw[1]))
		}
		return addSizes(&sum, raw[1:])
	})
	if err != nil {
		return nil, err
	}
	if sum.Measured <= cmp.Or(st.s.rollups.exactCalls, alwaysExact) {
		st.parts = fromRows(st.window)
		return st.exactPerformance(ctx)
	}
	sum.P50 = durations.percentile(0.50, sum.Measured, sum.MaxMicros)
	sum.P95 = durations.percentile(0.95, sum.Measured, sum.MaxMicros)
	sum.P99 = durations.percentile(0.99, sum.Measured, sum.MaxMicros)
	out := sum.Performance()
	out.PercentileError = percentileError
	return out, nil
}

// Breakdown implements analytics.Analyzer.
func (s *Store) Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error) {
	f, limit, err := analytics.CheckBreakdown(dimension, limit)
	if err != nil {
		return nil, err
	}
	groups := tallies{}
	err = s.statistic(ctx, q, breakdownLevel(f), func(st *statistic) error {
		groups = tallies{}
		return st.breakdown(ctx, f, limit, groups)
	})
	if err != nil {
		return nil, err
	}
	return analytics.TopGroups(groups, limit), nil
}

func breakdownLevel(f *audit.Field) level {
	switch f.Name {
	case "namespace", "tenant", "tool_name", "toolkit_kind", "actor", "actor_email":
		return byDays
	}
	if slices.Contains(summedDimensions, f) {
		return byDays
	}
	return byRows
}

func (st *statistic) breakdown(ctx context.Context, f *audit.Field, limit int, groups tallies) error {
	if f.Name == "namespace" || f.Name == "tenant" {
		return st.breakdownByScope(ctx, f, groups)
	}
	column, tallies := packedGroups(f, groups)
	err := st.sums(ctx, column, false, func(_ int64, raw [][]byte) (bool, error) { return tallies(raw[0]) })
	if err != nil {
		return err
	}
	value := "r." + f.Name
	switch {
	case f.Name == "actor":
		value = "coalesce(r.actor_email, r.actor)"
	case f.Kind == audit.Flag:
		value = "CASE WHEN r." + f.Name + " THEN 'true' ELSE 'false' END"
	}
	return st.rows(ctx, func(w *where, from string) string {
		sql := `SELECT ` + value + `, ` + tallySQL + from + ` AND ` + value + ` <> '' GROUP BY 1`
		if !st.parts.summed() && len(st.parts.rows) == 1 { // they need not be merged
			sql += ` ORDER BY 2 DESC, 1 LIMIT ` + w.arg(limit)
		}
		return sql
	}, func(raw [][]byte) error {
		t, err := scanTally(raw[1:])
		groups.add(raw[0], &t)
		return err
	})
}

// packedGroups gives the column with a dimension's tallies, and who adds it to
// groups; has is false where the column does not hold them.
func packedGroups(f *audit.Field, groups tallies) (column string, add func([]byte) (has bool, err error)) {
	column = "dimensions"
	of := func(value []byte) []byte { return value }
	switch f.Name {
	case "toolkit_kind":
		column, of = "tools", func(value []byte) []byte { kind, _ := splitJoined(value); return kind }
	case "tool_name":
		column, of = "tools", func(value []byte) []byte { _, tool := splitJoined(value); return tool }
	case "actor_email":
		column, of = "actors", func(value []byte) []byte { _, email := splitJoined(value); return email }
	case "actor":
		column, of = "actors", func(value []byte) []byte {
			id, email := splitJoined(value)
			if len(email) > 0 {
				return email
			}
			return id
		}
	}
	return column, func(b []byte) (bool, error) {
		if column == "dimensions" {
			var err error
			if b, err = packedDimension(b, f.Tag); err != nil {
				return false, err
			}
		}
		if b == nil {
			return false, nil
		}
		return true, eachTally(b, func(value []byte, t *analytics.Tally) { groups.add(of(value), t) })
	}
}

// breakdownByScope groups by namespace or tenant.
func (st *statistic) breakdownByScope(ctx context.Context, f *audit.Field, groups tallies) error {
	byScope := map[int32]*analytics.Tally{}
	add := func(raw [][]byte) error {
		number, _ := octets(raw[0])
		scope := int32(number)
		t, err := scanTally(raw[1:])
		if byScope[scope] == nil {
			byScope[scope] = new(analytics.Tally)
		}
		mergeTally(byScope[scope], &t)
		return err
	}
	err := st.sums(ctx, `scope, calls, success, measured, micros`, true, func(_ int64, raw [][]byte) (bool, error) { return true, add(raw) })
	if err != nil {
		return err
	}
	err = st.rows(ctx, func(_ *where, from string) string {
		return `SELECT r.scope, ` + tallySQL + from + ` GROUP BY 1`
	}, add)
	if err != nil {
		return err
	}
	for scope, t := range byScope {
		name, err := st.s.scopeName(ctx, st.tx, scope)
		if err != nil {
			return err
		}
		groups.add([]byte(f.Text(&audit.Record{Event: audit.Event{Namespace: name.Namespace, Tenant: name.Tenant}})), t)
	}
	return nil
}
