package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store in a directory of its own, or at the path given.
func open(t testing.TB, opt Options) *Store {
	t.Helper()
	if opt.Path == "" {
		opt.Path = filepath.Join(t.TempDir(), "annals.db")
	}
	s, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sparse opens a store whose blocks hold few records each, so that a small
// number of them fills many blocks.
func sparse(t testing.TB, opt Options, fill int64) *Store {
	t.Helper()
	s := open(t, opt)
	s.fill = fill
	return s
}

// stranger is somebody else's connection to the file.
func stranger(t testing.TB, path string) *conn {
	t.Helper()
	c, err := z.OpenConn(path, z.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &conn{Conn: c, made: map[string]*z.Stmt{}}
}

// must runs a statement of a stranger.
func (c *conn) must(t testing.TB, sql string, args ...any) {
	t.Helper()
	if err := c.run(sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// tester is a test or one run of a random test.
type tester interface {
	rapid.TB
	Context() context.Context
}

func appendAll(t tester, s *Store, recs []*audit.Record) {
	t.Helper()
	results, err := s.Append(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	noErrors(t, results)
}

func chainAll(t tester, s *Store, recs []*audit.Record) {
	t.Helper()
	results, err := s.AppendChained(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	noErrors(t, results)
}

func noErrors(t rapid.TB, results []audit.Result) {
	t.Helper()
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("record %d: %v", i, r.Err)
		}
	}
}
