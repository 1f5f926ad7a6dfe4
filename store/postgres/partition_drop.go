package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// maxDays bounds retention in days, about 100 years: more is taken for a mistake.
const maxDays = 36_500

// DropExpiredPartitions drops the partitions that end at or before the given
// number of days ago, and with them their records whenever those were recorded;
// see [Store.DropPartitions] for what survives. Legal holds are read from the
// store. The default partition is never dropped: Cleanup deletes its records.
func (s *Store) DropExpiredPartitions(ctx context.Context, days int) error {
	if err := checkDays(days); err != nil {
		return err
	}
	_, err := s.DropPartitions(ctx, s.opt.Now().AddDate(0, 0, -days), func(ctx context.Context) (audit.Cut, error) {
		holds, err := s.legalHolds(ctx)
		return audit.Cut{RecordedBefore: time.UnixMicro(latest).UTC(), Holds: holds, Reason: olderThan(days)}, err
	})
	return err
}

func checkDays(days int) error {
	if days <= 0 || days > maxDays {
		return audit.Invalid("days", "is %d, want 1 to %d", days, maxDays)
	}
	return nil
}

// olderThan is the reason in anchors, in the words of package retention.
func olderThan(days int) string {
	if days == 1 {
		return "older than 1 day"
	}
	return fmt.Sprintf("older than %d days", days)
}

// DropPartitions drops the partitions that end at or before a time and gives
// their names. What the cut does not select survives, in the default partition:
// what a legal hold protects, what was recorded later, gap and prune records.
// Chained records leave anchors in the same transaction. Where more than a few
// survive, or a chain would be left with too many holes, the partition stays and
// what the cut selects in it is deleted record by record.
//
// cut is asked before each transaction, so that it knows the holds of that
// time. What fails does not keep the other partitions from being dropped.
// ErrUnavailable: a transaction that does not end is in the way.
func (s *Store) DropPartitions(ctx context.Context, end time.Time, cut func(context.Context) (audit.Cut, error)) (dropped []string, err error) {
	if s.closing.Err() != nil {
		return nil, audit.ErrClosed
	}
	open, stop := s.untilClosed(ctx)
	defer stop()
	list, err := s.layout(open)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	var failed []error
	for i := range list {
		p := &list[i]
		if p.rest || p.to.IsZero() || p.to.After(end) {
			continue
		}
		done, err := s.drop(open, p, cut)
		if done {
			dropped = append(dropped, p.bare)
		}
		if err != nil {
			failed = append(failed, s.fail(ctx, err))
			if open.Err() != nil {
				break
			}
		}
	}
	return dropped, errors.Join(failed...)
}

// drop drops one partition, or deletes what the cut selects in it.
func (s *Store) drop(ctx context.Context, p *partition, cut func(context.Context) (audit.Cut, error)) (done bool, err error) {
	var c audit.Cut
	full := true // too much would be left over
	err = s.patiently(ctx, func(wait time.Duration) error {
		if c, err = cut(ctx); err != nil {
			return err
		}
		d := dropping{s: s, p: p, cut: &c, wait: wait}
		if full, err = d.crowded(ctx, s.maintenance); err != nil || full {
			return err
		}
		err = s.exclusively(ctx, func(tx pgx.Tx) error { return d.run(ctx, tx) })
		full = errors.Is(err, errCrowded)
		if full {
			return nil
		}
		done = err == nil && !d.gone
		return err
	})
	for err == nil && full {
		if c, err = cut(ctx); err != nil {
			break
		}
		var n int
		if n, err = s.sweep(ctx, `ONLY `+p.name, &c, sweepBatch); n < sweepBatch {
			break
		}
	}
	return done, err
}

// sweepBatch is how many records one transaction deletes where nobody says so.
const sweepBatch = 10_000

// errCrowded says that more than a few records survive.
var errCrowded = errors.New("postgres: too much of the partition survives")

// dropping is a transaction that drops a partition.
type dropping struct {
	s    *Store
	p    *partition
	cut  *audit.Cut
	wait time.Duration // for a lock that excludes writers
	gone bool          // another process has dropped it
	kept survivors
}

// survivors are the records that a drop leaves, by their primary key.
type survivors struct {
	at        []time.Time
	ids       []string
	scopes    []int32
	sequences []int64
	segments  []string
}

