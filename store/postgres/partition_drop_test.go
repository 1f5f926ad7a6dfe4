package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/retention"
	"github.com/annals-dev/annals/store/storetest"
)

var _ retention.Partitioner = (*Store)(nil)

// hold puts legal holds into the store, as package retention does.
func hold(t testing.TB, s *Store, params ...string) {
	t.Helper()
	var holds []retention.Hold
	for _, p := range params {
		holds = append(holds, retention.Hold{ID: audit.NewID().String(), Reason: "case 7", Params: p})
	}
	doc, err := json.Marshal(holds)
	if err != nil {
		t.Fatal(err)
	}
	_, version, err := s.Load(t.Context(), audit.HoldsKey)
	if err != nil && audit.CodeOf(err) != audit.CodeNotFound {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), audit.HoldsKey, doc, version); err != nil {
		t.Fatal(err)
	}
}

// 90 days before 2026-09-30 is 2026-07-02.
func TestDropExpiredPartitions(t *testing.T) {
	eachVersion(t, func(t *testing.T, url string) {
		s := dated(t, Options{URL: url}, today)
		makeMonths(t, s, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), 5)
		var kept []*audit.Record
		for month := range 6 {
			recs := at(40, time.Date(2026, time.Month(4+month), 3, 0, 0, 0, 0, time.UTC))
			chainAll(t, s, recs)
			if month >= 3 {
				kept = append(kept, recs...)
			}
		}
		far := at(5, time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)) // the default partition is never dropped
		chainAll(t, s, far)
		for _, days := range []int{0, -1, maxDays + 1} {
			if err := s.DropExpiredPartitions(t.Context(), days); audit.CodeOf(err) != audit.CodeInvalid || !strings.Contains(err.Error(), "days") {
				t.Errorf("%d days: %v, want invalid", days, err)
			}
		}
		wantLayout(t, s, months("2026_04", 9))
		for range 2 {
			if err := s.DropExpiredPartitions(t.Context(), 90); err != nil {
				t.Fatal(err)
			}
			wantLayout(t, s, months("2026_07", 6))
			wantRecords(t, s, append(slices.Clone(kept), far...))
			intact(t, s)
			if d := cmp.Diff(map[string]int64{"older than 90 days": 120}, reasons(t, s)); d != "" {
				t.Errorf("the anchors: %s", d)
			}
		}
		// The chains go on.
		chainAll(t, s, at(10, today))
		intact(t, s)
	})
}

// The day on which a month goes.
func TestDropByTheDay(t *testing.T) {
	for _, c := range []struct {
		now  time.Time
		days int
		want bool // that July 2026 is dropped
	}{
		{time.Date(2026, 10, 29, 23, 59, 59, 999_999_999, time.UTC), 90, false},
		{time.Date(2026, 10, 30, 0, 0, 0, 0, time.UTC), 90, true},
		{time.Date(2026, 8, 1, 23, 59, 59, 0, time.UTC), 1, false},
		{time.Date(2026, 8, 2, 0, 0, 0, 0, time.UTC), 1, true},
		{time.Date(2026, 8, 2, 3, 0, 0, 0, time.FixedZone("", 4*3600)), 1, false},
	} {
		s := dated(t, Options{}, c.now)
		makeMonths(t, s, time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), 1)
		if err := s.DropExpiredPartitions(t.Context(), c.days); err != nil {
			t.Fatal(err)
		}
		if got := !strings.Contains(strings.Join(layoutOf(t, s), " "), "2026_07"); got != c.want {
			t.Errorf("%d days before %v: dropped %v, want %v", c.days, c.now, got, c.want)
		}
	}
}

