package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// only gives a Skip that leaves the categories named.
func only(names ...storetest.Category) map[storetest.Category]string {
	skip := map[storetest.Category]string{}
	for _, name := range storetest.Categories() {
		if !slices.Contains(names, name) {
			skip[name] = "it has its own test"
		}
	}
	return skip
}

// What the suite asks of deletions, over several partitions, in sessions far from UTC.
func TestDeletionSuite(t *testing.T) {
	for _, version := range enginetest.PostgresVersions() {
		t.Run(version, func(t *testing.T) {
			storetest.Run(t, storetest.Harness{
				New:  func(tb testing.TB) audit.Store { return sparse(tb, Options{URL: abroad(tb, version)}) },
				Skip: only(storetest.Retention, storetest.ChainRetention),
			})
		})
	}
}

// Whatever is cut and held, what is deleted is what the reference says.
func TestDeletionEqualsTheReference(t *testing.T) {
	s := sparse(t, Options{URL: abroad(t, enginetest.PostgresVersions()[0])})
	c := newStranger(t, s)
	recs := storetest.Corpus(12, 200)
	appendAll(t, s, recs)
	// Every deletion is taken back, by copying what there was.
	c.must(t, `CREATE TABLE before AS SELECT * FROM @records`)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > storetest.Rounds(150) {
			return
		}
		ctx := context.Background()
		r := storetest.NewRand(rapid.Uint64Range(0, math.MaxUint32).Draw(rt, "seed"))
		cut := audit.Cut{Reason: "by chance"}
		if r.IntN(3) > 0 {
			cut.ExpiredAt = recs[r.IntN(len(recs))].ExpiresAt.Add(time.Duration(r.IntN(3)-1) * time.Nanosecond)
		}
		if r.IntN(2) > 0 {
			cut.RecordedBefore = recs[r.IntN(len(recs))].RecordedAt.Add(time.Duration(r.IntN(3)-1) * time.Nanosecond)
		}
		for range r.IntN(4) {
			h := &audit.Query{}
			if r.IntN(3) == 0 {
				h.From = recs[r.IntN(len(recs))].OccurredAt.Add(time.Nanosecond)
			}
			if r.IntN(3) == 0 {
				h.To = recs[r.IntN(len(recs))].OccurredAt.Add(time.Nanosecond)
			}
			for range r.IntN(3) {
				h.Filters = append(h.Filters, storetest.RandomFilter(r, recs...))
			}
			cut.Holds = append(cut.Holds, h)
		}
		var want []string
		for _, rec := range recs {
			if !cut.Selects(rec) {
				want = append(want, rec.ID.String())
			}
		}
		deleted := 0
		for {
			n, err := s.DeleteExpired(ctx, cut, 50)
			if err != nil {
				rt.Fatalf("%+v: %v", cut, err)
			}
			if deleted += n; n < 50 {
				break
			}
		}
		var got []string
		if err := c.QueryRow(ctx, s.sql(`SELECT array_agg(id::text) FROM @records`)).Scan(&got); err != nil {
			rt.Fatal(err)
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" || deleted != len(recs)-len(want) {
			rt.Errorf("%d were deleted by %+v: %s", deleted, cut, d)
		}
		if _, err := c.Exec(ctx, s.sql(`INSERT INTO @records(`+tableColumns+`) SELECT `+tableColumns+` FROM before b
			WHERE NOT EXISTS(SELECT 1 FROM @records r WHERE r.id = b.id AND r.scope = b.scope)`)); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestDeletionRefusesHoldsItCannotHeed(t *testing.T) {
	s := open(t, Options{})
	for _, h := range []*audit.Query{{Text: "x"}, {Open: true}} {
		_, err := s.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: time.Now(), Holds: []*audit.Query{h}}, 10)
		if audit.CodeOf(err) != audit.CodeInvalid {
			t.Errorf("%+v: %v, want invalid", h, err)
		}
	}
}

