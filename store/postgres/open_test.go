package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// Ten processes that start together make the tables once.
func TestManyOpenTogether(t *testing.T) {
	url := enginetest.Postgres(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			s, err := Open(t.Context(), Options{URL: url, Schema: "audit", MaxConnections: 2})
			if err != nil {
				t.Error(err)
				return
			}
			if have, want, err := s.SchemaVersion(t.Context()); have != want || err != nil {
				t.Errorf("version %d, want %d: %v", have, want, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Two sets of tables in one database, beside tables of the application with the
// names that migration tools use, do not meet.
func TestTablesOfOthers(t *testing.T) {
	url := enginetest.Postgres(t)
	first := open(t, Options{URL: url})
	c := newStranger(t, first)
	for _, name := range []string{"goose_db_version", "schema_migrations", "records", "heads"} {
		c.must(t, `CREATE TABLE `+name+`(x int)`)
	}
	second := open(t, Options{URL: url, Prefix: "other_"})
	third := open(t, Options{URL: url, Schema: "trail"})
	for i, s := range []*Store{first, second, third} {
		chainAll(t, s, batch(i+1, 1, 1))
		verifyAll(t, s, int64(i+1))
	}
}

func TestOpenRefuses(t *testing.T) {
	url := enginetest.Postgres(t)
	for _, c := range []struct {
		opt  Options
		code audit.Code
		want string
	}{
		{Options{}, audit.CodeInvalid, "url: "},
		{Options{URL: "postgres://user:secret@/x?port=wrong"}, audit.CodeInvalid, "url: "},
		{Options{URL: "postgres://user:secret@127.0.0.1:1/x"}, audit.CodeUnavailable, "url: "},
		{Options{URL: url, NoMigrate: true}, audit.CodeUnavailable, "annals migrate"},
		{Options{URL: url, Prefix: "Annals"}, audit.CodeInvalid, "prefix: "},
		{Options{URL: url, Schema: `a"b`}, audit.CodeInvalid, "schema: "},
	} {
		s, err := Open(t.Context(), c.opt)
		if err == nil {
			_ = s.Close()
		}
		if audit.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%+v: %v, want %s with %q", c.opt, err, c.code, c.want)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// The application's defaults for its sessions are not ours.
func TestForeignDefaults(t *testing.T) {
	url := enginetest.Postgres(t)
	s := open(t, Options{URL: url})
	c := newStranger(t, s)
	name := c.Config().Database
	for _, set := range []string{
		"default_transaction_isolation = 'serializable'", "default_transaction_read_only = on", "timezone = 'America/New_York'",
		"bytea_output = 'escape'", "synchronous_commit = off", "standard_conforming_strings = on", "datestyle = 'SQL, DMY'",
	} {
		c.must(t, `ALTER DATABASE `+name+` SET `+set)
	}
	again := open(t, Options{URL: url})
	chainAll(t, again, batch(20, 2, 2))
	verifyAll(t, again, 20)
	if err := again.Save(t.Context(), "x", []byte("y"), 0); err != nil {
		t.Error(err)
	}
}

// What the database could not keep is refused when it is opened.
func TestOpenRefusesAnEncoding(t *testing.T) {
	url := enginetest.Postgres(t)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	name := c.Config().Database + "_latin1"
	if _, err := c.Exec(t.Context(), `CREATE DATABASE `+name+` ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = c.Exec(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`) }()
	_, err = Open(t.Context(), Options{URL: strings.Replace(url, c.Config().Database, name, 1)})
	if audit.CodeOf(err) != audit.CodeInvalid || !strings.Contains(fmt.Sprint(err), "LATIN1") {
		t.Errorf("%v", err)
	}
}

// A user that may only insert and select writes, links and keeps documents; what
// else there is to do somebody else does.
func TestAppendOnlyUser(t *testing.T) {
	url := enginetest.Postgres(t)
	owner := open(t, Options{URL: url, RollupInterval: -1})
	c := newStranger(t, owner)
	role := "writer_" + c.Config().Database[:20]
	c.must(t, `CREATE ROLE `+role+` LOGIN PASSWORD 'x'`)
	t.Cleanup(func() { _, _ = c.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role) })
	c.must(t, `GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO `+role)
	c.must(t, `GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO `+role)
	conn := strings.Replace(url, "postgres://postgres", "postgres://"+role, 1)
	if conn == url {
		conn += " user=" + role
	}
	s := open(t, Options{URL: conn, MaintenanceURL: url})
	var user string
	if err := s.main.QueryRow(t.Context(), `SELECT current_user`).Scan(&user); err != nil || user != role {
		t.Fatalf("the user is %q: %v", user, err)
	}
	recs := batch(30, 3, 2)
	chainAll(t, s, recs)
	chainAll(t, s, batch(30, 3, 2))
	verifyAll(t, s, 60)
	if _, err := s.Get(t.Context(), recs[3].Ref()); err != nil {
		t.Error(err)
	}
	for version := int64(0); version < 2; version++ {
		if err := s.Save(t.Context(), "x", []byte("y"), version); err != nil {
			t.Error(err)
		}
	}
	if err := Tx(s.main).Enqueue(t.Context(), batch(3, 3, 1)); err != nil {
		t.Error(err)
	}
	if out := drain(t, s, 10, true); len(out.Stored) != 3 {
		t.Errorf("%+v", out)
	}
	for _, statement := range []string{`DELETE FROM @records`, `UPDATE @records SET actor = 'x'`, `TRUNCATE @records`, `DELETE FROM @batches`, `DELETE FROM @documents`} {
		if _, err := s.main.Exec(t.Context(), s.sql(statement)); state(err) != stateNoPrivilege {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// Behind a pooler that keeps no prepared statements.
func TestExecModes(t *testing.T) {
	url := enginetest.Postgres(t)
	for i, mode := range []string{"exec", "simple_protocol", "describe_exec", "cache_describe"} {
		s := open(t, Options{URL: url + "&default_query_exec_mode=" + mode, Prefix: fmt.Sprintf("m%d_", i)})
		recs := storetest.Corpus(1, 40)
		recs = append(recs, batch(20, 2, 2)...)
		recs[50].ID, recs[50].ExternalID, _ = audit.IDFrom("mine")
		chainAll(t, s, storetest.CloneAll(recs))
		again, err := s.AppendChained(t.Context(), recs)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range again {
			if !r.Duplicate {
				t.Errorf("%s: %+v", mode, r)
			}
		}
		verifyAll(t, s, 60)
		if err := s.Save(t.Context(), "x", []byte("y"), 0); err != nil {
			t.Error(err)
		}
		if err := Tx(s.main, WithPrefix(s.opt.Prefix)).Enqueue(t.Context(), batch(3, 1, 1)); err != nil {
			t.Error(err)
		}
		if out := drain(t, s, 10, true); len(out.Stored) != 3 {
			t.Errorf("%s: %+v", mode, out)
		}
	}
}
