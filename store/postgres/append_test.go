package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// batch makes n events of scopes t0, t1 …, one after the other, in as many
// months as asked.
func batch(n, scopes, months int) []*audit.Record {
	recs := make([]*audit.Record, n)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for i := range recs {
		t := at.AddDate(0, -(i % months), 0).Add(time.Duration(i) * time.Millisecond)
		recs[i] = &audit.Record{
			Kind: audit.KindEvent, RecordedAt: t.Add(time.Second), Level: "all",
			Event: audit.Event{
				ID: audit.NewID(), Namespace: "billing", Tenant: fmt.Sprintf("t%d", i%scopes), OccurredAt: t,
				Action: "invoice.update", Operation: audit.Update, Outcome: audit.Success,
				Actor:   audit.Actor{Type: "user", ID: fmt.Sprintf("u-%d", i%17), IP: "203.0.113.17"},
				Request: audit.Request{ID: fmt.Sprintf("req-%d", i), TraceID: fmt.Sprintf("%032x", i*2654435761)},
			},
		}
	}
	return recs
}

// A record of every kind comes back as it went in, through the binary form and back.
func TestRecordsComeBack(t *testing.T) {
	s := open(t, Options{})
	recs := storetest.Corpus(1, 300)
	appendAll(t, s, recs)
	for _, want := range recs {
		got, err := s.Get(t.Context(), want.Ref())
		if err != nil {
			t.Fatal(err)
		}
		if d := storetest.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
}

// Ids hold across months and batches, whatever made them.
func TestRepeatsOverMonths(t *testing.T) {
	for _, chained := range []bool{false, true} {
		s := open(t, Options{})
		put := s.Append
		if chained {
			put = s.AppendChained
		}
		recs := batch(2400, 5, 6)
		for i, r := range recs {
			if i%3 == 0 {
				r.ID, r.ExternalID, _ = audit.IDFrom(fmt.Sprint("order-", i))
			}
		}
		first, err := put(t.Context(), storetest.CloneAll(recs))
		if err != nil {
			t.Fatal(err)
		}
		noErrors(t, first)
		again := storetest.CloneAll(recs)
		again[7].Action = "invoice.delete"
		extra := storetest.Clone(recs[2399])
		extra.ID = audit.NewID()
		twin := storetest.Clone(extra)
		other := storetest.Clone(extra)
		other.Action = "else"
		again = append(again, extra, twin, other)
		second, err := put(t.Context(), again)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range second {
			switch i {
			case 7, 2402:
				if audit.CodeOf(r.Err) != audit.CodeConflict {
					t.Errorf("chained %v: record %d: %+v, want a conflict", chained, i, r)
				}
			case 2400:
				if r.Duplicate || r.Err != nil || chained != (r.Sequence > 0) {
					t.Errorf("chained %v: the new record: %+v", chained, r)
				}
			case 2401:
				if !r.Duplicate || r.Sequence != second[2400].Sequence {
					t.Errorf("chained %v: the twin: %+v", chained, r)
				}
			default:
				if !r.Duplicate || r.Err != nil || r.Sequence != first[i].Sequence || r.Hash != first[i].Hash {
					t.Fatalf("chained %v: record %d: %+v, want %+v", chained, i, r, first[i])
				}
			}
		}
		if n := newStranger(t, s).number(t, `SELECT count(*) FROM @records`); n != 2401 {
			t.Errorf("chained %v: %d records, want 2401", chained, n)
		}
		if chained {
			verifyAll(t, s, 2401)
		}
	}
}

// verifyAll checks every chain and that they hold n records together.
func verifyAll(t testing.TB, s *Store, n int64) {
	t.Helper()
	heads, err := s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	for _, h := range heads {
		report, err := chain.Verify(t.Context(), s, h.Key, chain.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !report.Valid {
			t.Fatalf("%+v", report)
		}
		all += h.Sequence
	}
	if all != n {
		t.Fatalf("the chains have %d records, want %d", all, n)
	}
}
