package copying_test

import (
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// 20,000 records go around all durable engines, and come back as they were.
func TestRing(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: the servers take their time")
	}
	total := 20_000
	if underRace {
		total = 4000
	}
	first := newPlace(t, "sqlite")
	var want []byte
	first.with(t, func(s audit.Store) {
		fill(t, s, recording(181, total), total/10)
		want = export(t, s)
	})
	from := first
	for _, engine := range []string{"postgres", "clickhouse", "opensearch", "dynamodb", "sqlite"} {
		to := newPlace(t, engine)
		from.with(t, func(src audit.Store) {
			to.with(t, func(dst audit.Store) {
				began := time.Now()
				report := copyAll(t, src, dst)
				t.Logf("%s to %s: %d records in %d chains, %v", from.Engine, engine, report.Copied, len(report.Chains), time.Since(began).Round(time.Millisecond))
				if report.Holds != 1 || report.Present != 0 {
					t.Errorf("%d holds were added and %d records present", report.Holds, report.Present)
				}
				same(t, engine, want, export(t, dst))
			})
		})
		from = to
	}
}

// What ClickHouse has recorded in segments, written to by two writers of whom one
// removed records of the other, comes to every engine and back.
func TestSegments(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: the servers take their time")
	}
	first := newPlace(t, "clickhouse")
	var want []byte
	first.with(t, func(a audit.Store) {
		fill(t, a, ofProd(recording(182, 1200)), 30)
		first.with(t, func(b audit.Store) { // it has segments of its own
			appender, _ := audit.As[chain.Appender](b)
			results, err := appender.AppendChained(t.Context(), ofProd(recording(183, 400)))
			fine(t, results, err)
			holds, err := audit.ParseHolds([]byte(hold))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.DeleteExpired(t.Context(), audit.Cut{ExpiredAt: time.Now(), Holds: holds, Reason: "all"}, 300); err != nil {
				t.Fatal(err)
			}
			want = export(t, b)
		})
	})
	from := first
	for _, engine := range []string{"sqlite", "opensearch", "postgres", "dynamodb", "clickhouse"} {
		to := newPlace(t, engine)
		from.with(t, func(src audit.Store) {
			to.with(t, func(dst audit.Store) {
				began := time.Now()
				report := copyAll(t, src, dst)
				t.Logf("%s to %s: %d records in %d chains, %v", from.Engine, engine, report.Copied, len(report.Chains), time.Since(began).Round(time.Millisecond))
				segments := map[string]bool{}
				for _, c := range report.Chains {
					segments[c.Segment] = true
				}
				if len(segments) < 2 {
					t.Errorf("only the segments %v were copied", segments)
				}
				same(t, engine, want, export(t, dst))
				// Recording goes on, and the chains that came in stay valid.
				appender, _ := audit.As[chain.Appender](dst)
				results, err := appender.AppendChained(t.Context(), ofProd(recording(uint64(200+len(engine)), 60)))
				fine(t, results, err)
				want = export(t, dst)
			})
		})
		from = to
	}
}

// ofProd leaves few chains, of which each takes its time.
func ofProd(recs []*audit.Record) []*audit.Record {
	return slices.DeleteFunc(recs, func(r *audit.Record) bool { return r.Namespace != "prod" })
}