// What is held, and the records of the chain's own, survive a drop, and every
// link that went is accounted for.
func TestDropKeepsWhatIsHeld(t *testing.T) {
	eachVersion(t, func(t *testing.T, url string) {
		s := dated(t, Options{URL: url}, today)
		june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		makeMonths(t, s, june, 3)
		inJune, inJuly := at(200, june), at(200, june.AddDate(0, 1, 0))
		var mixed, kept []*audit.Record
		for i := range inJune { // the two months alternate in the chain
			if i%50 == 13 {
				inJune[i].Resource.ID = "held"
			}
			if i%50 == 14 {
				inJune[i].Kind = audit.KindGap
			}
			if i%50 == 15 {
				inJune[i].Kind, inJune[i].Action = audit.KindPrune, "annals.other"
			}
			if i%50 >= 13 && i%50 <= 15 {
				kept = append(kept, inJune[i])
			}
			if i < 100 {
				mixed = append(mixed, inJune[i], inJuly[i])
			}
		}
		chainAll(t, s, mixed)
		chainAll(t, s, inJune[100:])
		chainAll(t, s, inJuly[100:])
		outside := at(20, june.AddDate(0, 0, 20))
		appendAll(t, s, storetest.CloneAll(outside))
		hold(t, s, "resource=held&to=2026-06-20", "tenant=nobody")
		c := newStranger(t, s)
		c.must(t, `DELETE FROM @stale`)
		if err := s.DropExpiredPartitions(t.Context(), 90); err != nil {
			t.Fatal(err)
		}
		wantLayout(t, s, months("2026_07", 6))
		events := append(inJuly, kept...)
		wantRecords(t, s, slices.DeleteFunc(slices.Clone(events), func(r *audit.Record) bool { return r.Kind == audit.KindPrune }))
		intact(t, s)
		if n := in(t, s, "default"); n != int64(len(kept)) {
			t.Errorf("%d records survive in the default partition, want %d", n, len(kept))
		}
		// Their hours, and only those, have other sums now.
		hours := map[time.Time]bool{}
		for _, r := range append(slices.Clone(inJune), outside...) {
			hours[r.OccurredAt.Truncate(time.Hour)] = true
		}
		if n := c.number(t, `SELECT count(DISTINCT hour) FROM @stale WHERE hour < '2026-07-01Z'`); n != int64(len(hours)) {
			t.Errorf("%d hours of the month are stale, want %d", n, len(hours))
		}
		if n := c.number(t, `SELECT count(*) FROM @stale WHERE hour >= '2026-07-01Z' AND hour < '2026-08-01Z'`); n != 0 {
			t.Errorf("%d hours of another month are stale", n)
		}
		// Later the hold is gone, and the rest too.
		hold(t, s)
		n, err := s.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: june.AddDate(0, 1, 0), Reason: "by hand"}, 1000)
		if n != 4 || err != nil {
			t.Errorf("%d were deleted: %v", n, err)
		}
		intact(t, s)
	})
}

// More than one anchor can name, in several chains.
func TestDropWithManyRuns(t *testing.T) {
	s := dated(t, Options{}, today)
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	makeMonths(t, s, june, 2)
	recs := at(5*chain.MaxRuns+4, june)
	var kept []*audit.Record
	for i, r := range recs {
		r.OccurredAt = june.Add(time.Duration(i) * time.Second)
		if i/2%2 == 1 { // every second one of either chain
			r.OccurredAt = r.OccurredAt.AddDate(0, 1, 0)
			kept = append(kept, r)
		}
	}
	chainAll(t, s, recs)
	if err := s.DropExpiredPartitions(t.Context(), 90); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s, kept)
	intact(t, s)
	if n := newStranger(t, s).number(t, `SELECT count(*) FROM @records WHERE kind = 'prune'`); n != 4 {
		t.Errorf("%d anchors, want two of each chain", n)
	}
	if got := reasons(t, s)["older than 90 days"]; got != int64(len(recs)-len(kept)) {
		t.Errorf("the anchors account for %d records, want %d", got, len(recs)-len(kept))
	}
}

// A month of which much survives stays, and the rest of it goes record by record.
func TestDropOfACrowdedMonth(t *testing.T) {
	s := dated(t, Options{}, today)
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	makeMonths(t, s, june, 1)
	recs := at(2*keptRecords+10, june)
	var kept []*audit.Record
	for i, r := range recs {
		r.OccurredAt = june.Add(time.Duration(i) * time.Second)
		if i%2 == 0 {
			r.Resource.ID = "held"
			kept = append(kept, r)
		}
	}
	chainAll(t, s, recs)
	hold(t, s, "resource=held")
	for range 2 {
		if err := s.DropExpiredPartitions(t.Context(), 90); err != nil {
			t.Fatal(err)
		}
		if n := in(t, s, "2026_06"); n != int64(len(kept)) {
			t.Errorf("the month has %d records, want %d", n, len(kept))
		}
		wantRecords(t, s, kept)
		intact(t, s)
	}
}

// What was recorded lately is old only by what it says. A program that asks for
// a drop gets it; by the ceiling such records stay.
func TestDropByTheCeiling(t *testing.T) {
	s := dated(t, Options{RetentionDays: 90}, today)
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	makeMonths(t, s, june, 1)
	old, imported := at(50, june), at(30, june)
	for _, r := range imported {
		r.RecordedAt = today.Add(-time.Hour)
	}
	chainAll(t, s, append(slices.Clone(old), imported...))
	if err := s.dropAged(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLayout(t, s, months("2026_09", 4))
	wantRecords(t, s, imported)
	intact(t, s)

	makeMonths(t, s, june, 1) // which moves them there
	if n := in(t, s, "2026_06"); n != 30 {
		t.Fatalf("%d records in the month", n)
	}
	if err := s.DropExpiredPartitions(t.Context(), 90); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s, nil)
	intact(t, s)
}

