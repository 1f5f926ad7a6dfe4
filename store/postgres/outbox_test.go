package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

func enqueue(t *testing.T, c stranger, recs []*audit.Record, commit bool) {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := Tx(tx).Enqueue(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	end := tx.Rollback
	if commit {
		end = tx.Commit
	}
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// drain relays until nothing is left.
func drain(t *testing.T, s *Store, limit int, chained bool) (out audit.Relayed) {
	t.Helper()
	for {
		step, err := s.Relay(t.Context(), limit, chained)
		if err != nil {
			t.Fatal(err)
		}
		if step.Records == 0 {
			return out
		}
		out.Records += step.Records
		out.Stored, out.Refused = append(out.Stored, step.Stored...), append(out.Refused, step.Refused...)
	}
}

// What is rolled back leaves nothing; what is committed comes once, whole, and
// in the order of the transaction, behind what the chain has.
func TestOutbox(t *testing.T) {
	for _, chained := range []bool{true, false} {
		s := open(t, Options{})
		c := newStranger(t, s)
		if chained {
			chainAll(t, s, batch(3, 1, 1))
		}
		enqueue(t, c, storetest.Corpus(7, 20), false)
		if out := drain(t, s, 10, chained); out.Records != 0 {
			t.Fatalf("%d records of a transaction that was rolled back", out.Records)
		}
		recs := append(batch(25, 2, 3), storetest.Corpus(8, 40)...)
		enqueue(t, c, recs, true)
		enqueue(t, c, recs[:5], true) // delivered twice by the application
		out := drain(t, s, 16, chained)
		if out.Records != 70 || len(out.Stored) != 65 || len(out.Refused) != 0 {
			t.Fatalf("%d records, %d stored, refused: %v", out.Records, len(out.Stored), out.Refused)
		}
		for i, want := range recs {
			got, err := s.Get(t.Context(), want.Ref())
			if err != nil {
				t.Fatal(err)
			}
			if chained {
				if d := storetest.Diff(out.Stored[i], got); d != "" {
					t.Fatal(d)
				}
				unlink(got)
			}
			if d := storetest.Diff(want, got); d != "" {
				t.Fatal(d)
			}
		}
		if n := c.number(t, `SELECT count(*) FROM @outbox`); n != 0 {
			t.Errorf("%d rows stay in the outbox", n)
		}
		if chained {
			verifyAll(t, s, 68)
			if recs[0].Sequence != 0 {
				t.Error("the caller's record was changed")
			}
		}
	}
}

// What can never be stored stays with its reason, and stops nothing.
func TestOutboxKeepsWhatIsRefused(t *testing.T) {
	s := open(t, Options{})
	c := newStranger(t, s)
	recs := batch(12, 2, 1)
	appendAll(t, s, recs[:1])
	taken := storetest.Clone(recs[0])
	taken.Action = "something.else"
	recs[3].Action = "nul\x00"
	recs[4].Tenant = "nul\x00"
	enqueue(t, c, append(recs[1:], taken), true)
	c.must(t, `INSERT INTO @outbox(record) VALUES('\x00ff')`)
	out := drain(t, s, 100, true)
	if out.Records != 13 || len(out.Stored) != 9 || len(out.Refused) != 4 {
		t.Fatalf("%d records, %d stored, refused: %v", out.Records, len(out.Stored), out.Refused)
	}
	if n := c.number(t, `SELECT count(*) FROM @outbox WHERE refused <> ''`); n != 4 {
		t.Errorf("%d rows are marked, want 4", n)
	}
	verifyAll(t, s, 9)
	if out := drain(t, s, 100, true); out.Records != 0 {
		t.Error("what was refused is tried again")
	}
}

// Several relays and writers at once, and transactions that end in any order.
func TestManyRelays(t *testing.T) {
	s := open(t, Options{})
	other := open(t, Options{URL: s.opt.URL})
	var capturing, relaying sync.WaitGroup
	stop := make(chan struct{})
	for _, relay := range []*Store{s, other, other} {
		relaying.Go(func() {
			for done := false; ; {
				out, err := relay.Relay(t.Context(), 7, true)
				if err != nil {
					t.Error(err)
					return
				}
				if done && out.Records == 0 {
					return
				}
				select {
				case <-stop:
					done = true
				default:
				}
			}
		})
	}
	for n := range 4 {
		capturing.Go(func() {
			for i := range 15 {
				err := pgx.BeginFunc(t.Context(), s.main, func(tx pgx.Tx) error {
					if err := Tx(tx).Enqueue(t.Context(), batch(4, 3, 2)); err != nil {
						return err
					}
					if i%5 == 4 {
						return errRollback
					}
					return nil
				})
				if err != nil && err != errRollback {
					t.Error(err)
				}
				if n == 0 {
					chainAll(t, s, batch(2, 3, 1))
				}
			}
		})
	}
	capturing.Wait()
	close(stop)
	relaying.Wait()
	drain(t, s, 100, true)
	verifyAll(t, s, 4*12*4+15*2)
}

var errRollback = fmt.Errorf("rolled back")

// An application that may only insert into the outbox, over database/sql, into
// tables with other names.
func TestOutboxOverSQL(t *testing.T) {
	s := open(t, Options{Schema: "trail", Prefix: "x_"})
	c := newStranger(t, s)
	c.must(t, `CREATE ROLE annals_application LOGIN`)
	t.Cleanup(func() {
		_, _ = c.Exec(context.Background(), `DROP OWNED BY annals_application; DROP ROLE annals_application`)
	})
	c.must(t, `GRANT USAGE ON SCHEMA trail TO annals_application`)
	c.must(t, `GRANT INSERT ON @outbox TO annals_application`)
	db, err := sql.Open("pgx", s.opt.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`SET LOCAL ROLE annals_application`); err != nil {
		t.Fatal(err)
	}
	if err := SQLTx(tx, InSchema("trail"), WithPrefix("x_")).Enqueue(t.Context(), batch(3, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if out := drain(t, s, 10, true); len(out.Stored) != 3 {
		t.Fatalf("%+v", out)
	}
	if err := Tx(c, InSchema(`a"b`)).Enqueue(t.Context(), nil); audit.CodeOf(err) != audit.CodeInvalid {
		t.Errorf("%v", err)
	}
	for _, r := range []*audit.Record{{}, {Sequence: 1, Event: audit.Event{ID: audit.NewID()}}} {
		if err := Tx(c, InSchema("trail"), WithPrefix("x_")).Enqueue(t.Context(), []*audit.Record{r}); audit.CodeOf(err) != audit.CodeInvalid {
			t.Errorf("%v", err)
		}
	}
}
