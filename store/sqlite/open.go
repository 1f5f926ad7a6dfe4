package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// pageSize of a new file in bytes. Reading from end to end takes a quarter less
// than with 8 KiB and half of what it takes with 4; batches are stored as fast.
const pageSize = "16384"

// Open opens the file, making it or bringing its schema up to date where that
// is needed. Several processes may open one file at the same time. The errors
// name what is wrong with the path: a directory, not a database, not
// writable, made by a newer version of Annals.
func Open(ctx context.Context, opt Options) (*Store, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := prepareFile(opt); err != nil {
		return nil, err
	}
	s := &Store{
		opt:         opt,
		closing:     make(chan struct{}),
		writer:      make(chan *writer, 1),
		fill:        blockSize,
		closeResult: make(chan error, 1),
	}
	s.selectByN = s.sql("SELECT " + rowColumns + selectRow + "r.n = ?")
	s.selectByID = s.sql("SELECT " + rowColumns + selectRow + "r.id = ? AND r.scope = ?")
	s.readers = newPool(opt.Readers, s.closing, func() (*conn, error) { return s.open(false) })
	if err := s.start(ctx); err != nil {
		return nil, s.explain(ctx, err)
	}
	return s, nil
}

// prepareFile makes a missing file, readable by its owner only; SQLite gives
// the files beside it the same mode.
func prepareFile(opt Options) error {
	info, err := os.Stat(opt.Path)
	switch {
	case err == nil && info.IsDir():
		return audit.Invalid("path", "is a directory, want a file")
	case err == nil && !info.Mode().IsRegular():
		return audit.Invalid("path", "is not a regular file")
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return badPath("cannot be looked at", err)
	case opt.ReadOnly:
		return badPath("does not exist", err)
	}
	if err := os.MkdirAll(filepath.Dir(opt.Path), 0o700); err != nil {
		return badPath("its directory cannot be made", err)
	}
	f, err := os.OpenFile(opt.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return badPath("cannot be made", err)
	}
	return f.Close()
}

func badPath(what string, cause error) error {
	return &audit.Error{Code: audit.CodeInvalid, Field: "path", Message: what, Cause: cause}
}

// explain turns the errors of opening into what is wrong with the path.
func (s *Store) explain(ctx context.Context, err error) error {
	switch z.ErrCode(err).ToPrimary() {
	case z.ResultNotADB:
		return badPath("is not an SQLite database", err)
	case z.ResultCorrupt:
		return badPath("is a damaged SQLite database", err)
	case z.ResultReadOnly, z.ResultPerm, z.ResultAuth:
		return badPath("may not be written", err)
	case z.ResultCantOpen:
		return badPath("cannot be opened", err)
	}
	return translate(ctx, err)
}

// start opens the connections that are always there and settles the schema.
func (s *Store) start(ctx context.Context) error {
	if s.opt.ReadOnly {
		c, err := s.readers.take(ctx)
		if err != nil {
			return err
		}
		err = s.inspect(c)
		s.readers.put(c, err != nil)
		if err != nil {
			_ = s.readers.close()
		}
		return err
	}
	if err := writable(s.opt.Path); err != nil {
		return err
	}
	c, err := s.open(true)
	if err != nil {
		return err
	}
	if err = s.setUp(ctx, c); err == nil {
		if err = s.inspect(c); err == nil {
			var w *writer
			if w, err = s.newWriter(c); err == nil {
				s.writer <- w
				return nil
			}
		}
	}
	_ = c.Close()
	return err
}

// writable tries the file itself: SQLite would open it for reading instead and
// fail at the first write.
func writable(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return badPath("may not be written", err)
	}
	return f.Close()
}

// setUp switches to the write-ahead log and runs the migrations that are missing.
func (s *Store) setUp(ctx context.Context, c *conn) error {
	// Both have an effect on an empty file only.
	for _, p := range []string{"PRAGMA page_size = " + pageSize, "PRAGMA encoding = 'UTF-8'"} {
		if err := exec(c.Conn, p); err != nil {
			return err
		}
	}
	if err := s.switchToWAL(ctx, c); err != nil {
		return err
	}
	// A file that is up to date is opened while another process writes.
	if have, err := s.version(c); err != nil || have == len(migrations) {
		return err
	}
	w := &writer{conn: c, s: s}
	return w.transact(ctx, s.opt.BusyTimeout, func(*writer) error { return s.migrate(c) })
}

