package enginetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func one[T any](t *testing.T, conn *pgx.Conn, sql string) (value T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func TestEveryVersionStarts(t *testing.T) {
	for _, version := range PostgresVersions() {
		t.Run(version, func(t *testing.T) {
			conn := connect(t, Postgres(t, OnVersion(version)))
			if got := one[string](t, conn, "show server_version"); version != given && !strings.HasPrefix(got, version+".") {
				t.Errorf("version %s", got)
			}
			if n := one[int](t, conn, "select count(*) from pg_tables where schemaname = 'public'"); n != 0 {
				t.Errorf("%d tables in an empty database", n)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name    string
		options PostgresOptions
		want    map[string]string
	}{
		{"functional", PostgresOptions{Settings: []string{"work_mem=5MB"}}, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "listen_addresses": "",
			"TimeZone": "UTC", "lc_messages": "C", "server_encoding": "UTF8", "work_mem": "5MB", "data_checksums": "on",
		}},
		{"durable", PostgresOptions{Durable: true, TCP: true}, map[string]string{
			"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": "127.0.0.1",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := StartPostgres(t, c.options)
			conn := connect(t, s.URL())
			got := map[string]string{}
			for name := range c.want {
				got[name] = one[string](t, conn, "show "+name)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if !strings.HasPrefix(one[string](t, conn, "show server_version"), s.Version()) || s.Version() == "" {
				t.Errorf("Version is %q", s.Version())
			}
		})
	}
}

func TestDatabasesAreApartAndDropped(t *testing.T) {
	first := Postgres(t)
	mustExec(t, connect(t, first), "create table things (n int)")
	var second string
	t.Run("another test", func(t *testing.T) {
		second = Postgres(t)
		conn := connect(t, second)
		mustExec(t, conn, "create table things (n int)")
		mustExec(t, conn, "insert into things values (1)")
	})
	if n := one[int](t, connect(t, first), "select count(*) from things"); n != 0 {
		t.Errorf("%d rows of another test", n)
	}
	_, err := pgx.Connect(t.Context(), second)
	if pg := new(pgconn.PgError); !errors.As(err, &pg) || pg.Code != "3D000" {
		t.Errorf("the database of a finished test: %v", err)
	}
}

func TestManyAtTheSameTime(t *testing.T) {
	var wg sync.WaitGroup
	addresses := make([]string, 8)
	for i := range addresses {
		wg.Go(func() { addresses[i] = Postgres(t) })
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, a := range addresses {
		seen[a] = true
	}
	if len(seen) != len(addresses) || seen[""] {
		t.Errorf("not a database each: %v", addresses)
	}
}

func TestCommittedRowsSurviveACrash(t *testing.T) {
	for _, version := range PostgresVersions() {
		for name, tcp := range map[string]bool{"socket": false, "tcp": true} {
			t.Run(version+"/"+name, func(t *testing.T) {
				s := StartPostgres(t, PostgresOptions{Version: version, Durable: true, TCP: tcp})
				address, pid := s.URL(), s.PID()
				conn := connect(t, address)
				mustExec(t, conn, "create table things (n int)")
				mustExec(t, conn, "insert into things values (1)")
				open := connect(t, address)
				mustExec(t, open, "begin")
				mustExec(t, open, "insert into things values (2)")
				if err := s.Crash(); err != nil {
					t.Fatal(err)
				}
				if _, err := pgx.Connect(t.Context(), address); err == nil || s.PID() != 0 {
					t.Fatalf("after the crash: pid %d, connecting says %v", s.PID(), err)
				}
				if err := s.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				if s.URL() != address || s.PID() == pid || s.PID() == 0 {
					t.Errorf("restarted as %d at %s, was %d at %s", s.PID(), s.URL(), pid, address)
				}
				if n := one[int](t, connect(t, address), "select sum(n) from things"); n != 1 {
					t.Errorf("the sum is %d", n)
				}
				if !strings.Contains(s.Log(), "was not properly shut down") {
					t.Errorf("that was no crash: %s", s.Log())
				}
				if err := errors.Join(s.Stop(), s.Restart(t.Context()), s.Restart(t.Context())); err != nil {
					t.Fatal(err)
				}
				if n := one[int](t, connect(t, address), "select sum(n) from things"); n != 1 {
					t.Errorf("after a stop the sum is %d", n)
				}
			})
		}
	}
}

func TestAGivenServerComesFirst(t *testing.T) {
	s := StartPostgres(t, PostgresOptions{TCP: true})
	t.Setenv(postgresURLVariable, s.URL())
	t.Setenv(postgresBinVariable, t.TempDir()) // nothing may be started from here
	if got := PostgresVersions(); len(got) != 1 {
		t.Errorf("versions %v", got)
	}
	var name string
	t.Run("a test", func(t *testing.T) {
		name = one[string](t, connect(t, Postgres(t, OnVersion(given))), "select current_database()")
	})
	conn := connect(t, s.URL())
	if n := one[int](t, conn, "select count(*) from pg_database where datname like 'annals_test_%'"); n != 0 || name == "" {
		t.Errorf("%d databases are left, the test's was %q", n, name)
	}
	t.Setenv(postgresURLVariable, "host=localhost password=hidden")
	o := try(t, func(tb testing.TB) { Postgres(tb) })
	if !strings.Contains(o.failed, postgresURLVariable) || strings.Contains(o.failed, "hidden") {
		t.Errorf("no URL: %q", o.failed)
	}
}

func TestFailuresAreReadable(t *testing.T) {
	programs := filepath.Join(t.TempDir(), "bin")
	if err := os.Mkdir(programs, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Run("setting", func(t *testing.T) {
		_, err := LaunchPostgres(t.Context(), PostgresOptions{Settings: []string{"no_such_thing=1"}})
		if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_thing"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Setenv(postgresBinVariable, programs)
	t.Run("no program", func(t *testing.T) {
		_, err := LaunchPostgres(t.Context(), PostgresOptions{})
		if err == nil || !strings.Contains(err.Error(), "there is no initdb in it") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("initdb", func(t *testing.T) {
		for _, name := range []string{"initdb", "postgres"} {
			if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\necho no room for a cluster >&2\nexit 3\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		_, err := LaunchPostgres(t.Context(), PostgresOptions{})
		if err == nil || !strings.Contains(err.Error(), "initdb: exit status 3: no room for a cluster") || errors.Is(err, ErrAbsent) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAttendantIsTheGoroutineThatStays(t *testing.T) {
	Postgres(t)
	if err := goleak.Find(goleak.IgnoreAnyFunction(Attendant)); err != nil {
		t.Error(err)
	}
}