// crowded reports whether more than a few records survive, without a lock.
func (d *dropping) crowded(ctx context.Context, db querier) (bool, error) {
	var w where
	if err := d.surviving(&w); err != nil {
		return false, err
	}
	var n int
	err := db.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM ONLY `+d.p.name+` r WHERE `+w.text()+` LIMIT `+w.arg(keptRecords+1)+`) s`, w.args...).Scan(&n)
	if state(err) == stateUndefinedTable { // dropped meanwhile
		return false, nil
	}
	return n > keptRecords, err
}

// surviving adds the condition that the cut does not select the record.
func (d *dropping) surviving(w *where) error {
	w.add("true")
	list := dueOf(d.cut)
	for i := range list {
		w.and()
		w.add("(")
		if err := d.s.due(w, &list[i]); err != nil {
			return err
		}
		w.add(") IS NOT TRUE")
	}
	return nil
}

func (d *dropping) run(ctx context.Context, tx pgx.Tx) error {
	list, err := d.s.partitions(ctx, tx)
	if err != nil {
		return err
	}
	d.gone = true
	for i := range list {
		d.gone = d.gone && (list[i].oid != d.p.oid || !list[i].to.Equal(d.p.to))
	}
	if d.gone {
		return nil
	}
	// From here on nothing is added to the partition. Others are written to.
	if err := lockTimeout(ctx, tx, d.wait); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `LOCK TABLE ONLY `+d.p.name+` IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return err
	}
	if err := d.findSurvivors(ctx, tx); err != nil {
		return err
	}
	hours, err := d.hours(ctx, tx)
	if err != nil {
		return err
	}
	runs, err := d.runs(ctx, tx)
	if err != nil {
		return err
	}
	// From here on writers wait.
	if err := runs.lock(ctx, d.s, tx); err != nil {
		return err
	}
	locks := d.s.sql(`LOCK TABLE ONLY @records IN ACCESS EXCLUSIVE MODE`)
	if rest := restOf(list); rest != nil {
		locks += `; LOCK TABLE ONLY ` + rest.name + ` IN ACCESS EXCLUSIVE MODE`
	}
	if _, err := tx.Exec(ctx, locks+d.s.sql(`; ALTER TABLE @records DETACH PARTITION `)+d.p.name); err != nil {
		return err
	}
	if len(d.kept.ids) > 0 {
		tag, err := tx.Exec(ctx, d.s.sql(`INSERT INTO @records(`)+tableColumns+`) SELECT `+tableColumns+` FROM ONLY `+d.p.name+
			` WHERE (occurred_at, id, scope) IN (SELECT * FROM unnest($1::timestamptz[], $2::text[]::uuid[], $3::int[]))`, d.kept.at, d.kept.ids, d.kept.scopes)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != int64(len(d.kept.ids)) {
			return &audit.Error{Code: audit.CodeInternal, Message: "records that are to survive could not be moved: the partition stays"}
		}
	}
	if _, err := tx.Exec(ctx, d.s.sql(insertStale), hours); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DROP TABLE `+d.p.name); err != nil {
		return err
	}
	return runs.store(ctx, d.s, tx, d.cut.Reason)
}

func (d *dropping) findSurvivors(ctx context.Context, tx pgx.Tx) error {
	d.kept = survivors{}
	var w where
	if err := d.surviving(&w); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT r.occurred_at, r.id::text, r.scope, coalesce(r.sequence, 0), coalesce(r.segment, '') FROM ONLY `+d.p.name+` r WHERE `+
		w.text()+` LIMIT `+w.arg(keptRecords+1), w.args...)
	if err != nil {
		return err
	}
	var at time.Time
	var id string
	var scope int32
	var sequence int64
	var segment string
	k := &d.kept
	_, err = pgx.ForEachRow(rows, []any{&at, &id, &scope, &sequence, &segment}, func() error {
		k.at, k.ids, k.scopes, k.sequences = append(k.at, at), append(k.ids, id), append(k.scopes, scope), append(k.sequences, sequence)
		k.segments = append(k.segments, segment)
		return nil
	})
	if err == nil && len(k.ids) > keptRecords {
		return errCrowded
	}
	return err
}

// hours gives the hours whose sums change.
func (d *dropping) hours(ctx context.Context, tx pgx.Tx) ([]int64, error) {
	rows, err := tx.Query(ctx, `SELECT DISTINCT extract(epoch FROM date_trunc('hour', occurred_at))::bigint FROM ONLY `+d.p.name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
