package postgres

import (
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// takeIn restores the records as a segment of the scope of the first one.
func takeIn(t testing.TB, s *Store, segment string, recs []*audit.Record) {
	t.Helper()
	from := chain.Head{Key: chain.Key{Scope: recs[0].Scope(), Segment: segment}}
	if err := s.Restore(t.Context(), from, chain.Seal(from, recs), recs); err != nil {
		t.Fatal(err)
	}
}

// A month goes as a whole, with links of segments in it that have the sequences of
// the own chain; what is held survives, and every chain stays accounted for.
func TestDropWithSegments(t *testing.T) {
	s := dated(t, Options{}, today)
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	makeMonths(t, s, june, 3)
	var kept []*audit.Record
	twoMonths := func() []*audit.Record {
		recs := append(at(60, june), at(60, june.AddDate(0, 1, 0))...)
		for i, r := range recs {
			r.Namespace, r.Tenant = "ns", "t"
			if i == 17 || i == 18 {
				r.Resource.ID = "held"
			}
			if i == 17 || i == 18 || i >= 60 {
				kept = append(kept, r)
			}
		}
		return recs
	}
	chainAll(t, s, twoMonths())
	takeIn(t, s, "writer.1", twoMonths())
	takeIn(t, s, "writer.2", twoMonths())
	hold(t, s, "resource=held")
	if err := s.DropExpiredPartitions(t.Context(), 90); err != nil {
		t.Fatal(err)
	}
	wantLayout(t, s, months("2026_07", 6))
	wantRecords(t, s, kept)
	reports := intact(t, s)
	if len(reports) != 3 {
		t.Fatalf("%d chains, want 3", len(reports))
	}
	for _, r := range reports {
		if len(r.Pruned) != 2 || r.Pruned[0].Last != 17 || r.Pruned[1].First != 20 || r.Pruned[1].Last != 60 {
			t.Errorf("of %+v are removed: %+v", r.Key, r.Pruned)
		}
	}
	if n, err := s.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: today, Reason: "by hand"}, 1000); err != nil || n != len(kept) {
		t.Errorf("%d were deleted, want %d: %v", n, len(kept), err)
	}
	intact(t, s)
}

// Whoever removes the head of a segment does not go unnoticed.
func TestSegmentTampered(t *testing.T) {
	s := dated(t, Options{}, today)
	recs := at(20, today)
	for _, r := range recs {
		r.Namespace, r.Tenant = "ns", "t"
	}
	takeIn(t, s, "writer.1", recs)
	intact(t, s)
	newStranger(t, s).must(t, `DELETE FROM @segments`)
	heads, err := s.Heads(t.Context(), nil)
	if err != nil || len(heads) != 1 || heads[0].Sequence != 0 || heads[0].Segment != "" {
		t.Fatalf("the heads are %+v, %v", heads, err)
	}
	report, err := chain.Verify(t.Context(), s, heads[0].Key, chain.VerifyOptions{})
	if err != nil || report.Valid {
		t.Errorf("the records of a segment without a head: %+v, %v", report, err)
	}
}
