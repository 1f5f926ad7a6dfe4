package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// genWindow gives windows with whole hours and days, and bits at their ends, in any zone.
func genWindow(t *rapid.T) (from, to time.Time) {
	bound := func(name string) time.Time {
		at := storetest.CorpusStart.Add(time.Duration(rapid.IntRange(-30, 100).Draw(t, name+" hours")) * time.Hour)
		if rapid.Bool().Draw(t, name+" day") {
			at = at.Truncate(24 * time.Hour)
		}
		at = at.Add(time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 1, -1, 1_700_000_000}).Draw(t, name+" µs")) * time.Microsecond)
		return at.In(time.FixedZone("", rapid.SampledFrom([]int{0, 19800, -12600}).Draw(t, name+" zone")))
	}
	from, to = bound("from"), bound("to")
	if to.Before(from) {
		return to, from
	}
	return from, to
}

// TestSumsEqualTheReference appends, deletes, makes sums and asks, in any order.
func TestSumsEqualTheReference(t *testing.T) {
	x := newTrial(t)
	rapid.Check(t, func(rt *rapid.T) {
		x.clear(t)
		r := storetest.NewRand(rapid.Uint64().Draw(rt, "seed"))
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1:
				var recs []*audit.Record
				for range rapid.IntRange(1, 40).Draw(rt, "records") {
					recs = append(recs, storetest.RandomRecord(r))
				}
				appendAll(t, x.s, storetest.CloneAll(recs))
				x.recs = append(x.recs, recs...)
				if r.IntN(2) == 0 {
					if err := x.s.settleBlocks(context.Background()); err != nil {
						rt.Fatalf("%v", err)
					}
				}
			case 2:
				x.remove(t, func(*audit.Record) bool { return r.IntN(3) > 0 })
			default:
				hours := rapid.IntRange(1, 200).Draw(rt, "hours")
				if _, err := x.s.rollup(context.Background(), hours, 0); err != nil {
					rt.Fatalf("making sums: %v", err)
				}
			}
			q := storetest.RandomQuery(r, x.recs...)
			if rapid.IntRange(0, 3).Draw(rt, "plain") > 0 { // what sums can answer
				q.Filters, q.Text, q.Open = nil, "", false
				q.From, q.To = genWindow(rt)
			}
			if rapid.IntRange(0, 3).Draw(rt, "tenants") == 0 {
				q.Filters = []audit.Filter{{Field: "tenant", Op: rapid.SampledFrom([]audit.Ops{audit.OpIs, audit.OpNot}).Draw(rt, "op"), Values: []string{"acme"}}}
			}
			x.checkSome(rt, q, everyAsking.some(r))
		}
	})
}

// TestAdjacentWindowsAddUp: no call is in two windows, or in none.
func TestAdjacentWindowsAddUp(t *testing.T) {
	x := newTrial(t)
	x.recs = storetest.Corpus(7, 400)
	appendAll(t, x.s, storetest.CloneAll(x.recs))
	if _, err := x.s.rollup(t.Context(), 50, 0); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		from, to := genWindow(rt)
		middle := from.Add(time.Duration(rapid.Int64Range(0, int64(to.Sub(from))).Draw(rt, "middle")))
		total := func(from, to time.Time) int64 {
			o, err := x.s.Overview(context.Background(), &audit.Query{From: from, To: to})
			if err != nil {
				rt.Fatalf("%v", err)
			}
			return o.Total
		}
		if a, b, both := total(from, middle), total(middle, to), total(from, to); a+b != both {
			rt.Fatalf("%d and %d calls make %d", a, b, both)
		}
	})
}

