package dynamodb

import (
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Chains that come in have the times of TTL of this store, heed its holds from the
// first moment, and what TTL takes of them is accounted for.
func TestRestoredTTL(t *testing.T) {
	inFullRuns(t)
	s, clock := newHeld(t)
	keep(t, s, hold(t, audit.Query{Filters: []audit.Filter{audit.Is("resource", "x")}}))
	if err := s.ApplyHolds(t.Context()); err != nil {
		t.Fatal(err)
	}
	var heads []chain.Head
	var all [][]*audit.Record
	for _, segment := range []string{"", "writer.1", "b#/%"} {
		recs := events(scopeA, clock.at, 12, func(i int, r *audit.Record) {
			r.ExpiresAt = clock.at.Add(dueIn)
			if i%4 == 0 {
				r.Resource.ID = "x"
			}
		})
		from := chain.Head{Key: chain.Key{Scope: scopeA, Segment: segment}}
		head := chain.Seal(from, recs)
		if err := s.Restore(t.Context(), from, head, recs); err != nil {
			t.Fatal(err)
		}
		wantTTL(t, s, recs, func(i int) bool { return i%4 != 0 })
		heads, all = append(heads, head), append(all, recs)
	}
	keep(t, s) // and give it back when the hold ends
	if err := s.ApplyHolds(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, recs := range all {
		wantTTL(t, s, recs, func(int) bool { return true })
		eat(t, s, recs[2:7]...)
	}
	clock.at = clock.at.Add(dueIn + time.Hour)
	for _, head := range heads {
		report, err := chain.Verify(t.Context(), s, head.Key, chain.VerifyOptions{})
		if err != nil || !report.Valid || len(report.Pruned) != 1 || report.Pruned[0].First != 3 || report.Pruned[0].Last != 7 {
			t.Errorf("the segment %q: %+v, %v", head.Segment, report, err)
		}
	}
}
