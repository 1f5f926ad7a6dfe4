package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// Maintenance is what changes more than it adds: deletions and partitions. Each
// of its transactions takes one advisory lock of these tables, so that of all
// processes one works at a time. It is a lock of the transaction, not of the
// session, which a pooler might hand to somebody else.
//
// Locks are taken in one order: this one, the scopes that a transaction leaves
// anchors in, tables. Writers take the last two in the same order.

// maintenanceSettings make a transaction of maintenance independent of what the
// database's or the user's defaults say. Bounds of partitions are read as text.
const maintenanceSettings = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '5min';
	SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL jit = off; SET LOCAL enable_seqscan = off`

const stateDuplicateTable = "42P07"

// maintenanceWait is how long a transaction waits for another one's maintenance.
const maintenanceWait = 30 * time.Second

// exclusively runs fn in a transaction of maintenance.
func (s *Store) exclusively(ctx context.Context, fn func(tx pgx.Tx) error) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	ctx, stop := s.untilClosed(ctx)
	defer stop()
	return pgx.BeginTxFunc(ctx, s.maintenance, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, maintenanceSettings); err != nil {
			return err
		}
		if err := lockTimeout(ctx, tx, maintenanceWait); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, s.lockID("maintenance")); err != nil {
			if state(err) == stateLockNotAvailable {
				return audit.Unavailable("another process has been maintaining the tables for a long time", err)
			}
			return err
		}
		return fn(tx)
	})
}

// untilClosed gives a context that ends with the store, too.
func (s *Store) untilClosed(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// lockTimeout bounds how long the statements of a transaction wait for a lock from now on.
func lockTimeout(ctx context.Context, tx pgx.Tx, d time.Duration) error {
	_, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, timeoutSetting(d))
	return err
}

// A lock that excludes writers is waited for only briefly, because those that
// come after queue behind the wait, whatever it is for: a reader that takes six
// seconds would stop all writing for as long. So the wait ends, the others go
// on for some times as long as they were held up, and the next wait is longer.
const (
	lockAttempts  = 9
	firstLockWait = 50 * time.Millisecond
	lockRest      = 4 // how long the others go on, in times of the wait
	longestRest   = 4 * time.Second
)

// lockWait is how long the attempt may wait, counted from 0.
func (s *Store) lockWait(attempt int) time.Duration {
	return min(firstLockWait<<attempt, s.opt.LockTimeout)
}

// rest lets the others go on after an attempt.
func (s *Store) rest(ctx context.Context, attempt int) error {
	d := min(lockRest*s.lockWait(attempt), longestRest)
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing.Done():
		return audit.ErrClosed
	}
}

// blocked reports whether another transaction's locks were in the way, and
// nobody has drawn a conclusion from that yet.
func blocked(err error) bool {
	var ours *audit.Error
	if errors.As(err, &ours) {
		return false
	}
	switch state(err) {
	case stateLockNotAvailable, stateDeadlock:
		return true
	}
	return false
}

// errBusy is what the last attempt ends in.
func errBusy(cause error) error {
	return audit.Unavailable("a transaction that does not end holds on to the records: the partitions stay as they are until the next run", cause)
}

// patiently runs a transaction until no lock is in the way. fn is told how long
// it may wait for one.
func (s *Store) patiently(ctx context.Context, fn func(wait time.Duration) error) error {
	for attempt := 0; ; attempt++ {
		err := fn(s.lockWait(attempt))
		if !blocked(err) {
			return err
		}
		if attempt+1 == lockAttempts {
			return errBusy(err)
		}
		if err := s.rest(ctx, attempt); err != nil {
			return err
		}
	}
}

// Maintain keeps the tables in order: it gives months that are past partitions
// of their own, removes superseded rows of small tables, and brings the block
// indexes up to date. It may be run at any time, and by several processes.
// What fails does not keep the rest from being done.
func (s *Store) Maintain(ctx context.Context) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	open, stop := s.untilClosed(ctx)
	defer stop()
	return s.fail(ctx, s.maintain(open))
}

func (s *Store) maintain(ctx context.Context) error {
	var failed []error
	for _, step := range []func(context.Context) error{s.settleBlocks, s.summarize, s.compact, s.partitionPast} {
		if err := step(ctx); err != nil {
			failed = append(failed, s.fail(ctx, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// tend is the part of it that must follow closely behind the writers. Of what
// fails here Maintain tells, which does it again. A block has so many units.
func (s *Store) tend(ctx context.Context, units int) {
	_ = s.settle(ctx, units)
	_ = s.summarize(ctx)
}
