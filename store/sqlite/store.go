package sqlite

import (
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Store is one open file. It is safe for concurrent use.
type Store struct {
	opt  Options
	text bool // the file has a full text index

	writer  chan *writer // holds the one that writes while nobody does
	readers *pool
	commits atomic.Int64 // transactions that had the write lock, or waited for it in vain

	selectByN, selectByID string

	fill int64 // how many places of each block are given out; tests give out few

	closing     chan struct{}
	closeOnce   sync.Once
	closeResult chan error
}

var (
	_ audit.Store        = (*Store)(nil)
	_ audit.Scanner      = (*Store)(nil)
	_ audit.Counter      = (*Store)(nil)
	_ audit.Keeper       = (*Store)(nil)
	_ audit.Pinger       = (*Store)(nil)
	_ audit.Migrator     = (*Store)(nil)
	_ audit.Stater       = (*Store)(nil)
	_ chain.Appender     = (*Store)(nil)
	_ chain.Reader       = (*Store)(nil)
	_ analytics.Analyzer = (*Store)(nil)
)

// bestBatch is a batch that costs little more a record than a larger one.
const bestBatch = 1000

// Capabilities implements audit.Store.
func (s *Store) Capabilities() audit.Capabilities {
	return audit.Capabilities{Engine: "sqlite", Durable: true, Text: s.text, BatchSize: bestBatch}
}

// Close implements audit.Store: it waits for the calls under way. It may be called again.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		err := s.readers.close()
		if !s.opt.ReadOnly {
			// The last connection copies the write-ahead log into the database.
			w := <-s.writer
			if e := w.Close(); err == nil {
				err = e
			}
		}
		s.closeResult <- translate(context.Background(), err)
	})
	err := <-s.closeResult
	s.closeResult <- err
	return err
}

// Ping implements audit.Pinger.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, (*view).load)
}

// SchemaVersion implements audit.Migrator.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int, err error) {
	err = s.read(ctx, func(v *view) (err error) {
		have, err = s.version(v.conns[0])
		return err
	})
	return have, len(migrations), err
}

// State implements audit.Stater.
func (s *Store) State(ctx context.Context) (map[string]string, error) {
	state := map[string]string{
		"path":      s.opt.Path,
		"full_text": strconv.FormatBool(s.text),
		"schema":    itoa(len(migrations)),
	}
	for name, path := range map[string]string{"bytes": s.opt.Path, "wal_bytes": s.opt.Path + "-wal"} {
		if info, err := os.Stat(path); err == nil {
			state[name] = strconv.FormatInt(info.Size(), 10)
		}
	}
	err := s.read(ctx, func(v *view) error {
		for name, sql := range map[string]string{
			"records":    "SELECT count(*) FROM @records INDEXED BY @records_time WHERE (n >> 14) >= 0",
			"scopes":     "SELECT count(*) FROM @scopes",
			"chains":     "SELECT (SELECT count(*) FROM @heads) + (SELECT count(*) FROM @segments)",
			"free_bytes": "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
		} {
			if _, err := v.conns[0].one(s.sql(sql), func(st *z.Stmt) { state[name] = strconv.FormatInt(st.ColumnInt64(0), 10) }); err != nil {
				return err
			}
		}
		return nil
	})
	return state, err
}

func itoa(n int) string { return strconv.Itoa(n) }
