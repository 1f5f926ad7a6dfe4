package sqlite

import (
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// application opens the file as an application does that has tables of its own in it.
func application(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS orders(n INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	return db
}

func capture(t *testing.T, db *sql.DB, recs []*audit.Record, commit bool, options ...TxOption) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer tx.Rollback()
	if _, err := tx.Exec("INSERT INTO orders DEFAULT VALUES"); err != nil {
		t.Error(err)
	}
	if err := Tx(tx, options...).Enqueue(t.Context(), recs); err != nil {
		t.Error(err)
	}
	if commit {
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	}
}

func drain(t *testing.T, s *Store, limit int, chained bool) (out audit.Relayed) {
	t.Helper()
	for {
		step, err := s.Relay(t.Context(), limit, chained)
		if err != nil {
			t.Error(err)
			return out
		}
		if step.Records == 0 {
			return out
		}
		out.Records += step.Records
		out.Stored, out.Refused = append(out.Stored, step.Stored...), append(out.Refused, step.Refused...)
	}
}

// What is rolled back leaves nothing; what is committed comes once, whole and
// in order, behind what the chain has.
func TestOutbox(t *testing.T) {
	for _, chained := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "x.db")
		s := open(t, Options{Path: path, Prefix: "trail_"})
		db := application(t, path)
		capture(t, db, storetest.Corpus(7, 20), false, WithPrefix("trail_"))
		if out := drain(t, s, 10, chained); out.Records != 0 {
			t.Fatalf("%d records of a transaction that was rolled back", out.Records)
		}
		recs := storetest.Corpus(8, 50)
		capture(t, db, recs, true, WithPrefix("trail_"))
		capture(t, db, recs[:5], true, WithPrefix("trail_"))
		conflict := storetest.Clone(recs[0])
		conflict.Action = "something.else"
		capture(t, db, []*audit.Record{conflict}, true, WithPrefix("trail_"))
		if _, err := db.Exec("INSERT INTO trail_outbox(record) VALUES(x'00ff')"); err != nil {
			t.Fatal(err)
		}
		out := drain(t, s, 16, chained)
		if out.Records != 57 || len(out.Stored) != 50 || len(out.Refused) != 2 {
			t.Fatalf("%d records, %d stored, refused: %v", out.Records, len(out.Stored), out.Refused)
		}
		for i, want := range recs {
			got, err := s.Get(t.Context(), want.Ref())
			if err != nil {
				t.Fatal(err)
			}
			if d := storetest.Diff(out.Stored[i], got); d != "" {
				t.Fatal(d)
			}
			got.Sequence, got.PrevHash, got.Hash = 0, audit.Digest{}, audit.Digest{}
			if d := storetest.Diff(want, got); d != "" {
				t.Fatal(d)
			}
		}
		var left int
		if err := db.QueryRow("SELECT count(*) FROM trail_outbox WHERE refused <> ''").Scan(&left); err != nil || left != 2 {
			t.Errorf("%d rows are marked, want 2: %v", left, err)
		}
		if chained {
			whole(t, s, 50)
		}
	}
}

// whole checks every chain and that they hold n records together.
func whole(t *testing.T, s *Store, n int64) {
	t.Helper()
	heads, err := s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	for _, h := range heads {
		report, err := chain.Verify(t.Context(), s, h.Key, chain.VerifyOptions{})
		if err != nil || !report.Valid {
			t.Fatal(report, err)
		}
		all += h.Sequence
	}
	if all != n {
		t.Fatalf("the chains have %d records, want %d", all, n)
	}
}

// Transactions and relays at the same time.
func TestRelaysWhileTransactionsRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, other := open(t, Options{Path: path, LosePowerFailure: true}), open(t, Options{Path: path, LosePowerFailure: true})
	db := application(t, path)
	var capturing, relaying sync.WaitGroup
	stop := make(chan struct{})
	for _, r := range []*Store{s, other} {
		relaying.Go(func() {
			for {
				drain(t, r, 7, true)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for n := range 3 {
		capturing.Go(func() {
			for i := range 20 {
				capture(t, db, storetest.Corpus(uint64(1000*n+i), 3), i%5 != 4)
			}
		})
	}
	capturing.Wait()
	close(stop)
	relaying.Wait()
	drain(t, s, 100, true)
	whole(t, s, 3*16*3)
	var orders int
	if err := db.QueryRow("SELECT count(*) FROM orders").Scan(&orders); err != nil || orders != 3*16 {
		t.Errorf("%d orders: %v", orders, err)
	}
}

func TestEnqueueRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, Options{Path: path})
	db := application(t, path)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	event := audit.Event{ID: audit.NewID()}
	for _, c := range []struct {
		rec    audit.Record
		option TxOption
		code   audit.Code
	}{
		{audit.Record{}, WithPrefix(""), audit.CodeInvalid},
		{audit.Record{Event: event, Sequence: 1}, WithPrefix(""), audit.CodeInvalid},
		{audit.Record{Event: event}, WithPrefix("no good"), audit.CodeInvalid},
		{audit.Record{Event: event}, WithPrefix("not_there_"), audit.CodeUnavailable},
	} {
		if err := Tx(tx, c.option).Enqueue(t.Context(), []*audit.Record{&c.rec}); audit.CodeOf(err) != c.code {
			t.Errorf("%v, want %s", err, c.code)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	read := open(t, Options{Path: path, ReadOnly: true})
	if _, err := read.Relay(t.Context(), 1, true); audit.CodeOf(err) != audit.CodeUnsupported {
		t.Error(err)
	}
}
