package clickhouse

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/enginetest"
)

// What every engine must do is tested in internal/conformance; here is what is
// this engine's own.

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.Runner(m)) }

// opened opens a store on the database, closed at the end of the test.
func opened(tb testing.TB, url string, change func(*Options)) *Store {
	tb.Helper()
	opt := Options{URL: url}
	if change != nil {
		change(&opt)
	}
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

var scope = audit.Scope{Namespace: "ns", Tenant: "acme"}

// made makes n records in one month.
func made(tb testing.TB, n int) []*audit.Record {
	tb.Helper()
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	recs := make([]*audit.Record, n)
	for i := range recs {
		recs[i] = &audit.Record{
			Event: audit.Event{ID: audit.NewID(), Namespace: scope.Namespace, Tenant: scope.Tenant, OccurredAt: at.Add(time.Duration(i) * time.Second),
				Action: "thing.update", Actor: audit.Actor{ID: fmt.Sprint("user-", i%3)}, Payload: []byte(`{"n":"fox"}`), Metadata: []byte(`{"env":"prod"}`)},
			Kind: audit.KindEvent, RecordedAt: at.Add(time.Duration(i)*time.Second + time.Millisecond), Level: "all",
		}
		if err := audit.Normalize(recs[i], recs[i].RecordedAt); err != nil {
			tb.Fatal(err)
		}
	}
	return recs
}

func linked(tb testing.TB, s *Store, recs []*audit.Record) {
	tb.Helper()
	results, err := s.AppendChained(tb.Context(), recs)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil || r.Duplicate {
			tb.Fatalf("%+v", r)
		}
	}
}

// verified wants every chain of the store to be valid, and gives the segments.
func verified(tb testing.TB, s *Store) (segments []string, checked int64) {
	tb.Helper()
	heads, err := s.Heads(tb.Context(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range heads {
		report, err := chain.Verify(tb.Context(), s, h.Key, chain.VerifyOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		if !report.Valid {
			tb.Errorf("%+v: %+v", h, report.FirstBroken)
		}
		segments, checked = append(segments, h.Segment), checked+report.RecordsChecked
	}
	return segments, checked
}

// run does something to the tables behind the store's back.
func run(tb testing.TB, s *Store, statements ...string) {
	tb.Helper()
	for _, statement := range statements {
		if err := s.conn.Exec(context.Background(), s.sql(statement)); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}
