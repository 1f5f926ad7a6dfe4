package elasticsearch

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.Runner(m)) }

var prefixes atomic.Int64

// server gives options of a store of its own on the shared OpenSearch.
func serverOptions(tb testing.TB) Options {
	tb.Helper()
	if testing.Short() {
		tb.Skip("in full runs only: a server takes its time")
	}
	url := enginetest.OpenSearch(tb)
	prefix := fmt.Sprintf("t%d-%d_", os.Getpid(), prefixes.Add(1))
	tb.Cleanup(func() { enginetest.DropIndices(tb, url, prefix) })
	return Options{URL: url, Prefix: prefix}
}

func openStore(tb testing.TB, opt Options) *Store {
	tb.Helper()
	s, err := Open(context.Background(), opt)
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

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// event makes a small valid record.
func event(tenant string, at time.Time, change func(*audit.Record)) *audit.Record {
	r := &audit.Record{
		Event: audit.Event{ID: audit.NewID(), Namespace: "ns", Tenant: tenant, OccurredAt: at, Action: "thing.update"},
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

func events(tenant string, n int) []*audit.Record {
	out := make([]*audit.Record, n)
	for i := range out {
		out[i] = event(tenant, start.Add(time.Duration(i)*time.Second), nil)
	}
	return out
}

// stored wants every record to be stored anew.
func stored(tb testing.TB, results []audit.Result, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil || r.Duplicate {
			tb.Fatalf("record %d: %+v", i, r)
		}
	}
}

func refreshed(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Refresh(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

func drop(tb testing.TB, opt Options) { enginetest.DropIndices(tb, opt.URL, opt.Prefix) }
