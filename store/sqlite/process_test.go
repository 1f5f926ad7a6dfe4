package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// The variable that makes this test program a writer of its own, see below.
const writerEnv = "ANNALS_TEST_WRITER"

// TestAsWriter is not a test: another process that appends chained batches and
// says after each that it is stored, until it is killed or has written enough.
func TestAsWriter(t *testing.T) {
	args := strings.Split(os.Getenv(writerEnv), "|")
	if len(args) != 3 {
		return
	}
	seed, _ := strconv.ParseUint(args[1], 10, 64)
	batches, _ := strconv.Atoi(args[2])
	s, err := Open(context.Background(), Options{Path: args[0]})
	if err != nil {
		fmt.Println("FAILED", err)
		return
	}
	for i := range batches {
		recs := sameTenant(storetest.Corpus(seed*10_000+uint64(i), 20))
		if _, err := s.AppendChained(context.Background(), recs); err != nil {
			fmt.Println("FAILED", err)
			return
		}
		for _, r := range recs {
			fmt.Println("STORED", r.ID, r.Sequence)
		}
	}
	_ = s.Close()
	os.Exit(0)
}

// sameTenant moves records into one chain, but keeps their ids apart.
func sameTenant(recs []*audit.Record) []*audit.Record {
	for _, r := range recs {
		r.ID, r.ExternalID = audit.NewID(), ""
		r.Namespace, r.Tenant = "ns", "shared"
	}
	return recs
}

// process is this program once more, to run the test named.
func process(test, env string) *osexec.Cmd {
	cmd := osexec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), env)
	return cmd
}

// writerProcess starts another process and calls fn with each line that it says.
func writerProcess(t *testing.T, path string, seed, batches int, fn func(line string, p *os.Process)) {
	t.Helper()
	cmd := process("TestAsWriter", fmt.Sprintf("%s=%s|%d|%d", writerEnv, path, seed, batches))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "FAILED") {
			t.Error(lines.Text())
		}
		if strings.HasPrefix(lines.Text(), "STORED") {
			fn(lines.Text(), cmd.Process)
		}
	}
	_ = cmd.Wait() // it may have been killed
}

// stored wants the line's record to be there, at its place.
func wantStored(t *testing.T, s *Store, line string) {
	t.Helper()
	words := strings.Fields(line)
	id, err := audit.ParseID(words[1])
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), audit.Ref{Namespace: "ns", Tenant: "shared", ID: id})
	if err != nil || strconv.FormatInt(r.Sequence, 10) != words[2] {
		t.Errorf("%s: %v", line, err)
	}
}

func wantValid(t tester, s *Store, scope audit.Scope) *chain.Report {
	t.Helper()
	report, err := chain.Verify(t.Context(), s, chain.Key{Scope: scope}, chain.VerifyOptions{})
	if err != nil || !report.Valid {
		t.Fatalf("%v, %+v", err, report)
	}
	return report
}

var shared = audit.Scope{Namespace: "ns", Tenant: "shared"}

// What a process acknowledged survives that it is killed at any moment, and
// the chain goes on after it.
func TestKilledWhileWriting(t *testing.T) {
	s := open(t, Options{})
	for round := range 3 {
		var lines []string
		writerProcess(t, s.opt.Path, round, 1000, func(line string, p *os.Process) {
			if lines = append(lines, line); len(lines) == 100+37*round {
				_ = p.Kill()
			}
		})
		for _, line := range lines {
			wantStored(t, s, line)
		}
		chainAll(t, s, sameTenant(storetest.Corpus(uint64(round), 5)))
		wantValid(t, s, shared)
	}
}

// Three processes append to one chain while this one reads.
func TestProcessesAtOnce(t *testing.T) {
	s := open(t, Options{})
	var mu sync.Mutex
	var lines []string
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			writerProcess(t, s.opt.Path, i, 15, func(line string, _ *os.Process) {
				mu.Lock()
				defer mu.Unlock()
				lines = append(lines, line)
			})
		})
	}
	wg.Go(func() {
		for i := range 15 {
			chainAll(t, s, sameTenant(storetest.Corpus(uint64(i), 20)))
			if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n%20 != 0 {
				t.Errorf("%d records seen, %v: half of a batch", n, err)
			}
		}
	})
	wg.Wait()
	for _, line := range lines {
		wantStored(t, s, line)
	}
	if report := wantValid(t, s, shared); report.RecordsChecked != 3*15*20 || len(lines) != 2*15*20 {
		t.Errorf("%d records, %d acknowledged by the others", report.RecordsChecked, len(lines))
	}
}

