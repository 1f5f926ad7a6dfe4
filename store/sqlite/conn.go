package sqlite

import (
	"context"
	"strconv"
	"time"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// Sizes of the page caches in KiB. The writer's holds the index pages that the
// newest block and the foreign ids touch.
const (
	writerCacheKiB = 64 << 10
	readerCacheKiB = 16 << 10
)

// walPages is how many pages the write-ahead log holds before they are copied
// into the database: 32 MiB at 16 KiB a page.
const walPages = 2000

// conn is one connection with the statements that the operation under way made.
type conn struct {
	*z.Conn
	made map[string]*z.Stmt
}

// open opens a connection and sets it up. The file must exist.
func (s *Store) open(write bool) (*conn, error) {
	flags := z.OpenReadOnly
	if !s.opt.ReadOnly {
		flags = z.OpenReadWrite // readers too: they may have to make the shared memory file
	}
	c, err := z.OpenConn(s.opt.Path, flags)
	if err != nil {
		return nil, err
	}
	c.SetBusyTimeout(s.opt.BusyTimeout)
	pragmas := []string{
		"PRAGMA trusted_schema = OFF", // a schema that somebody changed must not call functions
		"PRAGMA temp_store = MEMORY",  // records never reach a temporary file
		"PRAGMA mmap_size = 0",        // a mapped file that is cut short kills the process
	}
	if write {
		pragmas = append(pragmas,
			"PRAGMA synchronous = "+synchronous(!s.opt.LosePowerFailure),
			"PRAGMA cache_size = -"+strconv.Itoa(writerCacheKiB),
			"PRAGMA wal_autocheckpoint = "+strconv.Itoa(walPages),
			"PRAGMA journal_size_limit = "+strconv.Itoa(64<<20),
		)
	} else {
		pragmas = append(pragmas, "PRAGMA query_only = ON", "PRAGMA cache_size = -"+strconv.Itoa(readerCacheKiB))
	}
	for _, p := range pragmas {
		if err := exec(c, p); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	if err := registerMetadata(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &conn{Conn: c, made: map[string]*z.Stmt{}}, nil
}

// stmt gives a statement that lives until finish.
func (c *conn) stmt(sql string) (*z.Stmt, error) {
	if st := c.made[sql]; st != nil {
		return st, st.Reset()
	}
	st, _, err := c.PrepareTransient(sql)
	if err != nil {
		return nil, err
	}
	c.made[sql] = st
	return st, nil
}

// finish ends the operation: the connection listens to no context any more, its
// statements are gone and no transaction is open.
func (c *conn) finish() error {
	c.SetInterrupt(nil)
	for _, st := range c.made {
		_ = st.Finalize() // repeats the error that its last step gave
	}
	clear(c.made)
	if c.AutocommitEnabled() {
		return nil // SQLite itself has rolled back, or nothing had begun
	}
	return exec(c.Conn, "ROLLBACK")
}

// exec runs one statement to its end.
func exec(c *z.Conn, sql string) error {
	st, _, err := c.PrepareTransient(sql)
	if err != nil {
		return err
	}
	defer st.Finalize()
	for {
		more, err := st.Step()
		if err != nil || !more {
			return err
		}
	}
}

// one runs a statement that is kept, with its arguments, and calls fn on its
// first row; found is false when there is none.
func (c *conn) one(sql string, fn func(*z.Stmt), args ...any) (found bool, err error) {
	st, err := c.Prepare(sql)
	if err != nil {
		return false, err
	}
	for i, a := range args {
		bind(st, i+1, a)
	}
	found, err = st.Step()
	if err != nil {
		return false, err
	}
	if found && fn != nil {
		fn(st)
	}
	return found, st.Reset()
}

// run runs a statement that is kept and gives no rows.
func (c *conn) run(sql string, args ...any) error {
	_, err := c.one(sql, nil, args...)
	return err
}

// bind binds one argument. Text and blobs differ in SQLite: a text column
// never equals a blob.
func bind(st *z.Stmt, at int, arg any) {
	switch v := arg.(type) {
	case nil:
		st.BindNull(at)
	case int64:
		st.BindInt64(at, v)
	case int:
		st.BindInt64(at, int64(v))
	case string:
		st.BindText(at, v)
	case []byte:
		st.BindBytes(at, v)
	case audit.ID:
		st.BindBytes(at, v[:])
	default:
		panic("sqlite: an argument of an unknown type")
	}
}

// write runs fn in a transaction that holds the write lock of the file from its
// beginning, so that what fn reads stays true until it commits. An error of fn
// rolls everything back.
func (s *Store) write(ctx context.Context, fn func(w *writer) error) error {
	return s.commit(ctx, !s.opt.LosePowerFailure, fn)
}

// writeUnflushed does the same and does not wait until the disk has it; a loss of
// power may undo what was written so since the last commit that did wait.
func (s *Store) writeUnflushed(ctx context.Context, fn func(w *writer) error) error {
	return s.commit(ctx, false, fn)
}

func (s *Store) commit(ctx context.Context, flush bool, fn func(w *writer) error) error {
	if s.opt.ReadOnly {
		return audit.Unsupported("the database was opened for reading only")
	}
	select {
	case <-s.closing:
		return audit.ErrClosed
	default:
	}
	select {
	case <-s.closing:
		return audit.ErrClosed
	case <-ctx.Done():
		return translate(ctx, ctx.Err())
	case w := <-s.writer:
		defer func() { s.writer <- w }() // also after a panic
		err := w.flushing(flush)
		if err == nil {
			err = w.transact(ctx, s.opt.BusyTimeout, fn)
			s.commits.Add(1)
		}
		if breaks(err) {
			w = s.renew(w)
		}
		return translate(ctx, err)
	}
}

// flushing says whether the transactions that follow are flushed to the disk.
func (w *writer) flushing(on bool) error {
	if on == !w.unflushed {
		return nil
	}
	if err := exec(w.Conn, "PRAGMA synchronous = "+synchronous(on)); err != nil {
		return err
	}
	w.unflushed = !on
	return nil
}

// synchronous is the setting for commits that are flushed one by one, or only
// before their pages are copied into the database.
func synchronous(flush bool) string {
	if flush {
		return "FULL"
	}
	return "NORMAL"
}

// renew replaces a connection that failed, if it can.
func (s *Store) renew(old *writer) *writer {
	c, err := s.open(true)
	if err != nil {
		return old
	}
	w, err := s.newWriter(c)
	if err != nil {
		_ = c.Close()
		return old
	}
	_ = old.Close()
	return w
}

func (w *writer) transact(ctx context.Context, wait time.Duration, fn func(w *writer) error) (err error) {
	if err := w.begin(ctx, wait); err != nil {
		return err
	}
	defer func() {
		if end := w.finish(); err == nil {
			err = end
		}
	}()
	w.SetInterrupt(ctx.Done())
	if err := fn(w); err != nil {
		return err
	}
	return w.run("COMMIT")
}

// begin takes the write lock, waiting for other processes until ctx ends or
// wait is over.
func (w *writer) begin(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	w.SetInterrupt(ctx.Done())
	w.SetBlockOnBusy() // until the interrupt, which gives ResultBusy or ResultInterrupt
	err := w.run("BEGIN IMMEDIATE")
	w.SetInterrupt(nil)
	w.SetBusyTimeout(wait)
	if err == nil {
		return nil
	}
	if end := w.finish(); end != nil {
		return end
	}
	if z.ErrCode(err).ToPrimary() == z.ResultInterrupt {
		return z.ResultBusy.ToError()
	}
	return err
}