// switchToWAL waits for other processes by itself: SQLite does not, where two
// of them switch at the same moment.
func (s *Store) switchToWAL(ctx context.Context, c *conn) error {
	deadline := time.Now().Add(s.opt.BusyTimeout)
	for {
		mode := ""
		_, err := c.one("PRAGMA journal_mode = WAL", func(st *z.Stmt) { mode = st.ColumnText(0) })
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return audit.Invalid("path", "lies where SQLite cannot keep a write-ahead log")
		case z.ErrCode(err).ToPrimary() != z.ResultBusy || time.Now().After(deadline):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// migrate runs in a transaction that holds the write lock, so that of several
// processes that start together one migrates and the others find it done.
func (s *Store) migrate(c *conn) error {
	have, err := s.version(c)
	if err != nil {
		return err
	}
	if have > len(migrations) {
		return newerSchema(have)
	}
	if have == 0 {
		if err := s.create(c); err != nil {
			return err
		}
	}
	for _, steps := range migrations[have:] {
		for _, step := range steps {
			if err := exec(c.Conn, s.sql(step)); err != nil {
				return err
			}
		}
	}
	if have == len(migrations) {
		return nil
	}
	return c.run(s.sql("INSERT INTO @meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2"), metaVersion, len(migrations))
}

func newerSchema(have int) error {
	return audit.Unsupported("the database has schema version %d, this program knows versions up to %d: use a newer version of Annals", have, len(migrations))
}

// create makes what every version has.
func (s *Store) create(c *conn) error {
	tables := 0
	if _, err := c.one("SELECT count(*) FROM sqlite_master", func(st *z.Stmt) { tables = st.ColumnInt(0) }); err != nil {
		return err
	}
	if tables == 0 { // in somebody else's database their mark stays
		if err := exec(c.Conn, "PRAGMA application_id = "+itoa(applicationID)); err != nil {
			return err
		}
	}
	if err := exec(c.Conn, s.sql(createMeta)); err != nil {
		return err
	}
	text := 1
	if s.opt.NoFullText {
		text = 0
	} else {
		for _, step := range []string{createText, "INSERT INTO @text(@text, rank) VALUES(" + noPurge + ")"} {
			if err := exec(c.Conn, s.sql(step)); err != nil {
				return err
			}
		}
	}
	return c.run(s.sql("INSERT INTO @meta(key, value) VALUES(?, ?)"), metaText, text)
}

// version gives the file's schema version, 0 where there is none.
func (s *Store) version(c *conn) (have int, err error) {
	found, err := c.one("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", nil, s.opt.Prefix+"meta")
	if err != nil || !found {
		return 0, err
	}
	_, err = c.one(s.sql("SELECT value FROM @meta WHERE key = ?"), func(st *z.Stmt) { have = st.ColumnInt(0) }, metaVersion)
	return have, err
}

// inspect checks that the file can be used as it is, and reads how it was made.
func (s *Store) inspect(c *conn) error {
	have, err := s.version(c)
	switch {
	case err != nil:
		return err
	case have > len(migrations):
		return newerSchema(have)
	case have == 0:
		return audit.Invalid("path", "holds no records of Annals with the prefix %q", s.opt.Prefix)
	case have < len(migrations):
		return audit.Unsupported("the database has schema version %d and this program wants %d: open it for writing once", have, len(migrations))
	}
	encoding := ""
	if _, err := c.one("PRAGMA encoding", func(st *z.Stmt) { encoding = st.ColumnText(0) }); err != nil {
		return err
	}
	if encoding != "UTF-8" {
		return audit.Invalid("path", "is a database of %s text, want UTF-8", encoding)
	}
	_, err = c.one(s.sql("SELECT value FROM @meta WHERE key = ?"), func(st *z.Stmt) { s.text = st.ColumnBool(0) }, metaText)
	return err
}