// A transaction that never ends by a commit leaves nothing behind.
func TestUnfinishedTransaction(t *testing.T) {
	s := open(t, Options{})
	recs := sameTenant(storetest.Corpus(1, 40))
	chainAll(t, s, recs[:20])
	boom := errors.New("boom")
	err := s.write(t.Context(), func(w *writer) error {
		b, err := w.batch()
		if err != nil {
			return err
		}
		c := chained{batch: b, results: make([]audit.Result, 20)}
		if err := c.append(storetest.CloneAll(recs[20:])); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 20 {
		t.Errorf("%d records, %v", n, err)
	}
	chainAll(t, s, recs[20:])
	if report := wantValid(t, s, shared); report.RecordsChecked != 40 {
		t.Errorf("%d records", report.RecordsChecked)
	}
}

// A full disk is an error that a retry may mend, and nothing is half stored.
func TestDiskFull(t *testing.T) {
	s := open(t, Options{})
	recs := sameTenant(storetest.Corpus(1, 2000))
	chainAll(t, s, recs[:20])
	limit := func(pages string) {
		w := <-s.writer
		defer func() { s.writer <- w }()
		if err := exec(w.Conn, "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("60")
	_, err := s.AppendChained(t.Context(), recs[20:])
	if audit.CodeOf(err) != audit.CodeUnavailable || !strings.Contains(err.Error(), "disk is full") || !audit.Retryable(err) {
		t.Errorf("got %v", err)
	}
	if recs[20].Sequence != 0 {
		t.Error("a record kept the place that it did not get")
	}
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 20 {
		t.Errorf("%d records, %v", n, err)
	}
	wantValid(t, s, shared)
	limit("1000000")
	chainAll(t, s, recs[20:])
	if report := wantValid(t, s, shared); report.RecordsChecked != 2000 {
		t.Errorf("%d records", report.RecordsChecked)
	}
}

// A write lock that another process does not let go of is an error that says
// so, after the timeout or when the caller gives up.
func TestBusy(t *testing.T) {
	s := open(t, Options{BusyTimeout: 30 * time.Millisecond})
	recs := storetest.Corpus(1, 3)
	c := stranger(t, s.opt.Path)
	c.must(t, "BEGIN IMMEDIATE")
	if _, err := s.Append(t.Context(), recs); audit.CodeOf(err) != audit.CodeUnavailable || !strings.Contains(err.Error(), "busy") {
		t.Errorf("got %v", err)
	}
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 0 {
		t.Errorf("reading waits for the writer: %d, %v", n, err)
	}
	patient := open(t, Options{Path: s.opt.Path, BusyTimeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := patient.Append(ctx, recs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	c.must(t, "COMMIT")
	appendAll(t, s, recs[:1])
	appendAll(t, patient, recs[1:])
}

// A statement under way ends when its caller gives up, and the connection is
// good for the next one.
func TestInterrupt(t *testing.T) {
	s := open(t, Options{Readers: 1})
	endless := "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
	for _, call := range []func(context.Context, func(*conn) error) error{
		func(ctx context.Context, fn func(*conn) error) error {
			return s.read(ctx, func(v *view) error { return fn(v.conns[0]) })
		},
		func(ctx context.Context, fn func(*conn) error) error {
			return s.write(ctx, func(w *writer) error {
				if err := w.run(s.sql("INSERT INTO @scopes(namespace, tenant) VALUES('never', 'stored')")); err != nil {
					return err
				}
				return fn(w.conn)
			})
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		err := call(ctx, func(c *conn) error {
			go cancel()
			return exec(c.Conn, endless)
		})
		if !errors.Is(err, context.Canceled) || audit.CodeOf(err) != audit.CodeUnavailable {
			t.Errorf("got %v", err)
		}
	}
	appendAll(t, s, storetest.Corpus(1, 5))
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 5 {
		t.Errorf("%d records, %v", n, err)
	}
	if found, err := stranger(t, s.opt.Path).one("SELECT 1 FROM annals_scopes WHERE namespace = 'never'", nil); found || err != nil {
		t.Errorf("what was interrupted is stored: %v", err)
	}
}

// A panic costs no connection.
func TestPanic(t *testing.T) {
	s := open(t, Options{Readers: 1})
	for _, call := range []func(){
		func() { _ = s.read(t.Context(), func(*view) error { panic("read") }) },
		func() { _ = s.write(t.Context(), func(*writer) error { panic("write") }) },
	} {
		func() {
			defer func() { _ = recover() }()
			call()
		}()
	}
	appendAll(t, s, storetest.Corpus(1, 5))
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 5 {
		t.Errorf("%d records, %v", n, err)
	}
}
