package clickhouse

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/retention"
)

var _ retention.Partitioner = (*Store)(nil)

// Months of which the cut leaves nothing are dropped with anchors; one that a
// hold reaches into stays, and so do those that are not over.
func TestDropPartitions(t *testing.T) {
	s := opened(t, enginetest.ClickHouse(t), func(o *Options) {
		o.Now = func() time.Time { return time.Date(2026, 9, 30, 0, 0, 0, 0, time.UTC) }
	})
	var all []*audit.Record
	for m := time.March; m <= time.June; m++ {
		recs := made(t, 30)
		for i, r := range recs {
			r.RecordedAt = time.Date(2026, m, 2, 0, 0, i, 0, time.UTC)
			r.OccurredAt = r.RecordedAt.AddDate(0, 0, -i) // which may lie in another month
		}
		if m == time.April {
			recs[7].Resource.ID = "held"
		}
		all = append(all, recs...)
	}
	linked(t, s, all[:60])
	linked(t, s, all[60:])
	names := func() (out []string) {
		t.Helper()
		err := s.EachPartition(t.Context(), func(name string, from, to time.Time, records, bytes int64) error {
			if name != laterPartitions && (from.Format("200601") != name || !to.Equal(from.AddDate(0, 1, 0)) || records < 1 || bytes < 1) {
				t.Errorf("%s from %v to %v: %d records, %d bytes", name, from, to, records, bytes)
			}
			if name == laterPartitions && (!from.Equal(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)) || !to.IsZero()) {
				t.Errorf("later months are from %v to %v", from, to)
			}
			out = append(out, name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := names(); !slices.Equal(got, []string{"202603", "202604", "202605", "202606", laterPartitions}) {
		t.Fatalf("%v", got)
	}
	hold, err := (&audit.Query{Filters: []audit.Filter{audit.Is("resource", "held")}}).Validate()
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	cut := audit.Cut{RecordedBefore: end, Holds: []*audit.Query{hold}, Reason: "ceiling"}
	dropped, err := s.DropPartitions(t.Context(), end, func(context.Context) (audit.Cut, error) { return cut, nil })
	if err != nil || !slices.Equal(dropped, []string{"202603", "202605"}) {
		t.Errorf("%v, %v", dropped, err)
	}
	if got := names(); !slices.Equal(got, []string{"202604", "202606", "202609", laterPartitions}) { // the anchors are of today
		t.Errorf("%v", got)
	}
	verified(t, s)
	for total := 0; ; {
		n, err := s.DeleteExpired(t.Context(), cut, 10)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n < 10 {
			if total != 29 {
				t.Errorf("%d were deleted one by one, want all of April but the one that is held", total)
			}
			break
		}
	}
	verified(t, s)
	if n, err := s.Count(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}); err != nil || n != 31 {
		t.Errorf("%d are left, %v", n, err)
	}
}