// Holds that cannot be read stop every deletion.
func TestUnreadableHoldsStopDeletion(t *testing.T) {
	s := dated(t, Options{RetentionDays: 1}, today)
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	makeMonths(t, s, june, 1)
	recs := at(10, june)
	chainAll(t, s, storetest.CloneAll(recs))
	version := int64(0)
	for _, doc := range []string{`no JSON`, `[{"params":""}]`, `[{"params":"colour=red"}]`, `[{"params":"%zz"}]`} {
		if err := s.Save(t.Context(), audit.HoldsKey, []byte(doc), version); err != nil {
			t.Fatal(err)
		}
		version++
		if err := s.DropExpiredPartitions(t.Context(), 1); audit.CodeOf(err) != audit.CodeInternal {
			t.Errorf("%s: %v, want internal", doc, err)
		}
		if n, err := s.Cleanup(t.Context()); n != 0 || audit.CodeOf(err) != audit.CodeInternal {
			t.Errorf("%s: %d were deleted, %v", doc, n, err)
		}
	}
	wantRecords(t, s, recs)
}

// A partition that others made, of another length and with a name of its own.
func TestDropOfAPartitionOfAnotherLength(t *testing.T) {
	s := dated(t, Options{}, today)
	c := newStranger(t, s)
	c.must(t, `CREATE TABLE @records_first PARTITION OF @records FOR VALUES FROM (MINVALUE) TO ('2026-02-10 00:00:00+00')`)
	c.must(t, `CREATE TABLE @records_spring PARTITION OF @records FOR VALUES FROM ('2026-02-10 00:00:00+00') TO ('2026-06-15 12:00:00+00')`)
	c.must(t, `CREATE TABLE @records_last PARTITION OF @records FOR VALUES FROM ('2030-01-01 00:00:00+00') TO (MAXVALUE)`)
	recs := at(10, time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)) // in the default partition
	gone := append(at(10, time.Date(2021, 6, 1, 0, 0, 0, 0, time.UTC)), at(10, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))...)
	chainAll(t, s, append(gone, recs...))
	ensure(t, s, 100) // up to the month that is covered
	if err := s.DropExpiredPartitions(t.Context(), 90); err != nil {
		t.Fatal(err)
	}
	got := layoutOf(t, s)
	if want := append(months("2026_09", 40)[:40], "last 2030-01-01 0001-01-01", "default"); cmp.Diff(want, got) != "" {
		t.Errorf("the partitions: %s", cmp.Diff(want, got))
	}
	wantRecords(t, s, recs)
	intact(t, s)
}

func init() { children["maintain"] = maintainAsChild }

// maintainAsChild is the work of one process.
func maintainAsChild() {
	ctx := context.Background()
	s, err := Open(ctx, Options{
		URL: os.Getenv("ANNALS_POSTGRES_URL"), MaxConnections: 3, RetentionDays: 90, RollupInterval: -1, Now: func() time.Time { return today },
	})
	for i := 0; err == nil && i < 3; i++ {
		s.cleanUp(ctx)
		err = s.DropExpiredPartitions(ctx, 90)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// Several processes that do everything at once, beside writers.
func TestMaintainersTogether(t *testing.T) {
	eachVersion(t, func(t *testing.T, url string) {
		june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		s := dated(t, Options{URL: url}, today)
		makeMonths(t, s, june.AddDate(0, -2, 0), 3)
		var kept []*audit.Record
		for m := range 4 {
			recs := at(300, june.AddDate(0, m-2, 0))
			for i, r := range recs {
				if m == 3 || i%100 == 0 {
					r.Resource.ID = "held"
					kept = append(kept, r)
				}
			}
			chainAll(t, s, recs)
		}
		hold(t, s, "resource=held")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), childVariable+"=maintain", "ANNALS_POSTGRES_URL="+url)
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for i := 0; ; i++ { // writers go on as long as they do
			recs := at(10, today.Add(time.Duration(i)*time.Second))
			chainAll(t, s, recs)
			kept = append(kept, recs...)
			select {
			case <-done:
			default:
				continue
			}
			break
		}
		wantRecords(t, s, kept)
		intact(t, s)
		if got, want := fmt.Sprint(reasons(t, s)), fmt.Sprint(map[string]int64{"older than 90 days": 3 * 297}); got != want {
			t.Errorf("the anchors: %s, want %s", got, want)
		}
	})
}
