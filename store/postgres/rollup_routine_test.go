package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// TestRoutineMakesSums until the store is closed.
func TestRoutineMakesSums(t *testing.T) {
	x := newTrial(t)
	x.recs = storetest.Corpus(11, 50)
	appendAll(t, x.s, storetest.CloneAll(x.recs))
	x.c.must(t, `UPDATE @stale SET noted_at = noted_at - interval '1 minute'`)
	s, err := Open(t.Context(), Options{URL: x.s.opt.URL, RollupInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for x.c.number(t, `SELECT count(*) FROM @stale`) > 0 && t.Context().Err() == nil {
	}
	x.check(t, &audit.Query{})
	state, err := s.State(t.Context())
	if err != nil || state["stale_hours"] != "0" || state["sums_routine"] != "runs" || state["sums_errors"] != "0" {
		t.Errorf("%v %v", state, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Rollup(t.Context()); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestRoutineWithoutThePrivilege: who may only insert and select makes no sums,
// and is answered all the same.
func TestRoutineWithoutThePrivilege(t *testing.T) {
	x := newTrial(t)
	x.recs = storetest.Corpus(12, 50)
	appendAll(t, x.s, storetest.CloneAll(x.recs))
	x.c.must(t, `UPDATE @stale SET noted_at = noted_at - interval '1 minute'`)
	role := fmt.Sprintf("annals_test_%d", x.c.PgConn().PID())
	x.c.must(t, `CREATE ROLE `+role+` LOGIN PASSWORD 'secret'`)
	x.c.must(t, `GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO `+role)
	x.c.must(t, `GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO `+role)
	t.Cleanup(func() {
		ctx := context.Background()
		_, err := x.c.Exec(ctx, `DROP OWNED BY `+role)
		_, err2 := x.c.Exec(ctx, `DROP ROLE `+role)
		if err = errors.Join(err, err2); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(x.s.opt.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	s, err := Open(t.Context(), Options{URL: u.String(), RollupInterval: time.Millisecond, NoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for t.Context().Err() == nil {
		if state := s.rollups.state(); state["sums_routine"] != "runs" {
			if state["sums_last_error"] != "" {
				t.Errorf("%v", state)
			}
			break
		}
	}
	(&trial{s: s, recs: x.recs}).check(t, &audit.Query{})
}
