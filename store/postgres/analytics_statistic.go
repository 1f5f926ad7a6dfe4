package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// statistic is one statistic that is being answered, in one snapshot.
type statistic struct {
	s      *Store
	tx     pgx.Tx
	window interval
	// scopes are those that the question is about; all says that it is about
	// every one. some may be none.
	scopes []int32
	all    bool
	where  where  // the conditions on records but for the window
	join   string // what the records are joined with
	lookUp bool   // an index that begins with the block can serve one of the conditions
	parts  *pieces
}

// lockForStatistic keeps partitions from coming and going between the snapshot
// and the records: what a partition loses is not seen in it, as the rest is.
const lockForStatistic = `LOCK TABLE @records IN ACCESS SHARE MODE; `

// statisticSettings leave what reads many records to PostgreSQL's own choice of
// plan, with room for the groups of some 100,000 values.
var statisticSettings = modes[byCost] +
	`; SELECT set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')), 33554432) / 1024 || 'kB', true)`

// statistic runs fn for a question about calls; it does not run where no call
// can meet it. byDay says whether sums of whole days may serve, byHour whether
// those of hours.
func (s *Store) statistic(ctx context.Context, q *audit.Query, level level, fn func(*statistic) error) error {
	calls, ok, err := analytics.Calls(q)
	if err != nil || !ok {
		return err
	}
	if err := s.canAnswer(calls); err != nil {
		return err
	}
	return s.snapshot(ctx, calls, func(st *statistic) error {
		if st.window.empty() || !st.all && len(st.scopes) == 0 {
			return nil
		}
		if level == byRows || analytics.Exact(ctx) || !summable(calls) {
			st.parts = fromRows(st.window)
			return fn(st)
		}
		return st.withSums(ctx, level, fn)
	})
}

// level says which sums may serve a statistic.
type level int

const (
	byRows level = iota
	byHours
	byDays
)

// canAnswer refuses what these tables have no index for.
func (s *Store) canAnswer(q *audit.Query) error {
	if q.Text != "" && !s.text {
		return &audit.Error{Code: audit.CodeUnsupported, Field: audit.ParamText, Message: "the tables were made without a full text index"}
	}
	return nil
}

// snapshot runs fn in a transaction with what the question says.
func (s *Store) snapshot(ctx context.Context, q *audit.Query, fn func(*statistic) error) error {
	return s.read(ctx, false, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql(lockForStatistic)+statisticSettings); err != nil {
			return err
		}
		st := &statistic{s: s, tx: tx, window: windowOf(q)}
		if err := st.conditions(ctx, q); err != nil {
			return err
		}
		return fn(st)
	})
}

// conditions translates the question but for its window.
func (st *statistic) conditions(ctx context.Context, q *audit.Query) error {
	for i := range q.Filters {
		f := &q.Filters[i]
		if f.Field == "namespace" || f.Field == "tenant" {
			continue
		}
		if err := st.where.filter(f, true); err != nil {
			return err
		}
		st.lookUp = st.lookUp || slices.Contains(indexed, f.Field) && f.Op != audit.OpNot ||
			f.Field == "outcome" && f.Op == audit.OpIs && !slices.ContainsFunc(f.Values, func(v string) bool { return !audit.Outcome(v).Failed() })
	}
	a := &ask{s: st.s, ctx: ctx, tx: st.tx}
	if q.Open {
		blocks, err := a.allBlocks()
		if err != nil {
			return err
		}
		numbers := make([]int32, len(blocks))
		for i, b := range blocks {
			numbers[i] = b.number
		}
		slices.Reverse(numbers) // an outcome is mostly near the newest, as the intent is
		intents := audit.Is("outcome", string(audit.Pending))
		if err := st.where.filter(&intents, true); err != nil {
			return err
		}
		st.where.open(numbers)
	}
	if q.Text != "" {
		terms, err := audit.ParseText(q.Text)
		if err != nil {
			return err
		}
		st.where.words(terms)
	}
	var err error
	st.scopes, st.all, err = a.scopesOf(q.Filters)
	if err != nil || st.all {
		return err
	}
	st.lookUp = true
	st.where.and()
	st.where.add("r.scope = ANY(", st.where.arg(st.scopes), "::int[])")
	return nil
}

// summable reports whether the sums can answer the question: they are of all
// calls of a scope.
func summable(calls *audit.Query) bool {
	for i := range calls.Filters {
		f := &calls.Filters[i]
		switch f.Field {
		case "namespace", "tenant":
		case "kind":
			if f.Op != audit.OpIs {
				return false
			}
		case "outcome":
			if f.Op != audit.OpNot || !slices.Equal(f.Values, []string{string(audit.Pending)}) {
				return false
			}
		default:
			return false
		}
	}
	return calls.Text == ""
}

// lacking says that a period has sums, but not those that are wanted.
type lacking struct{ hours, days []int64 }

func (*lacking) Error() string { return "sums are lacking" }

