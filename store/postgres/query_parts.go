package postgres

import (
	"math"
	"strings"
	"time"
)

// part is a partition of the records; from and to bound its times, in
// microseconds, both inclusive.
type part struct {
	name     string // with its schema, quoted
	from, to int64
}

const selectParts = `SELECT format('%I.%I', n.nspname, c.relname), coalesce(pg_get_expr(c.relpartbound, c.oid), '')
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE i.inhparent = to_regclass($1) AND NOT i.inhdetachpending`

// partitions gives the partitions as the transaction sees them. Statements that
// go by an index which knows nothing of times name them one by one: a condition
// on the time, by which PostgreSQL would choose them, would let it go by the
// primary key instead.
func (a *ask) partitions() ([]part, error) {
	if a.parts != nil {
		return a.parts, nil
	}
	rows, err := a.tx.Query(a.ctx, selectParts, a.s.sql("@records"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p part
		var bound string
		if err := rows.Scan(&p.name, &bound); err != nil {
			return nil, err
		}
		p.from, p.to = boundsOf(bound)
		a.parts = append(a.parts, p)
	}
	return a.parts, rows.Err()
}

// boundsOf reads what pg_get_expr says of a range partition, in UTC and in the
// date style ISO; what it cannot read is unbounded.
func boundsOf(text string) (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	rest, ok := strings.CutPrefix(text, "FOR VALUES FROM (")
	if !ok {
		return from, to // the default partition
	}
	lower, upper, _ := strings.Cut(strings.TrimSuffix(rest, ")"), ") TO (")
	if t, ok := boundOf(lower); ok {
		from = t
	}
	if t, ok := boundOf(upper); ok {
		to = t - 1
	}
	return from, to
}

func boundOf(text string) (int64, bool) {
	t, err := time.Parse("2006-01-02 15:04:05.999999-07", strings.Trim(text, "'"))
	return t.UnixMicro(), err == nil
}