// TestTwoStoresMakeSumsAtOnce has two stores on the same tables.
func TestTwoStoresMakeSumsAtOnce(t *testing.T) {
	inFullRuns(t)
	x := newTrial(t)
	other := open(t, Options{URL: x.s.opt.URL, RollupInterval: -1})
	r := storetest.NewRand(3)
	for round := range 5 {
		recs := storetest.Corpus(uint64(100+round), 60)
		appendAll(t, x.s, storetest.CloneAll(recs))
		x.recs = append(x.recs, recs...)
		var wg sync.WaitGroup
		for _, s := range []*Store{x.s, other, x.s, other} {
			wg.Go(func() {
				for range 3 {
					if _, err := s.rollup(t.Context(), 10, 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		x.check(t, &audit.Query{})
		x.remove(t, func(*audit.Record) bool { return r.IntN(4) > 0 })
		x.check(t, &audit.Query{})
	}
	if err := other.Rollup(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.check(t, &audit.Query{})
	if n := x.c.number(t, `SELECT count(*) FROM @stale`); n != 0 {
		t.Errorf("%d hours are stale after all sums were made", n)
	}
}

// TestSumsWhileRecordsArrive asks again and again while others append and make
// sums: what sums and records say together is what the records say alone.
func TestSumsWhileRecordsArrive(t *testing.T) {
	x := newTrial(t)
	s := x.s
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers, makers sync.WaitGroup
	for writer := range 2 {
		writers.Go(func() {
			for i := range 60 {
				if _, err := s.Append(ctx, storetest.Corpus(uint64(1000*writer+i), 20)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		makers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := s.rollup(ctx, 1+i%30, 0); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writers.Wait(); close(written) }()
	count := analyticsCount(s)
	for more := true; more; {
		select {
		case <-written:
			more = false
		default:
		}
		if sums, rows := count(t); sums != rows {
			t.Errorf("with sums %d calls, the records have %d", sums, rows)
			break
		}
	}
	<-written
	stop()
	makers.Wait()
	if err := s.Rollup(t.Context()); err != nil {
		t.Fatal(err)
	}
	sums, rows := count(t)
	exact, err := s.Overview(analytics.WithExact(t.Context()), &audit.Query{})
	if err != nil || sums != rows || exact.Total != rows || rows == 0 {
		t.Errorf("with sums %d calls, exact %d, the records have %d: %v", sums, exact.Total, rows, err)
	}
}

// analyticsCount counts calls twice in one snapshot: with sums, and by the records.
func analyticsCount(s *Store) func(t testing.TB) (sums, rows int64) {
	return func(t testing.TB) (sums, rows int64) {
		t.Helper()
		err := s.statistic(t.Context(), &audit.Query{}, byDays, func(st *statistic) error {
			o, err := st.overview(t.Context())
			if err != nil {
				return err
			}
			sums = o.Total
			return st.tx.QueryRow(t.Context(), s.sql(`SELECT count(*) FROM @records WHERE kind = 'event' AND outcome <> 'pending'`)).Scan(&rows)
		})
		if err != nil {
			t.Fatal(err)
		}
		return sums, rows
	}
}

// TestSumsOfASnapshotThatIsTooOld: the snapshot is taken before the lock, so
// another process may have made the same sums in between.
func TestSumsOfASnapshotThatIsTooOld(t *testing.T) {
	x := newTrial(t)
	x.recs = storetest.Corpus(5, 50)
	appendAll(t, x.s, storetest.CloneAll(x.recs))
	tx, err := x.c.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(t.Context(), `SELECT 1`).Scan(&n); err != nil { // the snapshot
		t.Fatal(err)
	}
	if err := x.s.Rollup(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := making{s: x.s, tx: tx, maxHours: 1000}
	if err := m.run(t.Context()); state(err) != stateSerialization {
		t.Errorf("making sums by an old snapshot: %v", err)
	}
	_ = tx.Rollback(t.Context())
	x.check(t, &audit.Query{})
}

// TestSumsLeaveWhatIsBusy: an hour that was just written to waits, and of the
// many rows that say so only few stay.
func TestSumsLeaveWhatIsBusy(t *testing.T) {
	x := newTrial(t)
	for i := range 30 {
		recs := storetest.Corpus(uint64(i), 3)
		appendAll(t, x.s, storetest.CloneAll(recs))
		x.recs = append(x.recs, recs...)
		x.c.must(t, `INSERT INTO @stale(hour) VALUES('2026-03-01 05:00:00+00')`)
	}
	r, err := x.s.rollup(t.Context(), 1000, time.Hour)
	if err != nil || r.hours != 0 || r.due != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if n := x.c.number(t, `SELECT count(*) FROM @stale WHERE hour = '2026-03-01 05:00:00+00'`); n != 2 {
		t.Errorf("%d rows for one hour", n)
	}
	x.check(t, &audit.Query{})
	// It does not wait for ever.
	x.c.must(t, `UPDATE @stale SET noted_at = noted_at - interval '11 minutes' WHERE id = (SELECT min(id) FROM @stale WHERE hour = '2026-03-01 05:00:00+00')`)
	if r, err = x.s.rollup(t.Context(), 1000, time.Hour); err != nil || r.hours != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	x.check(t, &audit.Query{})
}

// TestSumsOfTooManyValues: what has more values than are kept is asked of the hours or the records.
func TestSumsOfTooManyValues(t *testing.T) {
	x := newTrial(t)
	r := storetest.NewRand(9)
	for i := range maxDimensionValues + 10 {
		rec := storetest.RandomRecord(r)
		rec.Action, rec.Kind = fmt.Sprintf("a.%d", i), audit.KindEvent
		rec.OccurredAt = storetest.CorpusStart.Add(time.Duration(i%2) * time.Hour) // a day has too many, an hour has not
		x.recs = append(x.recs, rec)
	}
	for i := range maxDimensionValues + 10 {
		rec := storetest.RandomRecord(r)
		rec.Action, rec.Kind, rec.OccurredAt = fmt.Sprintf("b.%d", i), audit.KindEvent, storetest.CorpusStart.Add(24*time.Hour)
		x.recs = append(x.recs, rec)
	}
	appendAll(t, x.s, storetest.CloneAll(x.recs))
	if err := x.s.Rollup(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, q := range []*audit.Query{{}, {Filters: []audit.Filter{audit.Is("tenant", "acme")}}} {
		got, err := x.s.Breakdown(t.Context(), q, "action", 100)
		want, _ := analytics.Stream(x.recs).Breakdown(t.Context(), q, "action", 100)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
}
