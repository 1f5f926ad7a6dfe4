package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "deeper", "annals.db")
	s := open(t, Options{Path: path})
	appendAll(t, s, storetest.Corpus(1, 10))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("annals.db%s: mode %v, %v", suffix, info.Mode(), err)
		}
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v", filepath.Base(dir), info.Mode(), err)
		}
	}
}

// wrong wants an error of code invalid that names the path and says why.
func wrong(t *testing.T, opt Options, why string) {
	t.Helper()
	s, err := Open(t.Context(), opt)
	if err == nil {
		_ = s.Close()
	}
	var ours *audit.Error
	if !errors.As(err, &ours) || ours.Code != audit.CodeInvalid || ours.Field != "path" || !strings.Contains(ours.Message, why) {
		t.Errorf("got %v, want an invalid path that %s", err, why)
	}
}

func TestWrongPaths(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong(t, Options{}, "is required")
	wrong(t, Options{Path: ":memory:"}, "names a file")
	wrong(t, Options{Path: dir}, "is a directory")
	wrong(t, Options{Path: os.DevNull}, "is not a regular file")
	wrong(t, Options{Path: filepath.Join(dir, "none.db"), ReadOnly: true}, "does not exist")
	wrong(t, Options{Path: file("text", bytes.Repeat([]byte("not a database\n"), 1000), 0o600)}, "is not an SQLite database")
	wrong(t, Options{Path: filepath.Join(file("blocker", nil, 0o600), "annals.db")}, "cannot be looked at")
	if os.Getuid() != 0 { // who may do everything
		wrong(t, Options{Path: file("locked", nil, 0o400)}, "may not be written")
	}
	good := open(t, Options{})
	appendAll(t, good, storetest.Corpus(1, 500))
	if err := good.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good.opt.Path)
	if err != nil {
		t.Fatal(err)
	}
	wrong(t, Options{Path: file("short", data[:len(data)/3], 0o600)}, "is a damaged SQLite database")
	wrong(t, Options{Path: good.opt.Path, Prefix: "other_", ReadOnly: true}, `with the prefix "other_"`)
	c, err := z.OpenConn(filepath.Join(dir, "utf16.db"), z.OpenReadWrite|z.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	utf16 := &conn{Conn: c}
	utf16.must(t, "PRAGMA encoding = 'UTF-16'")
	utf16.must(t, "CREATE TABLE t(x)")
	_ = c.Close()
	wrong(t, Options{Path: filepath.Join(dir, "utf16.db")}, "want UTF-8")
}

