package clickhouse

import (
	"context"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// Statistics are aggregated by ClickHouse, from the columns that count, and
// exactly: sums in 128 bits, percentiles from the two durations that each lies
// between, distinct sessions by 64 bits of a hash, which any two of n share with a
// chance of n²/2⁶⁵. The arithmetic that is left is that of package analytics.

var _ analytics.Analyzer = (*Store)(nil)

// calls gives the conditions of the calls that the question selects; ok is
// false where there can be none.
func (s *Store) callConditions(q *audit.Query) (conds string, ok bool, err error) {
	calls, ok, err := analytics.Calls(q)
	if err != nil || !ok {
		return "", false, err
	}
	var w where
	if err := s.question(&w, calls); err != nil {
		return "", false, err
	}
	return w.String(), true, nil
}

// statistic asks one question about calls.
func (s *Store) statistic(ctx context.Context, q *audit.Query, ask func(conds string) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	conds, ok, err := s.callConditions(q)
	if err != nil || !ok {
		return err
	}
	return ask(conds)
}

// tally is a select list and what reads it.
type tally struct {
	calls, success, measured uint64
	micros                   big.Int
}

const tallySQL = "count(),countIf(outcome='success'),countIf(duration_ms>0),sumIf(toUInt128(duration_ms),duration_ms>0)"

func (t *tally) dest() []any { return []any{&t.calls, &t.success, &t.measured, &t.micros} }

func (t *tally) tally() analytics.Tally {
	return analytics.Tally{Calls: int64(t.calls), Success: int64(t.success), Measured: int64(t.measured), Micros: sumOf(&t.micros)}
}

var lowWord = new(big.Int).SetUint64(^uint64(0))

func sumOf(n *big.Int) analytics.Sum {
	var high, low big.Int
	return analytics.SumOfWords(high.Rsh(n, 64).Uint64(), low.And(n, lowWord).Uint64())
}

// Overview implements analytics.Analyzer.
func (s *Store) Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error) {
	var sums analytics.OverviewSums
	err := s.statistic(ctx, q, func(conds string) error {
		return s.rows(ctx, "SELECT "+tallySQL+",countIf(enriched!=0),uniqExactIf(actor,actor!=''),uniqExactIf(tool_name,tool_name!='') FROM "+s.records+" WHERE "+conds, func(r *row) error {
			var t tally
			var enriched, actors, tools uint64
			if err := r.Scan(append(t.dest(), &enriched, &actors, &tools)...); err != nil {
				return err
			}
			sums = analytics.OverviewSums{Tally: t.tally(), Enriched: int64(enriched), Actors: int64(actors), Tools: int64(tools)}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return sums.Overview(), nil
}

// Timeseries implements analytics.Analyzer.
func (s *Store) Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error) {
	starts, err := analytics.BucketStarts(q, unit)
	if err != nil {
		return nil, err
	}
	duration, _ := unit.Width()
	width := strconv.FormatInt(duration.Microseconds(), 10)
	tallies := map[int64]analytics.Tally{}
	err = s.statistic(ctx, q, func(conds string) error {
		// The remainder of a time before 1970 is positive, too.
		return s.rows(ctx, "SELECT occurred_at-positiveModulo(occurred_at,"+width+") AS start,"+tallySQL+" FROM "+s.records+" WHERE "+conds+" GROUP BY start", func(r *row) error {
			var t tally
			var start int64
			if err := r.Scan(append([]any{&start}, t.dest()...)...); err != nil {
				return err
			}
			tallies[start] = t.tally()
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return analytics.Buckets(starts, tallies), nil
}

// Breakdown implements analytics.Analyzer.
func (s *Store) Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error) {
	f, limit, err := analytics.CheckBreakdown(dimension, limit)
	if err != nil {
		return nil, err
	}
	groups := map[string]*analytics.Tally{}
	err = s.statistic(ctx, q, func(conds string) error { return s.groups(ctx, groupSQL(f), conds, limit, groups) })
	if err != nil {
		return nil, err
	}
	return analytics.TopGroups(groups, limit), nil
}

// groupSQL gives the value that calls are grouped by.
func groupSQL(f *audit.Field) string {
	switch {
	case f.Name == "actor":
		return "if(actor_email!='',actor_email,actor)"
	case f.Kind == audit.Flag:
		return "if(" + f.Name + "!=0,'true','false')"
	}
	return f.Name
}

func (s *Store) groups(ctx context.Context, value, conds string, limit int, groups map[string]*analytics.Tally) error {
	return s.rows(ctx, "SELECT toString("+value+") AS value_,"+tallySQL+" AS micros_ FROM "+s.records+" WHERE "+conds+" AND value_!='' GROUP BY "+value+" ORDER BY count() DESC,value_ LIMIT "+strconv.Itoa(limit), func(r *row) error {
		var t tally
		var value string
		if err := r.Scan(append([]any{&value}, t.dest()...)...); err != nil {
			return err
		}
		one := t.tally()
		groups[value] = &one
		return nil
	})
}

// Performance implements analytics.Analyzer.
func (s *Store) Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error) {
	var sums analytics.PerformanceSums
	err := s.statistic(ctx, q, func(conds string) error {
		var measured, requests, responses uint64
		var micros, requestBytes, responseBytes big.Int
		err := s.rows(ctx, "SELECT countIf(duration_ms>0),sumIf(toUInt128(duration_ms),duration_ms>0),max(duration_ms),"+
			"countIf(request_bytes>0),sumIf(toUInt128(request_bytes),request_bytes>0),countIf(response_bytes>0),sumIf(toUInt128(response_bytes),response_bytes>0)"+
			" FROM "+s.records+" WHERE "+conds, func(r *row) error {
			return r.Scan(&measured, &micros, &sums.MaxMicros, &requests, &requestBytes, &responses, &responseBytes)
		})
		if err != nil {
			return err
		}
		sums.Measured, sums.Requests, sums.Responses = int64(measured), int64(requests), int64(responses)
		sums.Micros, sums.RequestBytes, sums.ResponseBytes = sumOf(&micros), sumOf(&requestBytes), sumOf(&responseBytes)
		return s.percentiles(ctx, conds, &sums)
	})
	if err != nil {
		return nil, err
	}
	return sums.Performance(), nil
}

// percentiles finds the durations that each percentile lies between. The levels
// are the middles of their ranks, so that no rounding can miss one.
func (s *Store) percentiles(ctx context.Context, conds string, sums *analytics.PerformanceSums) error {
	n := sums.Measured
	if n == 0 {
		return nil
	}
	places := []struct {
		p   float64
		out *float64
	}{{0.50, &sums.P50}, {0.95, &sums.P95}, {0.99, &sums.P99}}
	var levels []string
	for _, at := range places {
		low, high, _ := analytics.PercentileRanks(at.p, n)
		for _, rank := range []int64{low, high} {
			levels = append(levels, strconv.FormatFloat((float64(rank)+0.5)/float64(n), 'g', 17, 64))
		}
	}
	var values []int64
	err := s.rows(ctx, "SELECT quantilesExact("+strings.Join(levels, ",")+")(duration_ms) FROM "+s.records+" WHERE "+conds+" AND duration_ms>0", func(r *row) error {
		return r.Scan(&values)
	})
	if err != nil || len(values) != len(levels) {
		return err
	}
	for i, at := range places {
		_, _, part := analytics.PercentileRanks(at.p, n)
		*at.out = analytics.Interpolate(values[2*i], values[2*i+1], part)
	}
	return nil
}

// Discovery implements analytics.Analyzer.
func (s *Store) Discovery(ctx context.Context, q *audit.Query, kinds analytics.DiscoveryKinds) (*analytics.Discovery, error) {
	kinds, err := analytics.CheckKinds(kinds)
	if err != nil {
		return nil, err
	}
	var counts analytics.SessionCounts
	tools := map[string]*analytics.Tally{}
	err = s.statistic(ctx, q, func(conds string) error {
		discovery, query := "toolkit_kind IN "+texts(kinds.Discovery), "toolkit_kind IN "+texts(kinds.Query)
		err := s.rows(ctx, "SELECT count(),countIf(d>0),countIf(q>0),countIf(d>0 AND q>0 AND fd<fq) FROM ("+
			"SELECT countIf("+discovery+") AS d,countIf("+query+") AS q,minIf(occurred_at,"+discovery+") AS fd,minIf(occurred_at,"+query+") AS fq FROM "+s.records+
			" WHERE "+conds+" AND session!=0 AND ("+discovery+" OR "+query+") GROUP BY session)", func(r *row) error {
			var total, withDiscovery, withQuery, before uint64
			if err := r.Scan(&total, &withDiscovery, &withQuery, &before); err != nil {
				return err
			}
			counts = analytics.SessionCounts{Total: int64(total), WithDiscovery: int64(withDiscovery), WithQuery: int64(withQuery), Before: int64(before)}
			return nil
		})
		if err != nil {
			return err
		}
		return s.groups(ctx, "tool_name", conds+" AND "+discovery, analytics.MaxTopTools, tools)
	})
	if err != nil {
		return nil, err
	}
	return counts.Discovery(analytics.TopGroups(tools, analytics.MaxTopTools)), nil
}

// Enrichment implements analytics.Analyzer.
func (s *Store) Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error) {
	var sums analytics.EnrichmentSums
	err := s.statistic(ctx, q, func(conds string) error {
		sums.Modes = map[string]int64{}
		err := s.rows(ctx, "SELECT toString(enrichment_mode) AS mode_,count(),countIf(enriched!=0),countIf(tokens_full>0),sumIf(toUInt128(tokens_full),tokens_full>0),countIf(tokens_dedup>0),sumIf(toUInt128(tokens_dedup),tokens_dedup>0),"+
			"sumIf(toUInt128(tokens_full-tokens_dedup),tokens_full>tokens_dedup) FROM "+s.records+" WHERE "+conds+" GROUP BY enrichment_mode", func(r *row) error {
			var mode string
			var calls, enriched, withFull, withDedup uint64
			var full, dedup, saved big.Int
			if err := r.Scan(&mode, &calls, &enriched, &withFull, &full, &withDedup, &dedup, &saved); err != nil {
				return err
			}
			sums.Modes[mode] += int64(calls)
			sums.Calls, sums.Enriched = sums.Calls+int64(calls), sums.Enriched+int64(enriched)
			sums.WithFull, sums.WithDedup = sums.WithFull+int64(withFull), sums.WithDedup+int64(withDedup)
			sums.TokensFull.AddSum(sumOf(&full))
			sums.TokensDedup.AddSum(sumOf(&dedup))
			sums.TokensSaved.AddSum(sumOf(&saved))
			return nil
		})
		if err != nil {
			return err
		}
		n, err := s.number(ctx, "SELECT uniqExact(session) FROM "+s.records+" WHERE "+conds+" AND session!=0")
		sums.Sessions = int64(n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return sums.Enrichment(), nil
}

// Distinct implements analytics.Analyzer.
func (s *Store) Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error) {
	f, err := analytics.CheckColumn("column", column)
	if err != nil {
		return nil, err
	}
	conds, leave, err := s.everything(ctx, q)
	if err != nil {
		return nil, err
	}
	defer leave()
	values := []string{}
	err = s.rows(ctx, "SELECT toString("+f.Name+") AS value_ FROM "+s.records+" WHERE "+conds+" AND "+f.Name+"!='' GROUP BY "+f.Name+" ORDER BY value_ LIMIT "+strconv.Itoa(analytics.MaxDistinct+1), func(r *row) error {
		var value string
		if err := r.Scan(&value); err != nil {
			return err
		}
		values = append(values, value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(values) > analytics.MaxDistinct {
		return nil, analytics.TooManyValues(f)
	}
	return values, nil
}

// DistinctPairs implements analytics.Analyzer.
func (s *Store) DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	fa, err := analytics.CheckColumn("a", a)
	if err != nil {
		return nil, err
	}
	fb, err := analytics.CheckColumn("b", b)
	if err != nil {
		return nil, err
	}
	conds, leave, err := s.everything(ctx, q)
	if err != nil {
		return nil, err
	}
	defer leave()
	pairs, tied := map[string]string{}, map[string]bool{}
	newest := map[string]int64{}
	from := " FROM " + s.records + " WHERE " + conds + " AND " + fa.Name + "!='' AND " + fb.Name + "!=''"
	err = s.rows(ctx, "SELECT toString("+fa.Name+") AS a_,toString("+fb.Name+") AS b_,max(occurred_at)"+from+" GROUP BY "+fa.Name+","+fb.Name, func(r *row) error {
		var x, y string
		var at int64
		if err := r.Scan(&x, &y, &at); err != nil {
			return err
		}
		last, known := newest[x]
		switch {
		case !known && len(newest) > analytics.MaxDistinct:
			return analytics.TooManyValues(fa)
		case !known || at > last:
			newest[x], pairs[x] = at, y
			delete(tied, x)
		case at == last:
			tied[x] = true
		}
		return nil
	})
	if err == nil && len(tied) > 0 {
		// Of two of one moment the id decides, which is dear to compare for all.
		values := slices.Sorted(maps.Keys(tied))
		err = s.rows(ctx, "SELECT toString("+fa.Name+") AS a_,argMax(toString("+fb.Name+"),(occurred_at,id,toString("+fb.Name+")))"+from+" AND "+fa.Name+" IN "+texts(values)+" GROUP BY a_", func(r *row) error {
			var x, y string
			if err := r.Scan(&x, &y); err != nil {
				return err
			}
			pairs[x] = y
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	if len(pairs) > analytics.MaxDistinct {
		return nil, analytics.TooManyValues(fa)
	}
	return pairs, nil
}

// everything gives the conditions of a question about every record.
func (s *Store) everything(ctx context.Context, q *audit.Query) (conds string, leave func(), err error) {
	if leave, err = s.enter(ctx); err != nil {
		return "", nil, err
	}
	all, err := analytics.Records(q)
	var w where
	if err == nil {
		err = s.question(&w, all)
	}
	if err != nil {
		leave()
		return "", nil, err
	}
	return w.String(), leave, nil
}
