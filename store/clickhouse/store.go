package clickhouse

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Store is one set of tables. It is safe for concurrent use, and any number of
// processes may have the same tables open.
type Store struct {
	opt     Options
	names   *strings.Replacer
	records string // the name of the table of records
	text    bool   // it has a text index
	conn    driver.Conn

	claims   claims // ids that are being written
	lanes    lanes  // the chains that this process writes
	doubts   doubts // INSERTs of which it is not known whether they ended
	deleting sync.Mutex

	calls     sync.WaitGroup // calls under way, which Close waits for
	mu        sync.RWMutex   // of ending
	ending    bool
	closeOnce sync.Once
	closed    chan struct{}
}

var (
	_ audit.Store    = (*Store)(nil)
	_ audit.Scanner  = (*Store)(nil)
	_ audit.Counter  = (*Store)(nil)
	_ audit.Keeper   = (*Store)(nil)
	_ audit.Pinger   = (*Store)(nil)
	_ audit.Migrator = (*Store)(nil)
	_ audit.Stater   = (*Store)(nil)
	_ chain.Appender = (*Store)(nil)

	_ audit.FreshAppender = (*Store)(nil)
	_ chain.FreshAppender = (*Store)(nil)
	_ chain.Reader        = (*Store)(nil)
)

// bestBatch is a batch whose part costs little a record.
const bestBatch = 5000

// Capabilities implements audit.Store.
func (s *Store) Capabilities() audit.Capabilities {
	return audit.Capabilities{Engine: "clickhouse", Durable: true, Text: s.text, BatchSize: bestBatch}
}

// closePatience is how long Close tries to give its segment back.
const closePatience = 5 * time.Second

// Close implements audit.Store: it waits for the calls under way and gives the
// segment of its chains back. It may be called again.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.ending = true
		s.mu.Unlock()
		s.calls.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		defer cancel()
		s.releaseSegment(ctx)
		_ = s.conn.Close() // there is nothing left that it could lose
		close(s.closed)
	})
	<-s.closed
	return nil
}

// enter begins a call; the caller calls leave at its end.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ending {
		return nil, audit.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, audit.Unavailable("the call was given up", err)
	}
	s.calls.Add(1)
	return s.calls.Done, nil
}

// Ping implements audit.Pinger.
func (s *Store) Ping(ctx context.Context) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return translate(ctx, s.conn.Ping(ctx))
}

// sql puts the prefix into a statement of our own, never into one with values.
func (s *Store) sql(statement string) string { return s.names.Replace(statement) }

func (s *Store) exec(ctx context.Context, statement string) error {
	return translate(ctx, s.conn.Exec(ctx, statement))
}

// row is one row of an answer.
type row struct{ driver.Rows }

// rows calls fn for each row of an answer.
func (s *Store) rows(ctx context.Context, query string, fn func(*row) error) error {
	within, stop := context.WithCancel(ctx)
	defer stop()
	rows, err := s.conn.Query(within, query)
	if err != nil {
		return translate(ctx, err)
	}
	r := row{rows}
	for rows.Next() {
		if err := fn(&r); err != nil {
			stop() // closing would otherwise read the rest of the answer
			_ = rows.Close()
			return translate(ctx, err)
		}
	}
	if err := rows.Err(); err != nil {
		_ = rows.Close() // err says more
		return translate(ctx, err)
	}
	return translate(ctx, rows.Close())
}

// number gives the one number of an answer.
func (s *Store) number(ctx context.Context, query string) (n uint64, err error) {
	err = s.rows(ctx, query, func(r *row) error { return r.Scan(&n) })
	return n, err
}

// State implements audit.Stater.
func (s *Store) State(ctx context.Context) (map[string]string, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	state := map[string]string{"full_text": strconv.FormatBool(s.text), "schema": strconv.Itoa(schemaVersion)}
	err = s.rows(ctx, "SELECT version(),currentDatabase(),count(),sum(rows),sum(bytes_on_disk) FROM system.parts WHERE active AND database=currentDatabase() AND table="+text(s.records),
		func(r *row) error {
			var version, database string
			var parts, records, bytes uint64
			if err := r.Scan(&version, &database, &parts, &records, &bytes); err != nil {
				return err
			}
			state["version"], state["database"] = version, database
			state["parts"], state["records"], state["bytes"] = strconv.FormatUint(parts, 10), strconv.FormatUint(records, 10), strconv.FormatUint(bytes, 10)
			return nil
		})
	if err != nil {
		return nil, err
	}
	n, err := s.number(ctx, s.sql("SELECT uniqExact(namespace,tenant,segment) FROM @heads"))
	state["chains"] = strconv.FormatUint(n, 10)
	return state, err
}
