package dynamodb

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// children are what this binary does instead of testing, as a process of its own.
var children = map[string]func(){}

const childVariable = "ANNALS_DYNAMODB_CHILD"

func TestMain(m *testing.M) {
	if work := children[os.Getenv(childVariable)]; work != nil {
		work()
		return
	}
	goleak.VerifyTestMain(enginetest.Runner(m))
}

var tables atomic.Int64

// newTable gives options for a table of the test's own, which is dropped when the
// test ends.
func newTable(tb testing.TB) Options {
	tb.Helper()
	opt := Options{URL: enginetest.DynamoDB(tb), TableName: fmt.Sprintf("test-%d-%d", os.Getpid(), tables.Add(1))}
	tb.Cleanup(func() { enginetest.DropDynamoDBTable(tb, opt.URL, opt.TableName) })
	return opt
}

// open opens a store for the test.
func open(tb testing.TB, opt Options) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

var start = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

var scopeA = audit.Scope{Namespace: "billing", Tenant: "a"}

// event makes a small valid record.
func event(scope audit.Scope, at time.Time, change func(*audit.Record)) *audit.Record {
	r := &audit.Record{
		Event: audit.Event{ID: audit.NewID(), Namespace: scope.Namespace, Tenant: scope.Tenant, OccurredAt: at, Action: "thing.update"},
		Kind:  audit.KindEvent, RecordedAt: at.Add(time.Second), Level: "all",
	}
	if change != nil {
		change(r)
	}
	if err := audit.Normalize(r, at); err != nil {
		panic(err)
	}
	return r
}

// events makes n of them, a second apart.
func events(scope audit.Scope, at time.Time, n int, change func(i int, r *audit.Record)) []*audit.Record {
	out := make([]*audit.Record, n)
	for i := range out {
		out[i] = event(scope, at.Add(time.Duration(i)*time.Second), func(r *audit.Record) {
			if change != nil {
				change(i, r)
			}
		})
	}
	return out
}

// appendChained wants all records to be stored anew.
func appendChained(tb testing.TB, s *Store, recs []*audit.Record) {
	tb.Helper()
	results, err := s.AppendChained(tb.Context(), recs)
	if err != nil {
		tb.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil || r.Duplicate || r.Sequence != recs[i].Sequence || r.Hash != recs[i].Hash || r.Sequence == 0 {
			tb.Fatalf("record %d: %+v", i, r)
		}
	}
}

// verify verifies the chain of a scope.
func verify(tb testing.TB, s *Store, scope audit.Scope) *chain.Report {
	tb.Helper()
	report, err := chain.Verify(tb.Context(), s, chain.Key{Scope: scope}, chain.VerifyOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// verifyAll wants every chain to be valid, and gives the records in them.
func verifyAll(tb testing.TB, s *Store) (records int64) {
	tb.Helper()
	heads, err := s.Heads(tb.Context(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range heads {
		report := verify(tb, s, h.Scope)
		if !report.Valid {
			tb.Errorf("the chain of %v is broken: %+v", h.Scope, report.FirstBroken)
		}
		records += report.RecordsChecked
	}
	return records
}

// all gives every record of the store.
func all(tb testing.TB, s *Store) (out []*audit.Record) {
	tb.Helper()
	err := s.Scan(tb.Context(), &audit.Query{Order: audit.OldestFirst}, func(r *audit.Record) error {
		out = append(out, storetest.Clone(r))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// inFullRuns leaves a test that takes its time out of short runs.
func inFullRuns(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("in full runs only")
	}
}
