package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// maxMonths bounds how far ahead partitions are made: each costs every question
// a little.
const maxMonths = 120

// EnsureMonthlyPartitions makes the partitions of the next months that are not
// there, beginning with the next month of UTC. Records of such a month that the
// default partition holds are moved, in the same transaction. The current month
// is left alone: where the tables had no partition for it at its beginning, its
// records are in the default partition and stay there until it is over. Several
// processes may call it at the same time. ErrUnavailable: a transaction that
// does not end is in the way; writing goes on meanwhile, and later calls try again.
func (s *Store) EnsureMonthlyPartitions(ctx context.Context, months int) error {
	if months < 0 || months > maxMonths {
		return audit.Invalid("months", "is %d, want 0 to %d", months, maxMonths)
	}
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	open, stop := s.untilClosed(ctx)
	defer stop()
	current := monthOf(s.opt.Now())
	var failed []error
	for i := range months {
		if err := s.ensure(open, current.AddDate(0, i+1, 0), fenceBytes); err != nil {
			failed = append(failed, s.fail(ctx, err))
			if open.Err() != nil {
				break
			}
		}
	}
	return errors.Join(failed...)
}

const (
	// pastMonths is how far back records get a partition of their own.
	pastMonths = 24
	// pastDelay is how long after its end a month gets one: most of what is late
	// has come in by then.
	pastDelay = 48 * time.Hour
	// pastRecords is how many records a month must have in the default partition
	// for that, and keptRecords how many may be left over when a month's
	// partition is dropped. It is less, or the two would take turns.
	pastRecords = 10_000
	keptRecords = 1_000
	// movedRecords is how many one run moves at most. To move a record costs
	// eight times what it costs to delete it (87 and 10 µs), so months with more
	// stay where they are, and are deleted record by record in their time.
	movedRecords = 200_000
)

