package postgres

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// today is the time of these tests: late on the last day of a month, which is
// the next month already where the sessions are.
var today = time.Date(2026, 9, 30, 22, 45, 0, 0, time.UTC)

// dated opens a store whose clock stands still, in a database far from UTC.
func dated(t testing.TB, opt Options, now time.Time) *Store {
	t.Helper()
	if opt.URL == "" {
		opt.URL = abroad(t, "")
	}
	opt.Now, opt.RollupInterval = func() time.Time { return now }, -1
	return open(t, opt)
}

// eachVersion runs a test on every version of the server.
func eachVersion(t *testing.T, test func(t *testing.T, url string)) {
	for _, version := range enginetest.PostgresVersions() {
		t.Run(version, func(t *testing.T) { test(t, abroad(t, version)) })
	}
}

// layoutOf gives the partitions as text, the default one last.
func layoutOf(t testing.TB, s *Store) (out []string) {
	t.Helper()
	rest := ""
	if err := s.EachPartition(t.Context(), func(name string, from, to time.Time, _, bytes int64) error {
		if bytes <= 0 {
			t.Errorf("%s has %d bytes", name, bytes)
		}
		name = strings.TrimPrefix(name, s.opt.Prefix+"records_")
		if from.IsZero() && to.IsZero() {
			rest = name
			return nil
		}
		out = append(out, fmt.Sprintf("%s %s %s", name, from.Format("2006-01-02"), to.Format("2006-01-02")))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return append(out, rest)
}

// months gives the layout with a partition for each month, and the default one.
func months(from string, n int) (out []string) {
	first, err := time.Parse("2006_01", from)
	if err != nil {
		panic(err)
	}
	for i := range n {
		m := first.AddDate(0, i, 0)
		out = append(out, fmt.Sprintf("%s %s %s", m.Format("2006_01"), m.Format("2006-01-02"), m.AddDate(0, 1, 0).Format("2006-01-02")))
	}
	return append(out, "default")
}

func wantLayout(t testing.TB, s *Store, want []string) {
	t.Helper()
	if d := cmp.Diff(want, layoutOf(t, s)); d != "" {
		t.Fatalf("the partitions: %s", d)
	}
}

// at makes n events of t0 and t1 in the hours from a time on.
func at(n int, from time.Time) []*audit.Record {
	recs := batch(n, 2, 1)
	for i, r := range recs {
		r.OccurredAt = from.Add(time.Duration(i) * 7 * time.Minute)
		r.RecordedAt = r.OccurredAt.Add(time.Second)
	}
	return recs
}

// in counts the records in a table.
func in(t testing.TB, s *Store, table string) int64 {
	t.Helper()
	return newStranger(t, s).number(t, `SELECT count(*) FROM ONLY @records_`+table)
}

// wantRecords wants the store to have the records, and no other events.
func wantRecords(t testing.TB, s *Store, want []*audit.Record) {
	t.Helper()
	q, err := (&audit.Query{Filters: []audit.Filter{audit.Not("kind", string(audit.KindPrune))}, Limit: audit.MaxLimit}).Validate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := pages(t.Context(), s, q)
	if err != nil {
		t.Fatal(err)
	}
	a, b := names(want), names(got)
	slices.Sort(a)
	slices.Sort(b)
	if d := cmp.Diff(a, b); d != "" {
		t.Fatalf("the records: %s", d)
	}
}

func ensure(t testing.TB, s *Store, n int) {
	t.Helper()
	if err := s.EnsureMonthlyPartitions(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// makeMonths makes the partitions of months that are over.
func makeMonths(t testing.TB, s *Store, first time.Time, n int) {
	t.Helper()
	for i := range n {
		if err := s.ensure(t.Context(), monthOf(first).AddDate(0, i, 0), fenceBytes); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPartitionsAhead(t *testing.T) {
	eachVersion(t, func(t *testing.T, url string) {
		s := dated(t, Options{URL: url}, today)
		wantLayout(t, s, months("2026_09", 4))
		for range 2 {
			ensure(t, s, 5)
			wantLayout(t, s, months("2026_09", 6))
		}
		ensure(t, s, 0)
		for _, n := range []int{-1, maxMonths + 1} {
			if err := s.EnsureMonthlyPartitions(t.Context(), n); audit.CodeOf(err) != audit.CodeInvalid || !strings.Contains(err.Error(), "months") {
				t.Errorf("%d months: %v, want invalid", n, err)
			}
		}
		// Each record lies where its time says, to the microsecond.
		turn := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		for table, at := range map[string]time.Time{"2026_10": turn.Add(-time.Microsecond), "2026_11": turn, "default": turn.AddDate(1, 0, 0)} {
			rec := batch(1, 1, 1)
			rec[0].OccurredAt = at
			appendAll(t, s, rec)
			if n := in(t, s, table); n != 1 {
				t.Errorf("%s holds %d records, want the one of %v", table, n, at)
			}
		}
		// A window reads no other month.
		c := newStranger(t, s)
		rows, err := c.Query(t.Context(), s.sql(`EXPLAIN SELECT id FROM @records WHERE occurred_at >= $1 AND occurred_at < $2`), turn, turn.AddDate(0, 1, 0))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); !strings.Contains(text, "records_2026_11") || strings.Contains(text, "2026_10") || strings.Contains(text, "default") {
			t.Errorf("the window is not read from its month alone:\n%s", text)
		}
		// Every index of the records is on the new partition, once.
		indexes := `SELECT count(*) FROM pg_index WHERE indrelid = to_regclass($1)`
		if want, got := c.number(t, indexes, s.sql("@records_2026_09")), c.number(t, indexes, s.sql("@records_2027_02")); want != got {
			t.Errorf("the partition has %d indexes, want %d", got, want)
		}
		if n := c.number(t, `SELECT count(*) FROM pg_index WHERE indrelid = to_regclass($1) AND NOT indisvalid`, s.sql("@records")); n != 0 {
			t.Errorf("%d indexes are not valid", n)
		}
	})
}

func TestReplicasEnsureTogether(t *testing.T) {
	eachVersion(t, func(t *testing.T, url string) {
		first := dated(t, Options{URL: url}, today)
		recs := append(at(50, today.AddDate(0, 4, 0)), at(50, today.AddDate(0, 5, 0))...)
		chainAll(t, first, storetest.CloneAll(recs))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				s, err := Open(t.Context(), Options{URL: url, MaxConnections: 2, RollupInterval: -1, Now: func() time.Time { return today }})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.EnsureMonthlyPartitions(t.Context(), 5); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantLayout(t, first, months("2026_09", 6))
		wantRecords(t, first, recs)
		intact(t, first)
	})
}

// Records of the future that came before their partition move into it; those of
// a time that no partition is made for stay, and never make one fail.
func TestFutureRecordsAreMoved(t *testing.T) {
	eachVersion(t, func(t *testing.T, url string) {
		for name, large := range map[string]int64{"small": fenceBytes, "large": 0} {
			t.Run(name, func(t *testing.T) {
				s := dated(t, Options{URL: url, Prefix: name + "_"}, today)
				january := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
				recs := append(at(300, january), at(10, time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC))...)
				recs = append(recs, at(10, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))...)
				recs = append(recs, at(1, january.AddDate(0, 1, 0))...)
				chainAll(t, s, storetest.CloneAll(recs))
				if n := in(t, s, "default"); n != 321 {
					t.Fatalf("%d records wait", n)
				}
				if err := s.ensure(t.Context(), january, large); err != nil {
					t.Fatal(err)
				}
				if n := in(t, s, "2027_01"); n != 300 {
					t.Errorf("%d records moved, want 300", n)
				}
				if err := s.Maintain(t.Context()); err != nil {
					t.Error(err)
				}
				wantLayout(t, s, months("2026_09", 5))
				wantRecords(t, s, recs)
				intact(t, s)
				if n := newStranger(t, s).number(t, `SELECT count(*) FROM pg_constraint WHERE conname LIKE 'annals%' AND conrelid::regclass::text LIKE $1`, "%"+s.opt.Prefix+"%"); n != 0 {
					t.Errorf("%d constraints are left", n)
				}
				chainAll(t, s, at(20, january))
			})
		}
	})
}

// A fence that a process left when it died is removed, or used.
func TestForgottenFences(t *testing.T) {
	s := dated(t, Options{}, today)
	rest := func() *partition {
		list, err := s.layout(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return restOf(list)
	}
	january := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	chainAll(t, s, at(10, january))
	for _, next := range []func() error{
		func() error { return s.ensure(t.Context(), january.AddDate(0, 1, 0), 0) },
		func() error { return s.ensure(t.Context(), january, 0) },
		func() error { return s.Maintain(t.Context()) },
	} {
		if err := s.fence(t.Context(), rest(), january); err != nil {
			t.Fatal(err)
		}
		if err := next(); err != nil {
			t.Fatal(err)
		}
		if names, err := s.fences(t.Context(), s.main, rest()); err != nil || len(names) > 0 {
			t.Errorf("fences %v are left: %v", names, err)
		}
	}
	wantLayout(t, s, months("2026_09", 6))
	// A partition that cannot be made leaves no fence.
	c := newStranger(t, s)
	c.must(t, `CREATE TABLE @records_2027_03(x int)`)
	if err := s.ensure(t.Context(), january.AddDate(0, 2, 0), 0); audit.CodeOf(err) != audit.CodeConflict {
		t.Errorf("a table in the way: %v, want conflict", err)
	}
	if names, err := s.fences(t.Context(), s.main, rest()); err != nil || len(names) > 0 {
		t.Errorf("fences %v are left: %v", names, err)
	}
}

// Months that are over get partitions of their own, when they have enough
// records for one and late ones have come in.
func TestPastMonthsGetPartitions(t *testing.T) {
	inFullRuns(t)
	eachVersion(t, func(t *testing.T, url string) {
		s := dated(t, Options{URL: url}, today)
		many := func(month time.Time, n int) {
			recs := at(n, month)
			for i, r := range recs {
				r.OccurredAt = month.Add(time.Duration(i) * time.Second)
			}
			chainAll(t, s, recs)
		}
		many(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), pastRecords+moveSlice/2)
		many(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), pastRecords-1)
		many(time.Date(2024, 8, 1, 0, 0, 0, 0, time.UTC), pastRecords) // too long ago
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := slices.Insert(months("2026_09", 4), 0, months("2026_06", 1)[0])
		wantLayout(t, s, want)
		if n := in(t, s, "2026_06"); n != pastRecords+moveSlice/2 {
			t.Errorf("%d records moved", n)
		}
		verifyAll(t, s, 3*pastRecords-1+moveSlice/2)
	})
}

// Tables that had no partition for the current month go on, and the month gets
// one when it is over.
func TestTablesWithoutPartitions(t *testing.T) {
	inFullRuns(t)
	eachVersion(t, func(t *testing.T, url string) {
		now := today
		s := open(t, Options{URL: url, Now: func() time.Time { return now }, RollupInterval: -1})
		c := newStranger(t, s)
		for _, m := range []string{"2026_09", "2026_10", "2026_11", "2026_12"} {
			c.must(t, `DROP TABLE @records_`+m)
		}
		recs := batch(pastRecords, 2, 1)
		for i, r := range recs {
			r.OccurredAt = monthOf(today).Add(time.Duration(i) * 4 * time.Minute)
		}
		chainAll(t, s, storetest.CloneAll(recs))
		ensure(t, s, 2)
		wantLayout(t, s, months("2026_10", 2))
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		late := at(1, today)
		chainAll(t, s, storetest.CloneAll(late))
		if n := in(t, s, "default"); n != pastRecords+1 {
			t.Errorf("the default partition has %d records, want %d", n, pastRecords+1)
		}
		now = time.Date(2026, 10, 2, 23, 59, 0, 0, time.UTC)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantLayout(t, s, months("2026_10", 2)) // late records may still come
		now = now.Add(time.Minute)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantLayout(t, s, months("2026_09", 3))
		if n := in(t, s, "2026_09"); n != pastRecords+1 {
			t.Errorf("the month has %d records, want %d", n, pastRecords+1)
		}
		verifyAll(t, s, pastRecords+1)
	})
}

// Tables of the application, and of other stores, with names like ours.
func TestPartitionsOfOthers(t *testing.T) {
	url := abroad(t, "")
	s := dated(t, Options{URL: url}, today)
	other := dated(t, Options{URL: url, Prefix: "annals_records_"}, today)
	third := dated(t, Options{URL: url, Schema: "trail"}, today)
	c := newStranger(t, s)
	c.must(t, `CREATE TABLE annals_records_2026_01(x int)`)
	c.must(t, `INSERT INTO annals_records_2026_01 VALUES(1)`)
	c.must(t, `CREATE TABLE records_2026_10(x int)`)
	c.must(t, `CREATE TABLE annals_records_2027_01(x int)`) // in the way
	for _, s := range []*Store{other, third} {
		chainAll(t, s, at(10, today))
	}
	err := s.EnsureMonthlyPartitions(t.Context(), 5)
	if audit.CodeOf(err) != audit.CodeConflict || !strings.Contains(err.Error(), "annals_records_2027_01") {
		t.Errorf("a table in the way: %v, want a conflict that names it", err)
	}
	want := months("2026_09", 6)
	wantLayout(t, s, slices.Delete(want, 4, 5)) // the others were made
	if err := s.DropExpiredPartitions(t.Context(), 30); err != nil {
		t.Error(err)
	}
	for _, s := range []*Store{other, third} {
		wantLayout(t, s, months("2026_09", 4))
		verifyAll(t, s, 10)
	}
	if n := c.number(t, `SELECT count(*) FROM annals_records_2026_01`); n != 1 {
		t.Error("a table of the application was touched")
	}
}
