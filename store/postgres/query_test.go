package postgres

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// sparse opens a store whose blocks hold a few records each and whose
// partitions are days of the corpus, so that a small number of records goes
// over many of both. Questions do not stop at the newest records.
func sparse(t testing.TB, opt Options) *Store {
	t.Helper()
	s := open(t, opt)
	s.unitRows, s.blockUnits, s.glanceRecords, s.narrowRecords = 2, 4, 0, 4
	c := newStranger(t, s)
	for day := range 2 {
		from := storetest.CorpusStart.AddDate(0, 0, day)
		c.must(t, fmt.Sprintf("CREATE TABLE @records_day%d PARTITION OF @records FOR VALUES FROM ('%s') TO ('%s')", day, from.Format("2006-01-02Z"), from.AddDate(0, 0, 1).Format("2006-01-02Z")))
	}
	return s
}

// abroad gives the URL of a database whose sessions are far from UTC.
func abroad(t testing.TB, version string) string {
	t.Helper()
	address := enginetest.Postgres(t, enginetest.OnVersion(version))
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, set := range []string{"timezone = 'Asia/Kolkata'", "datestyle = 'German'"} {
		if _, err := c.Exec(t.Context(), `ALTER DATABASE "`+strings.TrimPrefix(u.Path, "/")+`" SET `+set); err != nil {
			t.Fatal(err)
		}
	}
	return address
}

// scatter stores the records in batches of several sizes, and writes bounds and
// summaries in between.
func scatter(t testing.TB, s *Store, recs []*audit.Record) {
	t.Helper()
	r := storetest.NewRand(9)
	for len(recs) > 0 {
		n := min(len(recs), 1+r.IntN(12))
		appendAll(t, s, recs[:n])
		recs = recs[n:]
		if r.IntN(8) == 0 {
			settle(t, s)
		}
	}
}

func settle(t testing.TB, s *Store) {
	t.Helper()
	for _, err := range []error{s.settleBlocks(t.Context()), s.summarize(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// pages asks for page after page.
func pages(ctx context.Context, s audit.Store, q *audit.Query) (out []*audit.Record, err error) {
	next := *q
	for {
		page, err := s.Query(ctx, &next)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Records...)
		if page.Next.IsZero() {
			return out, nil
		}
		if len(page.Records) < q.Limit {
			return nil, fmt.Errorf("a page of %d records is not the last", len(page.Records))
		}
		next.After = page.Next
	}
}

// names are the records' places, which say which they are.
func names(recs []*audit.Record) (out []string) {
	for _, r := range recs {
		out = append(out, fmt.Sprint(r.OccurredAt.UnixMicro(), r.ID, r.Scope()))
	}
	return out
}

func TestQuestionsEqualTheReference(t *testing.T) {
	inFullRuns(t)
	for _, version := range enginetest.PostgresVersions() {
		t.Run(version, func(t *testing.T) {
			s := sparse(t, Options{URL: abroad(t, version)})
			recs := storetest.Corpus(11, 500)
			scatter(t, s, recs)
			settle(t, s)
			ways := map[way]int{}
			unseen := func() bool { return ways[byTime]*ways[byBlocks]*ways[byRuns]*ways[byWords] == 0 }
			for seed := 0; seed < storetest.Rounds(300) || unseen() && seed < 300; seed++ {
				checkQuestion(t, s, recs, storetest.RandomQuery(storetest.NewRand(uint64(seed)), recs...), ways)
			}
			if unseen() {
				t.Errorf("questions went the ways %v only", ways)
			}
		})
	}
}

func checkQuestion(t testing.TB, s *Store, recs []*audit.Record, q *audit.Query, ways map[way]int) {
	t.Helper()
	ctx := context.Background()
	want := names(orderedAnswer(recs, q))
	err := s.ask(ctx, func(a *ask) error {
		p, err := a.prepare(q)
		if err != nil || p.none {
			return err
		}
		_, err = a.find(p, startOf(q), 3)
		ways[p.lead.way]++
		return err
	})
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	got, err := pages(ctx, s, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	if d := cmp.Diff(want, names(got)); d != "" {
		t.Fatalf("%+v (-want +got):\n%s", q, d)
	}
	var walked []*audit.Record
	if err := s.Scan(ctx, q, func(r *audit.Record) error { walked = append(walked, r); return nil }); err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	if d := cmp.Diff(want, names(walked)); d != "" {
		t.Fatalf("scan of %+v (-want +got):\n%s", q, d)
	}
	if n, err := s.Count(ctx, q); err != nil || n != int64(len(want)) {
		t.Fatalf("count of %+v: %d, %v, want %d", q, n, err, len(want))
	}
}

// orderedAnswer is the reference with ties in the order of their scopes.
func orderedAnswer(recs []*audit.Record, q *audit.Query) []*audit.Record {
	out := slices.Clone(storetest.Answer(recs, q))
	orderTies(out, q.Order)
	return out
}

// Each dimension with each of its operators, by every way that can serve it.
func TestEveryFilterEqualsTheReference(t *testing.T) {
	inFullRuns(t)
	s := sparse(t, Options{URL: abroad(t, "")})
	recs := storetest.Corpus(12, 300)
	scatter(t, s, recs)
	r := storetest.NewRand(13)
	for _, d := range audit.Dimensions() {
		for _, op := range storetest.Operators() {
			if d.Ops&op == 0 {
				continue
			}
			for range storetest.Rounds(6) {
				q := &audit.Query{Filters: []audit.Filter{storetest.FilterOn(r, d, op, recs...)}, Limit: 7}
				v, err := q.Validate()
				if err != nil {
					t.Fatal(err)
				}
				checkQuestion(t, s, recs, v, map[way]int{})
			}
		}
	}
}

// A caller of Scan may ask other questions meanwhile, whatever the pool's size.
func TestScanHoldsNoConnection(t *testing.T) {
	s := open(t, Options{MaxConnections: 1, RollupInterval: -1})
	recs := storetest.Corpus(15, 300)
	appendAll(t, s, recs)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n := 0
	err := s.Scan(ctx, &audit.Query{}, func(r *audit.Record) error {
		n++
		_, err := s.Get(ctx, r.Ref())
		return err
	})
	if err != nil || n != len(recs) {
		t.Errorf("%d records, %v", n, err)
	}
}

// Behind a pooler statements are not prepared by name.
func TestQuestionsWithoutPreparedStatements(t *testing.T) {
	inFullRuns(t)
	for _, mode := range []string{"exec", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			address := abroad(t, "")
			s := sparse(t, Options{URL: address + "&default_query_exec_mode=" + mode})
			recs := storetest.Corpus(14, 200)
			scatter(t, s, recs)
			settle(t, s)
			for seed := range storetest.Rounds(60) {
				checkQuestion(t, s, recs, storetest.RandomQuery(storetest.NewRand(uint64(seed)), recs...), map[way]int{})
			}
		})
	}
}