// Damage that opening does not see is an error of the question, never a wrong answer.
func TestDamage(t *testing.T) {
	good := open(t, Options{})
	appendAll(t, good, storetest.Corpus(1, 3000))
	if err := good.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good.opt.Path)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(data) / 4; at < len(data); at++ {
		data[at] = 0xa5
	}
	if err := os.WriteFile(good.opt.Path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Path: good.opt.Path})
	if err == nil {
		defer s.Close()
		err = s.Scan(t.Context(), &audit.Query{}, func(*audit.Record) error { return nil })
	}
	var ours *audit.Error
	if !errors.As(err, &ours) || !strings.Contains(ours.Message, "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, opt := range []Options{
		{Path: "x", Prefix: "Upper"}, {Path: "x", Prefix: "a-b"}, {Path: "x", Prefix: "1a"}, {Path: "x", Prefix: "sqlite_"},
		{Path: "x", Prefix: strings.Repeat("a", maxPrefix+1)}, {Path: "x", Prefix: `a"`}, {Path: "x", Readers: -1}, {Path: "x", BusyTimeout: -1},
	} {
		if _, err := Open(t.Context(), opt); audit.CodeOf(err) != audit.CodeInvalid {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

// The prefix is part of every name, so that several stores and other programs
// share a file.
func TestPrefix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shared.db")
	c, err := z.OpenConn(path, z.OpenReadWrite|z.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	other := &conn{Conn: c, made: map[string]*z.Stmt{}}
	other.must(t, "CREATE TABLE records(x)")
	other.must(t, "PRAGMA application_id = 7")
	a, b := open(t, Options{Path: path, Prefix: "a_"}), open(t, Options{Path: path, Prefix: "b_"})
	appendAll(t, a, storetest.Corpus(1, 20))
	appendAll(t, b, storetest.Corpus(2, 30))
	for s, want := range map[*Store]int64{a: 20, b: 30} {
		if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != want {
			t.Errorf("%s: %d records, %v", s.opt.Prefix, n, err)
		}
	}
	strange := 0
	_, err = other.one("SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'a\\_%' ESCAPE '\\' AND name NOT LIKE 'b\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_autoindex\\__\\_%' ESCAPE '\\' AND name <> 'records'",
		func(st *z.Stmt) { strange = st.ColumnInt(0) })
	if err != nil || strange != 0 {
		t.Errorf("%d names without the prefix, %v", strange, err)
	}
	mark := 0
	if _, err := other.one("PRAGMA application_id", func(st *z.Stmt) { mark = st.ColumnInt(0) }); err != nil || mark != 7 {
		t.Errorf("the other program's mark is %d, %v", mark, err)
	}
	_ = c.Close()
}

func TestSchemaVersions(t *testing.T) {
	s := open(t, Options{})
	have, want, err := s.SchemaVersion(t.Context())
	if err != nil || have != want || want != len(migrations) {
		t.Errorf("%d, %d, %v", have, want, err)
	}
	stranger(t, s.opt.Path).must(t, "UPDATE annals_meta SET value = 1000 WHERE key = 'version'")
	for _, opt := range []Options{{Path: s.opt.Path}, {Path: s.opt.Path, ReadOnly: true}} {
		if _, err := Open(t.Context(), opt); audit.CodeOf(err) != audit.CodeUnsupported || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("a newer schema: %v", err)
		}
	}
	stranger(t, s.opt.Path).must(t, "UPDATE annals_meta SET value = 0 WHERE key = 'version'")
	if _, err := Open(t.Context(), Options{Path: s.opt.Path}); err == nil {
		t.Error("a schema that is there already was made again")
	}
}

// Several openings of a new file at one moment: one of them makes the schema.
func TestOpeningAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "annals.db")
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.AppendChained(t.Context(), storetest.Corpus(uint64(i), 20)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, Options{Path: path})
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 120 {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestReadOnly(t *testing.T) {
	s := open(t, Options{})
	recs := storetest.Corpus(1, 50)
	appendAll(t, s, recs[:40])
	r := open(t, Options{Path: s.opt.Path, ReadOnly: true})
	if n, err := r.Count(t.Context(), &audit.Query{}); err != nil || n != 40 {
		t.Errorf("%d records, %v", n, err)
	}
	if _, err := r.Append(t.Context(), recs[40:]); audit.CodeOf(err) != audit.CodeUnsupported {
		t.Errorf("Append: %v", err)
	}
	appendAll(t, s, recs[40:])
	if n, err := r.Count(t.Context(), &audit.Query{}); err != nil || n != 50 {
		t.Errorf("%d records later, %v", n, err)
	}
}

// A file keeps the full text index that it was made with, or without.
func TestFullTextIsAMatterOfTheFile(t *testing.T) {
	for _, without := range []bool{true, false} {
		s := open(t, Options{NoFullText: without})
		appendAll(t, s, storetest.Corpus(1, 20))
		again := open(t, Options{Path: s.opt.Path, NoFullText: !without})
		appendAll(t, again, storetest.Corpus(2, 20))
		if again.Capabilities().Text == without {
			t.Errorf("NoFullText %v: Capabilities().Text is %v", without, again.Capabilities().Text)
		}
		_, err := again.Query(t.Context(), &audit.Query{Text: "user"})
		if (audit.CodeOf(err) == audit.CodeUnsupported) != without {
			t.Errorf("NoFullText %v: %v", without, err)
		}
	}
}

func TestState(t *testing.T) {
	s := open(t, Options{})
	appendAll(t, s, storetest.Corpus(1, 20))
	chainAll(t, s, storetest.Corpus(2, 20))
	state, err := s.State(t.Context())
	if err != nil || state["records"] != "40" || state["path"] != s.opt.Path || state["bytes"] == "" || state["chains"] == "0" {
		t.Errorf("%v, %v", state, err)
	}
}