// partitionPast gives months that are over, and whose records are in the default
// partition, partitions of their own, the oldest first.
func (s *Store) partitionPast(ctx context.Context) error {
	list, err := s.layout(ctx)
	if err != nil {
		return err
	}
	rest := restOf(list)
	if rest == nil {
		return nil
	}
	if err := s.unfence(ctx, rest); err != nil {
		return err
	}
	now := s.opt.Now()
	room := movedRecords
	for i := pastMonths; i > 0; i-- {
		month := monthOf(now).AddDate(0, -i, 0)
		end := month.AddDate(0, 1, 0)
		if end.Add(pastDelay).After(now) || taken(list, month, end) {
			continue
		}
		var n int
		if err := s.maintenance.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM ONLY `+rest.name+
			` WHERE occurred_at >= $1 AND occurred_at < $2 LIMIT $3) m`, month, end, room+1).Scan(&n); err != nil {
			return err
		}
		if n < pastRecords || n > room {
			continue
		}
		// A fence would refuse late records for as long as the move takes.
		if err := s.ensure(ctx, month, 8*fenceBytes); err != nil {
			return err
		}
		room -= n
	}
	return nil
}

// ensure makes the partition of a month unless its records have one. large is
// from how many bytes on the default partition is fenced.
func (s *Store) ensure(ctx context.Context, month time.Time, large int64) (err error) {
	list, err := s.layout(ctx)
	if err != nil {
		return err
	}
	if taken(list, month, month.AddDate(0, 1, 0)) {
		return nil
	}
	if rest := restOf(list); rest != nil && rest.heap >= large {
		if err := s.fence(ctx, rest, month); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unfenceTime)
				defer cancel()
				err = errors.Join(err, s.unfence(ctx, rest))
			}
		}()
	}
	return s.exclusively(ctx, func(tx pgx.Tx) error { return s.makePartition(ctx, tx, month) })
}

// makePartition makes the partition of a month and moves what the default
// partition has of it. Until the end nobody is held up: the records are deleted
// in one place and inserted in the other, and as long as the transaction has not
// committed everybody else sees them where they were. Then, under a lock that
// excludes all others from the default partition, come those records that were
// added meanwhile, and the new table is attached.
func (s *Store) makePartition(ctx context.Context, tx pgx.Tx, month time.Time) error {
	list, err := s.partitions(ctx, tx)
	if err != nil {
		return err
	}
	from, to := month, month.AddDate(0, 1, 0)
	if taken(list, from, to) {
		return nil // another process was faster
	}
	name, rest := s.sql(monthName(month)), restOf(list)
	// The constraint spares the attachment a look at each record.
	_, err = tx.Exec(ctx, `CREATE TABLE `+name+`(LIKE `+s.sql("@records")+` INCLUDING ALL,
		CONSTRAINT annals_month CHECK (occurred_at >= `+literal(from)+` AND occurred_at < `+literal(to)+`))`)
	if state(err) == stateDuplicateTable {
		return &audit.Error{Code: audit.CodeConflict, Message: "a table named " + name + " is there and is no partition of the records: rename it", Cause: err}
	}
	if err != nil {
		return err
	}
	locks := s.sql(`LOCK TABLE ONLY @records IN SHARE UPDATE EXCLUSIVE MODE`)
	fenced := false
	if rest != nil {
		if fenced, err = s.fenced(ctx, tx, rest, month); err != nil {
			return err
		}
		if err := s.moveMonth(ctx, tx, rest, name, from, to); err != nil {
			return err
		}
		if fenced {
			if _, err := tx.Exec(ctx, `ALTER TABLE `+rest.name+` VALIDATE CONSTRAINT `+fenceName(month)); err != nil {
				return err
			}
		}
		locks += `; LOCK TABLE ONLY ` + rest.name + ` IN ACCESS EXCLUSIVE MODE`
	}
	if err := s.locked(ctx, tx, locks); err != nil {
		return err
	}
	if rest != nil && !fenced { // what came in since
		if _, err := tx.Exec(ctx, moveStatement(rest.name, name), from, to); err != nil {
			return err
		}
	}
	statements := s.sql(`ALTER TABLE @records ATTACH PARTITION `) + name + ` ` + monthBounds(month) + `; ALTER TABLE ` + name + ` DROP CONSTRAINT annals_month`
	if fenced {
		statements += `; ALTER TABLE ` + rest.name + ` DROP CONSTRAINT ` + fenceName(month)
	}
	_, err = tx.Exec(ctx, statements)
	return err
}

// locked takes locks within a transaction, whose work so far survives an attempt that fails.
func (s *Store) locked(ctx context.Context, tx pgx.Tx, locks string) error {
	return s.patiently(ctx, func(wait time.Duration) error {
		return pgx.BeginFunc(ctx, tx, func(part pgx.Tx) error {
			if err := lockTimeout(ctx, part, wait); err != nil {
				return err
			}
			_, err := part.Exec(ctx, locks)
			return err
		})
	})
}

// moveSlice is about how many records one statement moves.
const moveSlice = 10_000

// moveStatement moves the records from $1 up to $2.
func moveStatement(from, to string) string {
	return `WITH moved AS (DELETE FROM ONLY ` + from + ` WHERE occurred_at >= $1 AND occurred_at < $2 RETURNING ` + tableColumns + `)
		INSERT INTO ` + to + `(` + tableColumns + `) SELECT ` + tableColumns + ` FROM moved`
}

// moveMonth moves the records of a period to a table, slice by slice in the order of
// time, as each statement would otherwise pass over all that those before it deleted.
func (s *Store) moveMonth(ctx context.Context, tx pgx.Tx, rest *partition, name string, from, to time.Time) error {
	next := `SELECT occurred_at FROM ONLY ` + rest.name + ` WHERE occurred_at >= $1 AND occurred_at < $2 ORDER BY occurred_at OFFSET $3 LIMIT 1`
	for from.Before(to) {
		end := to
		err := tx.QueryRow(ctx, next, from, to, moveSlice).Scan(&end)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if !from.Before(end) { // more records of one moment than a slice has
			end = from.Add(time.Microsecond)
		}
		if _, err := tx.Exec(ctx, moveStatement(rest.name, name), from, end); err != nil {
			return err
		}
		from = end
	}
	return nil
}
