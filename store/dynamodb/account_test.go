package dynamodb

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// What TTL takes from a chain is accounted for when the chain is read next, or
// when retention runs, whatever it takes first.
func TestTTLAndChain(t *testing.T) {
	inFullRuns(t)
	for _, c := range []struct {
		name  string
		eaten func(i int) bool // of 120
		runs  int
	}{
		{"the beginning", func(i int) bool { return i < 50 }, 1},
		{"the end", func(i int) bool { return i >= 70 }, 1},
		{"islands", func(i int) bool { return i%3 == 1 }, 40},
		{"everything", func(int) bool { return true }, 1},
		{"nothing", func(int) bool { return false }, 0},
	} {
		for _, by := range []string{"verification", "retention"} {
			t.Run(c.name+" by "+by, func(t *testing.T) {
				s, clock := newTTL(t, nil)
				recs := events(scopeA, clock.at, 120, func(_ int, r *audit.Record) { r.ExpiresAt = clock.at.Add(dueIn) })
				appendChained(t, s, recs)
				clock.at = clock.at.Add(dueIn + time.Hour)
				var want []chain.Link
				for i, r := range recs {
					if c.eaten(i) {
						eat(t, s, r)
						want = append(want, chain.Link{Sequence: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
					}
				}
				if by == "retention" {
					n, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: clock.at, Reason: "expired"}, 1000)
					if n != 0 || err != nil {
						t.Fatalf("DeleteExpired: %d, %v", n, err)
					}
				}
				report := verify(t, s, scopeA)
				if !report.Valid || len(report.Pruned) != c.runs {
					t.Fatalf("%+v", report)
				}
				runs, reasons := anchors(t, s, scopeA)
				if d := cmp.Diff(chain.Runs(want), runs); d != "" {
					t.Error(d)
				}
				if c.runs > 0 && (len(reasons) != 1 || reasons[0] != ReasonTTL) {
					t.Errorf("the anchors say %q", reasons)
				}
				// The chain goes on, and so does TTL.
				appendChained(t, s, events(scopeA, clock.at, 10, nil))
				eat(t, s, recs[60])
				if n, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: clock.at}, 1000); n != 0 || err != nil {
					t.Fatalf("DeleteExpired: %d, %v", n, err)
				}
				if report := verify(t, s, scopeA); !report.Valid {
					t.Errorf("%+v", report.FirstBroken)
				}
				before, _ := anchors(t, s, scopeA)
				if _, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: clock.at}, 1000); err != nil {
					t.Fatal(err)
				}
				if after, _ := anchors(t, s, scopeA); len(after) != len(before) {
					t.Errorf("what has its anchor was anchored again: %d runs, then %d", len(before), len(after))
				}
			})
		}
	}
}

// Who deletes a record before its time is found out: no anchor is written for it.
func TestDeletionBeforeItsTimeIsFound(t *testing.T) {
	inFullRuns(t)
	s, clock := newTTL(t, nil)
	recs := events(scopeA, clock.at, 60, func(i int, r *audit.Record) {
		if i != 20 {
			r.ExpiresAt = clock.at.Add(dueIn)
		}
	})
	appendChained(t, s, recs)
	clock.at = clock.at.Add(dueIn - time.Hour)
	eat(t, s, recs[10])
	if report := verify(t, s, scopeA); report.Valid || report.FirstBroken.Sequence != 11 || report.FirstBroken.Reason != chain.ReasonMissing {
		t.Errorf("an hour too early: %+v", report.FirstBroken)
	}
	clock.at = clock.at.Add(2 * time.Hour)
	eat(t, s, recs[20])
	if report := verify(t, s, scopeA); report.Valid || report.FirstBroken.Sequence != 21 {
		t.Errorf("one that never expires: %+v", report.FirstBroken)
	}
}

// Who may read and append, but not delete, accounts for what is gone once.
func TestAccountWithoutTheRightToDelete(t *testing.T) {
	f := newFaulty(t)
	s, clock := newTTL(t, func(o *Options) { o.transport, o.MaxRetries = f, -1 })
	recs := events(scopeA, clock.at, 30, func(_ int, r *audit.Record) { r.ExpiresAt = clock.at.Add(dueIn) })
	appendChained(t, s, recs)
	clock.at = clock.at.Add(dueIn + time.Hour)
	eat(t, s, recs[:10]...)
	f.set(func(op string) fault {
		if op == "BatchWriteItem" {
			return denied
		}
		return pass
	})
	for range 3 {
		if _, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: clock.at}, 10); err == nil || !audit.Retryable(err) {
			t.Fatalf("got %v", err)
		}
		if report := verify(t, s, scopeA); !report.Valid {
			t.Fatalf("%+v", report.FirstBroken)
		}
	}
	if runs, _ := anchors(t, s, scopeA); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
	f.set(nil)
	if _, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: clock.at}, 10); err != nil {
		t.Fatal(err)
	}
	if runs, _ := anchors(t, s, scopeA); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
}

// The server's own TTL, with its own clock. DynamoDB Local takes some seconds,
// and leaves alone what is not in every index: so the records have actions.
func TestRealTTL(t *testing.T) {
	inFullRuns(t) // it waits for the server's own time
	opt := newTable(t)
	s := open(t, opt)
	now := time.Now()
	recs := events(scopeA, now.Add(-time.Hour), 60, func(i int, r *audit.Record) {
		r.ActionID = fmt.Sprint("act-", i)
		if i < 40 {
			r.ExpiresAt = now.Add(-time.Minute)
		}
	})
	appendChained(t, s, recs)
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	left := time.After(5 * time.Minute)
	for _, r := range recs[:40] {
		for {
			if _, err := s.Get(t.Context(), r.Ref()); errors.Is(err, audit.ErrNotFound) {
				break
			}
			// A verification at any moment of it finds no fault.
			if report := verify(t, s, scopeA); !report.Valid {
				t.Fatalf("%+v", report.FirstBroken)
			}
			select {
			case <-look.C:
			case <-left:
				t.Fatal("TTL deleted nothing in five minutes")
			}
		}
	}
	if n, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: time.Now()}, 1000); n != 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	report := verify(t, s, scopeA)
	if !report.Valid {
		t.Errorf("%+v", report.FirstBroken)
	}
	gone := int64(0)
	runs, _ := anchors(t, s, scopeA)
	for _, run := range runs {
		gone += run.Last - run.First + 1
	}
	if gone != 40 {
		t.Errorf("the anchors name %d records: %v", gone, fmt.Sprint(runs))
	}
	appendChained(t, s, events(scopeA, now, 5, nil))
	if report := verify(t, s, scopeA); !report.Valid {
		t.Errorf("%+v", report.FirstBroken)
	}
}
