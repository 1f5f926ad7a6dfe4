package recorder

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
)

// gapsIn sums up what the stored gap records count, by tenant and kind.
func gapsIn(t *testing.T, s *store) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	for _, rec := range s.order {
		if rec.Kind != audit.KindGap {
			continue
		}
		var p gapPayload
		if err := json.Unmarshal(rec.Payload, &p); err != nil {
			t.Fatal(err)
		}
		name := rec.Tenant
		if p.Overflow {
			name = "(overflow)"
		}
		for reason, n := range p.Filtered {
			sums[name+"/"+reason] += n
		}
		if p.Dropped > 0 {
			sums[name+"/dropped"] += p.Dropped
		}
		if p.Failed > 0 {
			sums[name+"/failed"] += p.Failed
		}
	}
	return sums
}

func TestGapRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{Chained: true, Policy: mustPolicy(t, policy.Config{ExcludeResources: []string{"health"}})})
		begin := time.Now()
		ev := event(1)
		ev.Resource.Type = "health"
		mustRecord(t, r, ev, audit.StatusFiltered)
		mustRecord(t, r, read(2), audit.StatusFiltered)
		mustRecord(t, r, read(3), audit.StatusFiltered)
		time.Sleep(time.Second)
		a := mustClose(t, r)
		if len(s.order) != 1 {
			t.Fatalf("%d records", len(s.order))
		}
		got := *s.order[0]
		now := audit.FromMicros(time.Now().UnixMicro())
		payload := fmt.Sprintf(`{"filtered":{"excluded_resource":1,"level":2},"from":%q,"to":%q}`, audit.FormatTime(begin), audit.FormatTime(now))
		want := audit.Record{
			Kind: audit.KindGap, RecordedAt: now, Level: "writes_only", Sequence: 1, Hash: got.Hash,
			Event: audit.Event{
				ID: got.ID, Tenant: "acme", OccurredAt: now, Action: chain.ActionGap, Operation: audit.Other, Outcome: audit.Success,
				Actor: audit.Actor{Type: "service", ID: "annals"}, Payload: []byte(payload),
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		normal := got
		if err := audit.Normalize(&normal, now); err != nil || !audit.SameContent(&normal, &got) {
			t.Errorf("a gap record is not in its canonical form: %v", err)
		}
		if diff := cmp.Diff(Account{Offered: 3, Filtered: 3}, a); diff != "" {
			t.Error("gap records are not events:", diff)
		}
		if n := r.Stats().Gaps; n != 1 {
			t.Errorf("%d gap records in the statistics", n)
		}
	})
}

func TestGapsGoWithTheirScopesBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{Chained: true, Durability: Sync, FlushInterval: 10 * time.Second})
		quietTenant := read(0)
		quietTenant.Tenant = "quiet"
		mustRecord(t, r, quietTenant, audit.StatusFiltered)
		for i := range 30 { // one second a turn, nine reads a write
			for range 9 {
				mustRecord(t, r, read(i), audit.StatusFiltered)
			}
			mustRecord(t, r, event(i), audit.StatusRecorded)
			time.Sleep(time.Second)
		}
		if n := s.count(audit.KindGap); n != 2 {
			t.Errorf("%d gap records in 30 s, want one every 10 s", n)
		}
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int64{"acme/level": 270, "quiet/level": 1}, gapsIn(t, &s)); diff != "" {
			t.Error(diff)
		}
		n := len(s.order)
		mustClose(t, r)
		if len(s.order) != n {
			t.Error("gaps were written twice")
		}
	})
}

func TestNoGapRecordsWithoutAChain(t *testing.T) {
	for name, opt := range map[string]Options{
		"unchained": {},
		"disabled":  {Chained: true, Policy: mustPolicy(t, policy.Config{Disabled: true})},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s store
				r := start(t, s.Append, opt)
				mustRecord(t, r, read(1), audit.StatusFiltered)
				if err := r.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				mustClose(t, r)
				if len(s.order) != 0 {
					t.Errorf("%d records", len(s.order))
				}
			})
		})
	}
}

func TestGapsOfImpossibleScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{Chained: true})
		for _, tenant := range []string{strings.Repeat("x", 129), "a\x00b", "\xff", ""} {
			ev := read(1)
			ev.Tenant = tenant
			mustRecord(t, r, ev, audit.StatusFiltered)
		}
		mustClose(t, r)
		if diff := cmp.Diff(map[string]int64{"(overflow)/level": 3, "/level": 1}, gapsIn(t, &s)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestScopesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		r := start(t, s.Append, Options{Chained: true, FlushInterval: time.Second})
		for i := range maxGapScopes + 500 {
			ev := read(1)
			ev.Tenant = fmt.Sprint("t", i)
			mustRecord(t, r, ev, audit.StatusFiltered)
		}
		if n := len(r.gaps.all(false)); n != maxGapScopes+1 {
			t.Errorf("%d scopes are kept", n)
		}
		// The next batch, once the interval has passed, makes room.
		time.Sleep(2 * time.Second)
		mustRecord(t, r, event(1), audit.StatusQueued)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(r.gaps.all(false)); n != 1 {
			t.Errorf("%d scopes are kept after the sweep", n)
		}
		sums := gapsIn(t, &s)
		if len(sums) != maxGapScopes+1 || sums["(overflow)/level"] != 500 {
			t.Errorf("%d scopes in gap records, %d events of the others", len(sums), sums["(overflow)/level"])
		}
		mustClose(t, r)
	})
}

// Counting and sweeping at once must not lose or double a count, also where
// cells are retired under the counters' hands.
func TestGapCountsAreExact(t *testing.T) {
	g := newGapCounts(time.Now)
	const goroutines, each = 8, 20_000
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			for j := range each {
				g.add("", fmt.Sprint("t", (i+j)%7), j%gapKinds)
			}
		})
	}
	stop := make(chan struct{})
	swept := make(chan int64)
	go func() {
		var sum int64
		for n := 0; ; n++ {
			last := n%3 == 0
			for _, c := range g.all(last) {
				sum += c.sweep(time.Now(), last).total
			}
			select {
			case <-stop:
				swept <- sum
				return
			default:
			}
		}
	}()
	wg.Wait()
	close(stop)
	sum := <-swept
	for _, c := range g.all(true) {
		sum += c.sweep(time.Now(), true).total
	}
	if sum != goroutines*each {
		t.Errorf("swept %d counts of %d", sum, goroutines*each)
	}
}
