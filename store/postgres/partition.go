package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// partition is one of the tables that hold the records.
type partition struct {
	oid      uint32
	name     string    // with what it takes to be found, quoted where it must be
	bare     string    // the name alone
	rest     bool      // the default partition
	from, to time.Time // inclusive and exclusive; zero is without a bound
	records  int64     // an estimate
	bytes    int64     // with its indexes
	heap     int64     // without them
}

// overlaps reports whether the partition holds records of the period.
func (p *partition) overlaps(from, to time.Time) bool {
	return !p.rest && (p.to.IsZero() || from.Before(p.to)) && (p.from.IsZero() || p.from.Before(to))
}

// selectPartitions reads the bounds as this session writes them. What is dropped
// meanwhile has none any more, or no size.
const selectPartitions = `SELECT oid, name, bare, bound = 'DEFAULT',
		CASE WHEN isfinite(low) THEN low END, CASE WHEN isfinite(high) THEN high END, greatest(records, 0)::bigint, bytes, heap
	FROM (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relname::text AS bare, b.bound, c.reltuples AS records, pg_total_relation_size(c.oid) AS bytes, pg_relation_size(c.oid) AS heap,
			substring(b.bound from 'FROM \(''([^'']*)''\)')::timestamptz AS low, substring(b.bound from 'TO \(''([^'']*)''\)')::timestamptz AS high
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
		WHERE i.inhparent = to_regclass($1) AND NOT i.inhdetachpending) p
	WHERE bound IS NOT NULL AND bytes IS NOT NULL AND heap IS NOT NULL
	ORDER BY low NULLS FIRST, bare`

// partitions gives the partitions as they are now, the default one among them.
// They are read from the catalogue, so those that somebody else made count too.
func (s *Store) partitions(ctx context.Context, db querier) ([]partition, error) {
	rows, err := db.Query(ctx, selectPartitions, s.sql("@records"))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p partition, err error) {
		var from, to *time.Time
		err = row.Scan(&p.oid, &p.name, &p.bare, &p.rest, &from, &to, &p.records, &p.bytes, &p.heap)
		if from != nil {
			p.from = from.UTC()
		}
		if to != nil {
			p.to = to.UTC()
		}
		return p, err
	})
}

// layout is partitions, outside of a transaction.
func (s *Store) layout(ctx context.Context) (list []partition, err error) {
	err = pgx.BeginTxFunc(ctx, s.maintenance, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'`); err != nil {
			return err
		}
		list, err = s.partitions(ctx, tx)
		return err
	})
	return list, err
}

// restOf gives the default partition, nil where there is none.
func restOf(list []partition) *partition {
	if i := slices.IndexFunc(list, func(p partition) bool { return p.rest }); i >= 0 {
		return &list[i]
	}
	return nil
}

// taken reports whether records of the period have a partition already.
func taken(list []partition, from, to time.Time) bool {
	return slices.ContainsFunc(list, func(p partition) bool { return p.overlaps(from, to) })
}

// EachPartition gives the partitions of the records to fn, the oldest first: the
// name, the first time and the one after the last, zero where there is none,
// about how many records it has, and its size in bytes with its indexes. The one
// without any bound holds what has no month of its own.
func (s *Store) EachPartition(ctx context.Context, fn func(name string, from, to time.Time, records, bytes int64) error) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	open, stop := s.untilClosed(ctx)
	defer stop()
	list, err := s.layout(open)
	if err != nil {
		return s.fail(ctx, err)
	}
	for _, p := range list {
		if err := fn(p.bare, p.from, p.to, p.records, p.bytes); err != nil {
			return err
		}
	}
	return nil
}

// monthOf gives the beginning of the month, of UTC, that the time is in.
func monthOf(t time.Time) time.Time {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
}

// monthName is the name of the partition of a month.
func monthName(month time.Time) string {
	return fmt.Sprintf("@records_%04d_%02d", month.Year(), month.Month())
}

// literal writes a time for a statement that takes no parameters.
func literal(t time.Time) string { return "'" + t.UTC().Format("2006-01-02 15:04:05") + "+00'" }

// monthBounds writes the bounds of a month's partition.
func monthBounds(month time.Time) string {
	return "FOR VALUES FROM (" + literal(month) + ") TO (" + literal(month.AddDate(0, 1, 0)) + ")"
}

// monthsAhead is how many months after the current one have a partition
// beforehand: maintenance that stands still for two of them does no harm.
const monthsAhead = 3

// firstPartitions are the statements that give new tables, which have no records
// yet, partitions for the current month and the next.
func firstPartitions(now time.Time) []string {
	var out []string
	for i := range monthsAhead + 1 {
		month := monthOf(now).AddDate(0, i, 0)
		out = append(out, "CREATE TABLE "+monthName(month)+" PARTITION OF @records "+monthBounds(month))
	}
	return out
}

// tableColumns are the columns of the records, for statements that move them.
var tableColumns = func() string {
	names := []string{columnBlock, columnScope}
	for _, f := range columns {
		names = append(names, column(f))
	}
	return strings.Join(append(names, columnSearch), ", ")
}()