// withSums shares out the window and runs fn; again with fewer sums where it
// finds that some are lacking.
func (st *statistic) withSums(ctx context.Context, level level, fn func(*statistic) error) error {
	notHours, err := st.staleHours(ctx)
	if err != nil {
		return err
	}
	var notDays []int64
	for {
		st.parts = cut(st.window, notHours, notDays, level == byDays)
		err := fn(st)
		less, ok := err.(*lacking)
		if !ok {
			return err
		}
		notHours, notDays = append(notHours, less.hours...), append(notDays, less.days...)
	}
}

// staleHours gives the hours of the window whose sums are not to be trusted.
func (st *statistic) staleHours(ctx context.Context) ([]int64, error) {
	rows, err := st.tx.Query(ctx, st.s.sql(`SELECT hour FROM @stale WHERE hour >= $1 AND hour < $2 GROUP BY hour`),
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, timeOf(st.window.from), timeOf(st.window.to))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		out = append(out, microsOf(rows.RawValues()[0]))
	}
	return out, rows.Err()
}

func timesOf(micros []int64) []time.Time {
	out := make([]time.Time, len(micros))
	for i, n := range micros {
		out[i] = timeOf(n)
	}
	return out
}

// rows runs a statement over the records of each part that is answered by them.
// make builds it of FROM and WHERE, and may add arguments.
func (st *statistic) rows(ctx context.Context, build func(w *where, from string) string, fn func(raw [][]byte) error) error {
	for _, part := range st.parts.rows {
		var w where
		w.args = slices.Clone(st.where.args)
		w.add(st.where.sql.String())
		if part.from > earliest {
			w.and()
			w.add("r.occurred_at >= ", w.arg(timeOf(part.from)))
		}
		if part.to < latest {
			w.and()
			w.add("r.occurred_at < ", w.arg(timeOf(part.to)))
		}
		if st.lookUp && part.to-part.from > hourMicros {
			numbers, err := st.blocks(ctx, part)
			if err != nil {
				return err
			}
			w.and()
			w.add("r.block = ANY(", w.arg(numbers), "::int[])")
		}
		from := " FROM @records r" + st.join + " WHERE " + w.text()
		if err := st.each(ctx, build(&w, from), w.args, fn); err != nil {
			return err
		}
	}
	return nil
}

// blocks gives the numbers of the blocks that may have records of a time. To
// name them lets PostgreSQL go by an index that begins with them.
func (st *statistic) blocks(ctx context.Context, part interval) ([]int32, error) {
	blocks, err := st.s.loadBlocks(ctx, st.tx)
	if err != nil {
		return nil, err
	}
	numbers := make([]int32, 0, len(blocks))
	for _, b := range blocks {
		if b.min < part.to && b.max >= part.from {
			numbers = append(numbers, b.number)
		}
	}
	return numbers, nil
}

// each runs a statement and gives its rows in binary form.
func (st *statistic) each(ctx context.Context, sql string, args []any, fn func(raw [][]byte) error) error {
	rows, err := st.tx.Query(ctx, st.s.sql(sql), append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.RawValues()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// sumsSQL gives the statement that reads columns of the sums; $1 onwards are args.
// Its first two columns are hours and start.
func (st *statistic) sumsSQL(columns string, byScope bool) (string, []any) {
	var w where
	var parts []string
	scopes := "whole"
	switch {
	case !st.all:
		scopes = "scope = ANY(" + w.arg(st.scopes) + "::int[])"
	case byScope:
		scopes = "scope > 0"
	}
	add := func(hours string, conditions ...string) {
		parts = append(parts, "SELECT hours, start, "+columns+" FROM @rollup_sums WHERE "+scopes+" AND hours = "+hours+" AND "+strings.Join(conditions, " AND "))
	}
	within := func(i interval) string {
		return "start >= " + w.arg(timeOf(i.from)) + " AND start < " + w.arg(timeOf(i.to))
	}
	if p := st.parts; !p.days.empty() {
		if len(p.notDays) > 0 {
			add("24", within(p.days), "start <> ALL("+w.arg(timesOf(p.notDays))+")")
		} else {
			add("24", within(p.days))
		}
	}
	for _, part := range st.parts.hours {
		if len(st.parts.notHours) > 0 {
			add("1", within(part), "start <> ALL("+w.arg(timesOf(st.parts.notHours))+")")
		} else {
			add("1", within(part))
		}
	}
	if len(st.parts.single) > 0 {
		add("1", "start = ANY("+w.arg(timesOf(st.parts.single))+")")
	}
	return strings.Join(parts, " UNION ALL "), w.args
}

// sums gives columns of the sums that are used. Where fn says that they are
// lacking, the period's hours or records are asked instead: the rows are gone
// through to the end first.
func (st *statistic) sums(ctx context.Context, columns string, byScope bool, fn func(start int64, raw [][]byte) (has bool, err error)) error {
	if !st.parts.summed() {
		return nil
	}
	sql, args := st.sumsSQL(columns, byScope)
	var less lacking
	err := st.each(ctx, sql, args, func(raw [][]byte) error {
		start := microsOf(raw[1])
		has, err := fn(start, raw[2:])
		switch {
		case err != nil || has:
		case raw[0][1] == 1:
			less.hours = append(less.hours, start)
		default:
			less.days = append(less.days, start)
		}
		return err
	})
	if err == nil && len(less.hours)+len(less.days) > 0 {
		return &less
	}
	return err
}
