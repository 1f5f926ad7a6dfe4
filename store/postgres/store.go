package postgres

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-dev/annals/audit"
)

// Store is one set of tables in a database. It is safe for concurrent use, and
// any number of processes may have the same tables open.
type Store struct {
	opt   Options
	names *strings.Replacer
	text  bool // the tables have a full text index

	main        *pgxpool.Pool // writes, chains and what must be strongly consistent
	replica     *pgxpool.Pool // questions and statistics; main where there is no replica
	maintenance *pgxpool.Pool // schema, deletions, sums; main where there is no such user

	scopes  scopes
	blocks  blocks
	rollups rollups

	// The constants of these names, less in tests.
	unitRows, blockUnits, glanceRecords, narrowRecords int

	copySQL   string        // copyStatement of these tables
	beginRead string        // begins a question's transaction
	doors     *doors        // who writes to which scopes in this process
	writing   chan struct{} // has room for one less than there are connections, so that questions find one

	closing   context.Context // ends when Close begins
	close     context.CancelFunc
	routines  sync.WaitGroup // background work that Close waits for
	cleanup   sync.Once      // starts the routine of StartCleanupRoutine
	closeOnce sync.Once
	closed    chan struct{}
}

// bestBatch is a batch that costs little more a record than a larger one.
const bestBatch = 2000

// Capabilities implements audit.Store.
func (s *Store) Capabilities() audit.Capabilities {
	return audit.Capabilities{Engine: "postgres", Durable: true, Text: s.text, BatchSize: bestBatch}
}

// Close implements audit.Store: it ends the routines and waits for them and for
// the calls under way. It may be called again.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.close()
		s.routines.Wait()
		s.closePools()
		close(s.closed)
	})
	<-s.closed
	return nil
}

func (s *Store) closePools() {
	for _, p := range []*pgxpool.Pool{s.main, s.replica, s.maintenance} {
		if p != nil {
			p.Close() // idempotent, as two of them may be one
		}
	}
}

// Ping implements audit.Pinger.
func (s *Store) Ping(ctx context.Context) error {
	return s.fail(ctx, s.main.Ping(ctx))
}

// beginRead begins a question's transaction, which sees one state of the
// database. Compiling a plan (jit) costs more than any question of ours gains.
// Partitions come and go for everybody at once, also for a transaction that sees
// the records as they were before: so none may until its end.
func beginRead(opt Options) string {
	return `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off; SET LOCAL timezone = 'UTC'; SET LOCAL statement_timeout = ` +
		timeoutSetting(opt.StatementTimeout) + `; LOCK TABLE @records IN ACCESS SHARE MODE`
}

// read runs fn in a read-only transaction that sees one state of the database.
// strong reads where the records are written, not from a replica.
func (s *Store) read(ctx context.Context, strong bool, fn func(tx pgx.Tx) error) error {
	pool := s.replica
	if strong {
		pool = s.main
	}
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	return s.fail(ctx, pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: s.beginRead}, fn))
}

// write runs fn in a short writing transaction of its own.
func (s *Store) write(ctx context.Context, pool *pgxpool.Pool, fn func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: beginWrite}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, writeSettings, timeoutSetting(s.opt.StatementTimeout)); err != nil {
			return err
		}
		return fn(tx)
	})
}