// What is deleted makes the sums of its hours stale, in the same transaction.
func TestDeletionMakesHoursStale(t *testing.T) {
	s := open(t, Options{RollupInterval: -1})
	c := newStranger(t, s)
	recs := batch(30, 2, 1)
	for i, r := range recs {
		r.OccurredAt = r.OccurredAt.Add(time.Duration(i/10) * time.Hour)
		if i < 20 {
			r.ExpiresAt = r.OccurredAt
		}
	}
	appendAll(t, s, recs)
	c.must(t, `DELETE FROM @stale`)
	if n, err := s.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: time.Now()}, 100); n != 20 || err != nil {
		t.Fatal(n, err)
	}
	var got []time.Time
	if err := c.QueryRow(t.Context(), s.sql(`SELECT array_agg(hour ORDER BY hour) FROM @stale`)).Scan(&got); err != nil {
		t.Fatal(err)
	}
	first := recs[0].OccurredAt.Truncate(time.Hour)
	if want := []time.Time{first, first.Add(time.Hour)}; len(got) != 2 || !got[0].Equal(want[0]) || !got[1].Equal(want[1]) {
		t.Errorf("stale are %v, want %v", got, want)
	}
}

// Two deletions from one table, and writers beside them: nothing is deleted
// twice, and no writer fails.
func TestDeletionsTogether(t *testing.T) {
	url := enginetest.Postgres(t)
	a := open(t, Options{URL: url, MaxConnections: 4, RollupInterval: -1})
	b := open(t, Options{URL: url, MaxConnections: 4, RollupInterval: -1})
	const old, batches = 3000, 20
	recs := batch(old, 3, 2)
	for _, r := range recs {
		r.ExpiresAt = r.OccurredAt
	}
	chainAll(t, a, recs)
	cut := audit.Cut{ExpiredAt: time.Now(), Reason: "ttl"}
	sums := make(chan int, 2)
	for _, s := range []*Store{a, b} {
		go func() {
			sum := 0
			for {
				n, err := s.DeleteExpired(context.Background(), cut, 100)
				if err != nil {
					t.Error(err)
				}
				if sum += n; n < 100 {
					sums <- sum
					return
				}
			}
		}()
	}
	for range batches {
		chainAll(t, b, batch(50, 3, 2))
	}
	if sum := <-sums + <-sums; sum != old {
		t.Errorf("%d were deleted, want %d", sum, old)
	}
	if n := newStranger(t, a).number(t, `SELECT count(*) FROM @records WHERE kind = 'event'`); n != 50*batches {
		t.Errorf("%d events are left, want %d", n, 50*batches)
	}
	intact(t, a)
}

// intact verifies every chain, anchors among them.
func intact(t testing.TB, s *Store) (reports []*chain.Report) {
	t.Helper()
	heads, err := s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range heads {
		report, err := chain.Verify(t.Context(), s, h.Key, chain.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !report.Valid {
			t.Fatalf("the chain of %v: %+v", h.Scope, report.FirstBroken)
		}
		reports = append(reports, report)
	}
	return reports
}

// reasons gives the reasons that the anchors of a store name, and how many
// records each of them removed.
func reasons(t testing.TB, s *Store) map[string]int64 {
	t.Helper()
	q, err := (&audit.Query{Filters: []audit.Filter{audit.Is("kind", string(audit.KindPrune))}, Limit: audit.MaxLimit}).Validate()
	if err != nil {
		t.Fatal(err)
	}
	recs, err := pages(t.Context(), s, q)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, r := range recs {
		var p struct {
			Records int64  `json:"records"`
			Reason  string `json:"reason"`
		}
		if err := json.Unmarshal(r.Payload, &p); err != nil {
			t.Fatal(err)
		}
		out[p.Reason] += p.Records
	}
	return out
}

// Small tables do not grow for ever, and what counts in them stays.
func TestCompaction(t *testing.T) {
	s := open(t, Options{RollupInterval: -1})
	c := newStranger(t, s)
	for range keptBatches + 30 {
		chainAll(t, s, batch(3, 2, 1))
	}
	for i := range 3 * keptVersions {
		if err := s.Save(t.Context(), "state", fmt.Append(nil, i), int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(t.Context(), "other", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	before, err := s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := c.number(t, `SELECT count(*) FROM @batches`); n != 2*keptBatches {
			t.Errorf("%d batches are left, want %d", n, 2*keptBatches)
		}
		if n := c.number(t, `SELECT count(*) FROM @documents`); n != keptVersions+1 {
			t.Errorf("%d versions are left, want %d", n, keptVersions+1)
		}
	}
	after, err := s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("the heads changed: %s", d)
	}
	doc, version, err := s.Load(t.Context(), "state")
	if err != nil || version != 3*keptVersions || string(doc) != fmt.Sprint(3*keptVersions-1) {
		t.Errorf("the document is %s of version %d: %v", doc, version, err)
	}
	chainAll(t, s, batch(3, 2, 1))
	intact(t, s)
}
