package annals_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/redact"
	"github.com/annals-dev/annals/store/memory"
	"github.com/annals-dev/annals/store/sqlite"
)

// box is a store with an outbox that takes every record at once.
type box struct {
	*memory.Store
	mu      sync.Mutex
	waiting []*audit.Record
	fail    error
	refused []error
	calls   int
}

func (b *box) Enqueue(_ context.Context, recs []*audit.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.waiting = append(b.waiting, recs...)
	return nil
}

func (b *box) Relay(ctx context.Context, limit int, chained bool) (out audit.Relayed, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.fail != nil {
		return out, b.fail
	}
	if chained {
		_, err = b.AppendChained(ctx, b.waiting)
	} else {
		_, err = b.Append(ctx, b.waiting)
	}
	out = audit.Relayed{Records: len(b.waiting), Stored: b.waiting, Refused: b.refused}
	b.waiting, b.refused = nil, nil
	return out, err
}

// The events of transactions go the whole way, are looked for every second, and
// once more when the trail is closed; the log tells of failures once.
func TestRecordTx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &box{Store: memory.New(memory.Options{})}
		trail, err := annals.New(b, annals.Options{
			Policy: policy.Config{Level: policy.WritesOnly}, Redact: redact.Config{Enabled: true, Fields: []string{"ssn"}}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		record := func(action string) (audit.Receipt, error) {
			return trail.RecordTx(t.Context(), b, &audit.Event{Action: action, Tenant: "acme", Payload: []byte(`{"ssn": "078-05-1120", "n": 1}`)})
		}
		if receipt, err := record("order.create"); err != nil || receipt.Status != audit.StatusQueued || receipt.ID.IsZero() {
			t.Fatalf("%+v, %v", receipt, err)
		}
		if receipt, err := record("order.read"); err != nil || receipt.Status != audit.StatusFiltered {
			t.Fatalf("%+v, %v", receipt, err)
		}
		if receipt, err := record(""); audit.CodeOf(err) != audit.CodeInvalid || receipt.Status != audit.StatusRejected {
			t.Fatalf("%+v, %v", receipt, err)
		}
		count := func() int64 {
			n, err := trail.Count(t.Context(), &audit.Query{Filters: []audit.Filter{{Field: "kind", Op: audit.OpIs, Values: []string{"event"}}}})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := count(); n != 0 {
			t.Errorf("%d records before the relay", n)
		}
		time.Sleep(1500 * time.Millisecond)
		page, err := trail.Query(t.Context(), &audit.Query{Filters: []audit.Filter{{Field: "kind", Op: audit.OpIs, Values: []string{"event"}}}}, "")
		if err != nil || len(page.Records) != 1 {
			t.Fatal(page, err)
		}
		if r := page.Records[0]; r.Sequence != 1 || !strings.Contains(string(r.Payload), `"n":1`) || strings.Contains(string(r.Payload), "1120") {
			t.Errorf("%+v", r)
		}

		b.mu.Lock()
		b.fail = audit.Unavailable("the database is away", errors.New("x"))
		b.mu.Unlock()
		if receipt, err := record("order.create"); !errors.Is(err, audit.ErrUnavailable) || receipt.Status != audit.StatusRejected || receipt.Err == nil {
			t.Errorf("%+v, %v", receipt, err)
		}
		time.Sleep(5 * time.Second)
		b.mu.Lock()
		b.fail, b.refused = nil, []error{audit.ErrConflict}
		b.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for text, want := range map[string]int{"wait in the outbox": 1, "stored again": 1, "cannot be stored": 1} {
			if n := strings.Count(log.String(), text); n != want {
				t.Errorf("the log says %d times %q, want %d:\n%s", n, text, want, log.String())
			}
		}
		if _, err := record("order.update"); err != nil {
			t.Fatal(err)
		}
		if _, err := trail.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.waiting) != 0 {
			t.Error("Close leaves a record in the outbox")
		}
		if receipt, err := record("order.create"); !errors.Is(err, audit.ErrClosed) || receipt.Status != audit.StatusRejected {
			t.Errorf("%+v, %v", receipt, err)
		}
	})
}

func TestRelaySwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, opt := range []annals.Options{{RelayInterval: -1}, {Policy: policy.Config{Disabled: true}}} {
			b := &box{Store: memory.New(memory.Options{})}
			trail, err := annals.New(b, opt)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if _, err := trail.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if b.calls != 0 {
				t.Errorf("%d calls", b.calls)
			}
		}
	})
}

// An application's transaction on the file of the trail itself.
func TestRecordTxOnSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, LosePowerFailure: true})
	if err != nil {
		t.Fatal(err)
	}
	trail := open(t, store, annals.Options{RelayInterval: time.Millisecond})
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan audit.ID, 10)
	go func() {
		_ = trail.Tail(ctx, &audit.Query{}, audit.Position{OccurredAt: time.Now().Add(-time.Hour)}, func(r *audit.Record) error {
			seen <- r.ID
			return nil
		})
	}()
	var ids []audit.ID
	for i := range 10 {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := trail.RecordTx(t.Context(), sqlite.Tx(tx), &audit.Event{Action: "order.create"})
		if err != nil {
			t.Fatal(err)
		}
		end := tx.Commit
		if i%2 == 1 {
			end = tx.Rollback
		} else {
			ids = append(ids, receipt.ID)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range ids {
		if got := <-seen; got != want {
			t.Errorf("the tail gives %s, want %s", got, want)
		}
	}
	reports, err := trail.Verify(t.Context(), audit.Scope{}, chain.VerifyOptions{})
	if err != nil || len(reports) != 1 || !reports[0].Valid || reports[0].RecordsChecked != 5 {
		t.Error(reports, err)
	}
}
