package sqlite

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// soundBlocks wants every record to lie in a block whose bounds hold it, and
// every block but the last to hold one.
func soundBlocks(t rapid.TB, c *conn) {
	t.Helper()
	for what, sql := range map[string]string{
		"records outside their block's bounds": `SELECT count(*) FROM annals_records r LEFT JOIN annals_blocks b ON b.block = r.n >> 14
			WHERE b.block IS NULL OR r.n > b.last_n OR r.occurred_at NOT BETWEEN b.min_occurred AND b.max_occurred
			OR ifnull(r.recorded_at, 0) < b.min_recorded OR r.expires_at < ifnull(b.min_expires, r.expires_at + 1)
			OR instr(r.metadata, '\') > b.escaped * 1000000`,
		"empty blocks": `SELECT count(*) FROM annals_blocks b WHERE NOT EXISTS (SELECT 1 FROM annals_records r WHERE r.n >> 14 = b.block)
			AND b.min_occurred <= b.max_occurred`,
		"documents without a record": `SELECT count(*) FROM annals_bodies WHERE n NOT IN (SELECT n FROM annals_records)`,
		"tokens without a record":    `SELECT count(*) FROM annals_text_docsize WHERE id NOT IN (SELECT n FROM annals_records)`,
		"records without tokens":     `SELECT count(*) FROM annals_records WHERE n NOT IN (SELECT id FROM annals_text_docsize)`,
	} {
		n := int64(-1)
		if _, err := c.one(sql, func(st *z.Stmt) { n = st.ColumnInt64(0) }); err != nil || n != 0 {
			t.Fatalf("%s: %d, %v", what, n, err)
		}
	}
}

func TestBlocksStaySound(t *testing.T) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > storetest.Rounds(100) {
			return
		}
		s := sparse(t, Options{LosePowerFailure: true}, 5)
		defer s.Close()
		c := stranger(t, s.opt.Path)
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				recs := storetest.Corpus(rapid.Uint64Range(0, 1<<20).Draw(rt, "seed"), rapid.IntRange(1, 12).Draw(rt, "records"))
				if rapid.Bool().Draw(rt, "chained") {
					chainAll(t, s, recs)
				} else {
					appendAll(t, s, recs)
				}
			},
			"expire": func(rt *rapid.T) {
				cut := audit.Cut{ExpiredAt: storetest.CorpusStart.Add(time.Duration(rapid.IntRange(0, 150).Draw(rt, "hours")) * time.Hour)}
				if rapid.Bool().Draw(rt, "ceiling") {
					cut.RecordedBefore = cut.ExpiredAt
				}
				if _, err := s.DeleteExpired(t.Context(), cut, rapid.IntRange(1, 30).Draw(rt, "limit")); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) { soundBlocks(rt, c) },
		})
	})
}

// A place in the order of arrival is never given out twice, although deleted.
func TestPlacesAreNotReused(t *testing.T) {
	s := open(t, Options{})
	c := stranger(t, s.opt.Path)
	top := int64(0)
	for round := range 4 {
		appendAll(t, s, storetest.Corpus(uint64(round), 10))
		var low, high int64
		if _, err := c.one("SELECT min(n), max(n) FROM annals_records WHERE kind = 'event'", func(st *z.Stmt) { low, high = st.ColumnInt64(0), st.ColumnInt64(1) }); err != nil {
			t.Fatal(err)
		}
		if low <= top {
			t.Fatalf("round %d: the place %d again, after %d", round, low, top)
		}
		top = high
		if _, err := s.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: storetest.CorpusStart.AddDate(9000, 0, 0)}, 1000); err != nil {
			t.Fatal(err)
		}
	}
}

// One real boundary: a batch that begins in one block and ends in the next is
// found by every kind of question.
func TestBatchAcrossABoundary(t *testing.T) {
	s := open(t, Options{LosePowerFailure: true})
	recs := newGenerator().batch(200)
	appendAll(t, s, recs[:50])
	stranger(t, s.opt.Path).must(t, "UPDATE annals_blocks SET last_n = ?", blockSize-70)
	appendAll(t, s, recs[50:])
	soundBlocks(t, stranger(t, s.opt.Path))
	for _, q := range []audit.Query{
		{}, {Order: audit.OldestFirst}, {Text: "customer"}, {Filters: []audit.Filter{audit.Is("host", "node-1")}},
		{Filters: []audit.Filter{audit.Is("actor", "user-7")}}, {Filters: []audit.Filter{audit.Is("tenant", "tenant-1", "tenant-2")}},
		{Filters: []audit.Filter{audit.Is("metadata.region", "eu-3")}, Order: audit.OldestFirst},
	} {
		want := 0
		for _, r := range recs {
			if q.Match(r) {
				want++
			}
		}
		got := 0
		var last audit.Position
		err := s.Scan(t.Context(), &q, func(r *audit.Record) error {
			if c := r.Position().Compare(last); got > 0 && (c > 0) == (q.Order == audit.NewestFirst) {
				return fmt.Errorf("record %d is out of order", got)
			}
			last = r.Position()
			got++
			return nil
		})
		if n, cerr := s.Count(t.Context(), &q); err != nil || cerr != nil || got != want || n != int64(want) {
			t.Errorf("%+v: %d scanned, %d counted, want %d; %v, %v", q, got, n, want, err, cerr)
		}
	}
}
