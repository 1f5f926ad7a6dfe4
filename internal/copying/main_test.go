package copying_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/export/ndjson"
	"github.com/annals-dev/annals/internal/copying"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/clickhouse"
	"github.com/annals-dev/annals/store/dynamodb"
	"github.com/annals-dev/annals/store/elasticsearch"
	"github.com/annals-dev/annals/store/postgres"
	"github.com/annals-dev/annals/store/sqlite"
	"github.com/annals-dev/annals/store/storetest"
)

// childEnv holds what the child process of a test is to copy.
const childEnv = "ANNALS_TEST_COPY"

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		child(job)
	}
	goleak.VerifyTestMain(enginetest.Runner(m))
}

// place is where a store is, for this process and for a child.
type place struct{ Engine, Address, Name string }

func (p place) open(ctx context.Context) (audit.Store, error) {
	switch p.Engine {
	case "sqlite":
		return sqlite.Open(ctx, sqlite.Options{Path: p.Address})
	case "postgres":
		return postgres.Open(ctx, postgres.Options{URL: p.Address})
	case "clickhouse":
		return clickhouse.Open(ctx, clickhouse.Options{URL: p.Address})
	case "opensearch":
		return elasticsearch.Open(ctx, elasticsearch.Options{URL: p.Address, Prefix: p.Name})
	case "dynamodb":
		// The records are of a time long past, in which TTL would delete them.
		return dynamodb.Open(ctx, dynamodb.Options{URL: p.Address, TableName: p.Name, Sweep: true})
	}
	return nil, fmt.Errorf("no engine %q", p.Engine)
}

var places atomic.Int64

// newPlace gives the place of a new, empty store.
func newPlace(t *testing.T, engine string) place {
	t.Helper()
	p := place{Engine: engine, Name: fmt.Sprintf("copy%d_%d_", os.Getpid(), places.Add(1))}
	switch engine {
	case "sqlite":
		p.Address = filepath.Join(t.TempDir(), "annals.db")
	case "postgres":
		p.Address = enginetest.Postgres(t)
	case "clickhouse":
		p.Address = enginetest.ClickHouse(t)
	case "opensearch":
		p.Address = enginetest.OpenSearch(t)
		t.Cleanup(func() { enginetest.DropIndices(t, p.Address, p.Name) })
	case "dynamodb":
		p.Address = enginetest.DynamoDB(t)
		t.Cleanup(func() { enginetest.DropDynamoDBTable(t, p.Address, p.Name) })
	}
	return p
}

// with opens the store of a place, runs fn and closes it.
func (p place) with(t *testing.T, fn func(s audit.Store)) {
	t.Helper()
	s, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	fn(s)
}

// export writes what a store has as `annals export` does.
func export(t *testing.T, s audit.Store) []byte {
	t.Helper()
	time.Sleep(s.Capabilities().Lag) // the promise that is relied on
	var out bytes.Buffer
	w := ndjson.NewWriter(&out)
	scanner, ok := audit.As[audit.Scanner](s)
	if !ok {
		t.Fatal("the store has no Scanner")
	}
	if err := scanner.Scan(t.Context(), question(t), w.Write); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func question(t *testing.T, filters ...audit.Filter) *audit.Query {
	t.Helper()
	q, err := (&audit.Query{Filters: filters, Limit: audit.MaxLimit}).Validate()
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// same compares two exports and says where they differ first.
func same(t *testing.T, what string, want, got []byte) {
	t.Helper()
	if bytes.Equal(want, got) {
		return
	}
	a, b := bufio.NewScanner(bytes.NewReader(want)), bufio.NewScanner(bytes.NewReader(got))
	a.Buffer(nil, 4<<20)
	b.Buffer(nil, 4<<20)
	for line := 1; ; line++ {
		ma, mb := a.Scan(), b.Scan()
		if !ma && !mb {
			t.Fatalf("%s: the exports differ in their ends", what)
		}
		if a.Text() != b.Text() {
			t.Fatalf("%s: the exports differ in line %d:\nwant %s\ngot  %s", what, line, a.Text(), b.Text())
		}
	}
}

// recording gives n records of every kind for the stores under test, each with a
// place of its own in the order of questions: intents and outcomes, gaps, failures,
// several namespaces and tenants, texts of every script.
func recording(seed uint64, n int) []*audit.Record {
	seen := map[audit.Position]bool{}
	var out []*audit.Record
	for _, r := range storetest.Corpus(seed, n+n/10+10) {
		if !seen[r.Position()] && len(out) < n {
			seen[r.Position()] = true
			out = append(out, r)
		}
	}
	return out
}

// fill records a trail with all that copying has to carry: chains, of which
// retention has removed records, a legal hold, and records outside chains.
func fill(t *testing.T, s audit.Store, recs []*audit.Record, outside int) {
	t.Helper()
	ctx := t.Context()
	results, err := s.Append(ctx, recs[:outside])
	fine(t, results, err)
	appender, _ := audit.As[chain.Appender](s)
	for rest := recs[outside:]; len(rest) > 0; rest = rest[min(500, len(rest)):] {
		results, err := appender.AppendChained(ctx, rest[:min(500, len(rest))])
		fine(t, results, err)
	}
	keeper, _ := audit.As[audit.Keeper](s)
	if err := keeper.Save(ctx, audit.HoldsKey, []byte(hold), 0); err != nil {
		t.Fatal(err)
	}
	holds, err := audit.ParseHolds([]byte(hold))
	if err != nil {
		t.Fatal(err)
	}
	cut := audit.Cut{ExpiredAt: storetest.CorpusStart.Add(20 * time.Hour), Holds: holds, Reason: "a day"}
	if n, err := s.DeleteExpired(ctx, cut, len(recs)); err != nil || n == 0 {
		t.Fatalf("%d records were deleted, %v", n, err)
	}
	more := ofProd(recording(7, 60))
	results, err = appender.AppendChained(ctx, more)
	fine(t, results, err)
}

const hold = `[{"id":"0197c1a0-0000-7000-8000-000000000001","reason":"case 7","created_at":"2026-03-02T00:00:00Z","params":"actor=bob"}]`

func fine(t *testing.T, results []audit.Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// copyAll copies and wants every chain to verify.
func copyAll(t *testing.T, src, dst audit.Store) *copying.Report {
	t.Helper()
	report, err := copying.Copy(t.Context(), src, dst, copying.Options{})
	if err != nil {
		t.Fatalf("Copy: %v", err)
	}
	for _, c := range report.Chains {
		if !c.Valid || c.Source != c.Target || c.Copied+c.Present != c.Source {
			t.Errorf("a chain was copied as %+v", c)
		}
	}
	for _, o := range report.Outside {
		if o.Source != o.Target || o.Copied+o.Present != o.Source {
			t.Errorf("outside chains were copied %+v", o)
		}
	}
	return report
}

// job is what a child copies.
type job struct{ From, To place }

// child copies until it is done or killed, and writes a line for each step that
// it makes.
func child(text string) {
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(2) // nobody is left behind when the parent is gone
	}()
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.run(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("done")
	os.Exit(0)
}

func (j job) run(ctx context.Context) error {
	src, err := j.From.open(ctx)
	if err != nil {
		return err
	}
	dst, err := j.To.open(ctx)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	_, err = copying.Copy(ctx, src, dst, copying.Options{BatchSize: 100, Progress: func(p copying.Progress) {
		if p.Step == copying.StepChains || p.Step == copying.StepOutside {
			fmt.Println(p.Step, p.Done)
		}
	}})
	return errors.Join(err, src.Close(), dst.Close())
}
