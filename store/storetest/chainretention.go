package storetest

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// testChainRetention removes prefixes, islands and whole chains. What is left
// must verify, and the anchors must say exactly what went.
func testChainRetention(t *testing.T, h *Harness) {
	held := audit.Is("resource", "held")
	hold := []*audit.Query{valid(t, audit.Query{Filters: []audit.Filter{held}})}
	at := func(i int) time.Time { return CorpusStart.Add(time.Duration(i) * time.Second) }
	for _, c := range []struct {
		name string
		keep func(i int) bool // of 100 records, counted from 0
		runs []chain.Run
	}{
		{"a prefix", func(i int) bool { return i >= 40 }, []chain.Run{{First: 1, Last: 40}}},
		{"the middle", func(i int) bool { return i < 10 || i >= 90 }, []chain.Run{{First: 11, Last: 90}}},
		{"the tail", func(i int) bool { return i < 60 }, []chain.Run{{First: 61, Last: 100}}},
		{"islands", func(i int) bool { return i%10 == 0 }, islands(10, 10)},
		{"everything", func(int) bool { return false }, []chain.Run{{First: 1, Last: 100}}},
		{"nothing", func(int) bool { return true }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := h.openChained(t)
			var recs, kept []*audit.Record
			for i := range 100 {
				recs = append(recs, event(scopeA, at(i*37%100), func(r *audit.Record) { // times do not follow the chain
					if c.keep(i) {
						r.Resource.ID = "held"
					}
				}))
			}
			h.storeChained(t, s, recs)
			for _, r := range recs {
				if r.Resource.ID == "held" {
					kept = append(kept, r)
				}
			}
			h.deleteAll(t, s.Store, audit.Cut{RecordedBefore: lastInstant, Holds: hold, Reason: "by the rule"}, 1000, len(recs)-len(kept))
			s.verify(t, kept)
			s.anchored(t, recs, c.runs, "by the rule")

			// The chain goes on, also from where its tail is gone.
			more := []*audit.Record{event(scopeA, at(200), nil)}
			h.storeChained(t, s, more)
			s.verify(t, append(kept, more...))
		})
	}
	t.Run("in steps, over several chains", func(t *testing.T) { testChainSteps(t, h) })
	t.Run("more runs than one anchor holds", func(t *testing.T) {
		s := h.openChained(t)
		var recs []*audit.Record
		for i := range 2*chain.MaxRuns + 2 {
			recs = append(recs, event(scopeA, at(i), func(r *audit.Record) {
				if i%2 == 1 {
					r.Resource.ID = "held"
				}
			}))
		}
		h.storeChained(t, s, recs)
		h.deleteAll(t, s.Store, audit.Cut{RecordedBefore: lastInstant, Holds: hold}, 5000, chain.MaxRuns+1)
		s.verify(t, nil)
		s.anchored(t, recs, islands(chain.MaxRuns+1, 2), "")
	})
	t.Run("beside records outside", func(t *testing.T) {
		s := h.openChained(t)
		outside, inside := event(scopeA, CorpusStart, nil), event(scopeA, CorpusStart, nil)
		h.store(t, s, []*audit.Record{Clone(outside)})
		h.storeChained(t, s, []*audit.Record{inside})
		h.deleteAll(t, s.Store, audit.Cut{RecordedBefore: lastInstant}, 10, 2)
		s.verify(t, nil)
		s.anchored(t, []*audit.Record{inside}, []chain.Run{{First: 1, Last: 1}}, "")
	})
}

// islands are n removed runs, each of the records between two kept ones that
// are step apart.
func islands(n int64, step int64) (runs []chain.Run) {
	for i := range n {
		first := i*step + 2
		if step == 2 {
			first = i*step + 1
		}
		runs = append(runs, chain.Run{First: first, Last: first + step - 2})
	}
	return runs
}

// anchored wants the anchors of recs' chain to name exactly the runs, with the
// hashes of recs.
func (s chained) anchored(t *testing.T, recs []*audit.Record, runs []chain.Run, reason string) {
	t.Helper()
	var got []chain.Run
	scope := recs[0].Scope()
	anchors := walk(t, s, valid(t, audit.Query{Limit: 100, Filters: []audit.Filter{
		audit.Is("kind", string(audit.KindPrune)), audit.Is("namespace", scope.Namespace), audit.Is("tenant", scope.Tenant),
	}}))
	for _, a := range anchors {
		var p struct {
			Records int64       `json:"records"`
			Reason  string      `json:"reason"`
			Runs    []chain.Run `json:"runs"`
		}
		if err := json.Unmarshal(a.Payload, &p); err != nil {
			t.Fatalf("the payload of an anchor: %v", err)
		}
		if a.Action != chain.ActionPrune || a.Sequence <= 0 || p.Reason != reason || len(p.Runs) == 0 || len(p.Runs) > chain.MaxRuns {
			t.Errorf("an anchor at %d for %q has %d runs, action %q", a.Sequence, p.Reason, len(p.Runs), a.Action)
		}
		got = append(got, p.Runs...)
	}
	slices.SortFunc(got, func(a, b chain.Run) int { return int(a.First - b.First) })
	for i := range runs {
		runs[i].PrevHash, runs[i].Hash = recs[runs[i].First-1].PrevHash, recs[runs[i].Last-1].Hash
	}
	if !slices.Equal(got, runs) {
		t.Errorf("the anchors name the runs %s,\nwant %s", showRuns(got), showRuns(runs))
	}
	for _, run := range runs {
		if left := s.links(t, chain.KeyOf(recs[0]), run.First, run.Last); len(left) > 0 {
			t.Errorf("Walk still gives %d records of a removed run", len(left))
		}
	}
}

func showRuns(runs []chain.Run) string {
	b, err := json.Marshal(runs[:min(len(runs), 12)])
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// testChainSteps deletes in small steps from many chains at once, each step
// with its own anchors, which stay.
func testChainSteps(t *testing.T, h *Harness) {
	s := h.openChained(t)
	recs := Corpus(95, 240)
	h.storeChained(t, s, recs)
	cut := audit.Cut{ExpiredAt: CorpusStart.Add(72 * time.Hour), Reason: "ttl"}
	var kept []*audit.Record
	for _, r := range recs {
		if !cut.Selects(r) {
			kept = append(kept, r)
		}
	}
	h.deleteAll(t, s.Store, cut, 7, len(recs)-len(kept))
	s.verify(t, kept)
	h.deleteAll(t, s.Store, audit.Cut{RecordedBefore: lastInstant, Reason: "ceiling"}, 20, len(kept)-countGaps(kept))
	s.verify(t, nil)
	for _, r := range walk(t, s, valid(t, audit.Query{Limit: audit.MaxLimit})) {
		if r.Kind == audit.KindEvent {
			t.Errorf("%v is still there", r.Ref())
		}
	}
}

func countGaps(recs []*audit.Record) (n int) {
	for _, r := range recs {
		if r.Kind == audit.KindGap {
			n++
		}
	}
	return n
}
