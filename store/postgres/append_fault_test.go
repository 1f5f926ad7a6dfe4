package postgres

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// A record that PostgreSQL refuses keeps nobody else out, and is named.
func TestRefusedRecordsAreFound(t *testing.T) {
	s := open(t, Options{})
	recs := batch(40, 3, 1)
	for _, i := range []int{0, 11, 12, 39} {
		recs[i].Action = "nul\x00" // which the door would have mended
	}
	recs[20].Tenant = "nul\x00"
	recs[21].ID = audit.ID{}
	results, err := s.AppendChained(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		switch i {
		case 0, 11, 12, 39, 20, 21:
			if audit.CodeOf(r.Err) != audit.CodeInvalid || recs[i].Sequence != 0 {
				t.Errorf("record %d: %+v", i, r)
			}
		default:
			if r.Err != nil || r.Sequence == 0 {
				t.Errorf("record %d: %+v", i, r)
			}
		}
	}
	verifyAll(t, s, 34)
}

// A batch that fails as a whole leaves its records as they were.
func TestFailedBatchLeavesNoPlaces(t *testing.T) {
	s := open(t, Options{})
	recs := batch(10, 2, 1)
	newStranger(t, s).must(t, `ALTER TABLE @stale RENAME TO elsewhere`)
	if _, err := s.AppendChained(t.Context(), recs); !audit.Retryable(err) {
		t.Fatalf("%v is not retryable", err)
	}
	for i, r := range recs {
		if r.Sequence != 0 || !r.Hash.IsZero() || !r.PrevHash.IsZero() {
			t.Fatalf("record %d has the place %d", i, r.Sequence)
		}
	}
}

// The answer to a COMMIT that is lost leaves it open what was stored; the next
// attempt finds it, once.
func TestLostAnswerToCommit(t *testing.T) {
	for _, chained := range []bool{false, true} {
		t.Run(fmt.Sprintf("chained=%v", chained), func(t *testing.T) {
			direct := open(t, Options{})
			line := newCuttableLine(t, direct.opt.URL)
			s := open(t, Options{URL: line.url, RollupInterval: -1})
			put := s.Append
			if chained {
				put = s.AppendChained
			}
			recs := batch(50, 1, 2)
			if _, err := s.makeScope(t.Context(), recs[0].Scope()); err != nil { // which commits, too
				t.Fatal(err)
			}
			line.cut.Store(true)
			if _, err := put(t.Context(), recs); !audit.Retryable(err) {
				t.Fatalf("%v is not retryable", err)
			}
			if line.cut.Load() {
				t.Fatal("the line was not cut")
			}
			if n := newStranger(t, direct).number(t, `SELECT count(*) FROM @records`); n != 50 {
				t.Fatalf("%d records before the second attempt, want 50: the cut came too early", n)
			}
			results, err := put(t.Context(), recs)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if !r.Duplicate || r.Err != nil || chained != (r.Sequence == int64(i+1)) {
					t.Fatalf("record %d: %+v", i, r)
				}
			}
			if chained {
				verifyAll(t, s, 50)
			}
			got, err := s.Get(t.Context(), recs[0].Ref())
			if err != nil {
				t.Fatal(err)
			}
			if chained == (storetest.Diff(recs[0], got) == "") { // the caller's has no place
				t.Error("the caller's record has the place of an attempt that failed")
			}
		})
	}
}

// cuttableLine stands between a client and a server. Once cut is set, the next
// answer to a COMMIT does not come through, and its connection ends.
type cuttableLine struct {
	url string
	cut atomic.Bool
}

func newCuttableLine(t *testing.T, server string) *cuttableLine {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	port := q.Get("port")
	if u.Port() != "" {
		port = u.Port()
	}
	if port == "" {
		port = "5432"
	}
	network, address := "unix", filepath.Join(q.Get("host"), ".s.PGSQL."+port)
	if q.Get("host") == "" {
		network, address = "tcp", net.JoinHostPort(u.Hostname(), port)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q.Del("host")
	q.Del("port")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	line := &cuttableLine{url: u.String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			wg.Go(func() { line.pump(far, client, false) })
			wg.Go(func() { line.pump(client, far, true) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return line
}

// pump copies until one side ends.
func (l *cuttableLine) pump(to, from net.Conn, answers bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if answers && bytes.Contains(buf[:n], []byte("COMMIT\x00")) && l.cut.CompareAndSwap(true, false) {
			return
		}
		if _, e := to.Write(buf[:n]); err != nil || e != nil {
			return
		}
	}
}

// With the advisory locks out of the way the primary key of @batches still lets
// only one batch through, and the others come after it.
func TestHeadIsComparedAndSet(t *testing.T) {
	s := open(t, Options{})
	chainAll(t, s, batch(5, 1, 1))
	c := newStranger(t, s)
	c.must(t, `BEGIN`)
	c.must(t, `INSERT INTO @batches(scope, first_sequence, last_sequence, hash) VALUES(1, 6, 6, '\x00')`)
	done := make(chan error)
	go func() {
		_, err := s.AppendChained(t.Context(), batch(3, 1, 1))
		done <- err
	}()
	// It waits for the stranger's row, gets in its way, and takes another head.
	for c.number(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%batches%'`) == 0 {
		c.must(t, `SELECT pg_stat_clear_snapshot()`)
	}
	c.must(t, `COMMIT`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := c.number(t, `SELECT first_sequence FROM @batches ORDER BY 1 DESC LIMIT 1`); n != 7 {
		t.Errorf("the batch begins at %d, want 7", n)
	}
}

// A batch of many scopes is shared out, and each chain is whole.
func TestSharedBatches(t *testing.T) {
	s := open(t, Options{URL: enginetest.Postgres(t), Writers: 4})
	for _, scopes := range []int{1, 2, 3, 700} {
		recs := batch(2100, scopes, 3)
		chainAll(t, s, recs)
		for i := scopes; i < len(recs); i++ {
			if a, b := recs[i-scopes], recs[i]; b.Sequence != a.Sequence+1 || b.PrevHash != a.Hash {
				t.Fatalf("%d scopes: record %d does not follow the one before", scopes, i)
			}
		}
	}
	verifyAll(t, s, 4*2100)
}

// Writers of several large batches with the same scopes in other orders do not
// lock each other up.
func TestNoDeadlock(t *testing.T) {
	url := enginetest.Postgres(t)
	var wg sync.WaitGroup
	stores := []*Store{open(t, Options{URL: url, MaxConnections: 3}), open(t, Options{URL: url, MaxConnections: 3})}
	for n := range 6 {
		s := stores[n%2]
		wg.Go(func() {
			for range 3 {
				recs := batch(1200, 40, 2)
				if n%3 == 0 {
					for i, j := 0, len(recs)-1; i < j; i, j = i+1, j-1 {
						recs[i], recs[j] = recs[j], recs[i]
					}
				}
				if results, err := s.AppendChained(t.Context(), recs); err != nil || results[0].Err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	verifyAll(t, stores[0], 6*3*1200)
}
