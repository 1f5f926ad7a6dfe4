package sqlite

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// The suite runs in internal/conformance too; there all records fall into one
// block. Here a block holds seven, so that every question goes over many.
func TestSuiteOverManyBlocks(t *testing.T) {
	paths := map[audit.Store]string{}
	make := func(tb testing.TB, path string) audit.Store {
		s := sparse(tb, Options{Path: path, LosePowerFailure: true}, 7)
		paths[s] = path
		return s
	}
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB) audit.Store { return make(tb, filepath.Join(tb.TempDir(), "annals.db")) },
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			return make(tb, paths[s])
		},
	})
}

// only gives a Skip that leaves the categories named.
func only(names ...storetest.Category) map[storetest.Category]string {
	skip := map[storetest.Category]string{}
	for _, name := range storetest.Categories() {
		if !slices.Contains(names, name) {
			skip[name] = "it is tested over many blocks"
		}
	}
	return skip
}

// One connection must be enough for everything that asks while it asks.
func TestSuiteWithOneReader(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB) audit.Store {
			return sparse(tb, Options{LosePowerFailure: true, Readers: 1, Prefix: "other_"}, 50)
		},
		Skip: only(storetest.Scanning, storetest.Chain, storetest.Concurrency, storetest.Lifecycle),
	})
}

func TestSuiteWithoutFullText(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB) audit.Store {
			return open(tb, Options{LosePowerFailure: true, NoFullText: true})
		},
		Skip: only(storetest.Roundtrip, storetest.Idempotency, storetest.Text, storetest.Retention, storetest.ChainRetention),
	})
}

// The statistics must be those of the streaming reference over records with
// all their fields, to the last bit.
func TestStatisticsEqualTheReference(t *testing.T) {
	recs := storetest.Corpus(77, 400)
	s := sparse(t, Options{LosePowerFailure: true}, 20)
	appendAll(t, s, recs)
	want := analytics.Stream(s) // over Scan, which the suite compares with the reference
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > storetest.Rounds(100) {
			return
		}
		r := storetest.NewRand(rapid.Uint64Range(0, math.MaxUint32).Draw(rt, "seed"))
		q := storetest.RandomQuery(r, recs...)
		if q.From.IsZero() || q.To.IsZero() {
			q.From, q.To = storetest.CorpusStart, storetest.CorpusStart.Add(storetest.CorpusSpan)
		}
		dims := audit.Dimensions()
		column, other := dims[r.IntN(len(dims))].Name, dims[r.IntN(len(dims))].Name
		compare(rt, "Overview", func(a analytics.Analyzer) (any, error) { return a.Overview(t.Context(), q) }, s, want)
		compare(rt, "Timeseries", func(a analytics.Analyzer) (any, error) { return a.Timeseries(t.Context(), q, analytics.Hour) }, s, want)
		compare(rt, "Breakdown "+column, func(a analytics.Analyzer) (any, error) { return a.Breakdown(t.Context(), q, column, 5) }, s, want)
		compare(rt, "Performance", func(a analytics.Analyzer) (any, error) { return a.Performance(t.Context(), q) }, s, want)
		compare(rt, "Discovery", func(a analytics.Analyzer) (any, error) {
			return a.Discovery(t.Context(), q, analytics.DefaultDiscoveryKinds())
		}, s, want)
		compare(rt, "Enrichment", func(a analytics.Analyzer) (any, error) { return a.Enrichment(t.Context(), q) }, s, want)
		compare(rt, "Distinct "+column, func(a analytics.Analyzer) (any, error) { return a.Distinct(t.Context(), q, column) }, s, want)
		compare(rt, "DistinctPairs "+column+" "+other, func(a analytics.Analyzer) (any, error) { return a.DistinctPairs(t.Context(), q, column, other) }, s, want)
	})
}

func compare(rt *rapid.T, name string, ask func(analytics.Analyzer) (any, error), got, want analytics.Analyzer) {
	rt.Helper()
	g, gerr := ask(got)
	w, werr := ask(want)
	if audit.CodeOf(gerr) != audit.CodeOf(werr) {
		rt.Fatalf("%s: error %v, want %v", name, gerr, werr)
	}
	if gerr == nil {
		if d := cmp.Diff(w, g); d != "" {
			rt.Fatalf("%s (-want +got):\n%s", name, d)
		}
	}
}
