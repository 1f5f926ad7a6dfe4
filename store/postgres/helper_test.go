package postgres

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
)

func TestMain(m *testing.M) {
	if work, ok := children[os.Getenv(childVariable)]; ok {
		work()
		return
	}
	goleak.VerifyTestMain(enginetest.Runner(m))
}

// childVariable names the work of a process that a test starts of this binary.
const childVariable = "ANNALS_POSTGRES_CHILD"

var children = map[string]func(){}

// open opens a store in a database of its own, or in the one given.
func open(t testing.TB, opt Options) *Store {
	t.Helper()
	if opt.URL == "" {
		opt.URL = enginetest.Postgres(t)
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

// stranger is somebody else's connection to the database of a store.
type stranger struct {
	*pgx.Conn
	s *Store
}

func newStranger(t testing.TB, s *Store) stranger {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.opt.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return stranger{c, s}
}

// must runs a statement.
func (c stranger) must(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), c.s.sql(sql), args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// number asks for one number.
func (c stranger) number(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	if err := c.QueryRow(t.Context(), c.s.sql(sql), args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func appendAll(t testing.TB, s *Store, recs []*audit.Record) {
	t.Helper()
	results, err := s.Append(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	noErrors(t, results)
}

func chainAll(t testing.TB, s *Store, recs []*audit.Record) {
	t.Helper()
	results, err := s.AppendChained(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	noErrors(t, results)
}

func noErrors(t testing.TB, results []audit.Result) {
	t.Helper()
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("record %d: %v", i, r.Err)
		}
	}
}

// inFullRuns leaves a test that takes its time out of short runs.
func inFullRuns(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("in full runs only")
	}
}
