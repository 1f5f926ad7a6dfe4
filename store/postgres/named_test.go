package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

func TestLog(t *testing.T) {
	s := dated(t, Options{}, today)
	ev := &audit.Event{Action: "invoice.update", Tenant: "acme", ExternalID: "order-7", Payload: []byte(`{ "a": 1 }`)}
	for range 2 { // again: it is there already
		if err := s.Log(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Log(t.Context(), &audit.Event{Action: "invoice.read"}); err != nil {
		t.Fatal(err)
	}
	other := *ev
	other.Action = "invoice.delete"
	for want, ev := range map[audit.Code]*audit.Event{audit.CodeConflict: &other, audit.CodeInvalid: {}} {
		if err := s.Log(t.Context(), ev); audit.CodeOf(err) != want {
			t.Errorf("%+v: %v, want %s", ev, err, want)
		}
	}
	if err := s.Log(t.Context(), nil); audit.CodeOf(err) != audit.CodeInvalid {
		t.Errorf("no event: %v", err)
	}
	if len(ev.ID) > 0 && !ev.ID.IsZero() {
		t.Error("the event was changed")
	}
	page, err := s.Query(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("tenant", "acme")}})
	if err != nil || len(page.Records) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	r := page.Records[0]
	if r.Sequence != 1 || r.Level != "all" || !r.OccurredAt.Equal(today) || !r.RecordedAt.Equal(today) || r.Operation != audit.Update || string(r.Payload) != `{"a":1}` {
		t.Errorf("stored is %+v", r)
	}
	if n, err := s.Count(t.Context(), &audit.Query{}); n != 2 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	intact(t, s)
}

func TestCleanup(t *testing.T) {
	s := dated(t, Options{RetentionDays: 30}, today)
	recs := at(40, today.AddDate(0, 0, -60))
	var kept []*audit.Record
	for i, r := range recs {
		switch i % 4 {
		case 0: // expired
			r.RecordedAt, r.ExpiresAt = today.Add(-time.Hour), today
		case 1: // not yet
			r.RecordedAt, r.ExpiresAt = today.Add(-time.Hour), today.Add(time.Microsecond)
			kept = append(kept, r)
		case 2: // held
			r.Resource.ID = "held"
			kept = append(kept, r)
		}
	}
	chainAll(t, s, recs)
	hold(t, s, "resource=held")
	for _, want := range []int64{20, 0} {
		if n, err := s.Cleanup(t.Context()); n != want || err != nil {
			t.Errorf("%d were deleted, want %d: %v", n, want, err)
		}
	}
	wantRecords(t, s, kept)
	intact(t, s)
	if got, want := fmt.Sprint(reasons(t, s)), fmt.Sprint(map[string]int64{"expired": 10, "older than 30 days": 10}); got != want {
		t.Errorf("the anchors: %s, want %s", got, want)
	}
}

func TestRetentionDaysAreChecked(t *testing.T) {
	for _, days := range []int{-1, maxDays + 1} {
		_, err := Open(t.Context(), Options{URL: "postgres://", RetentionDays: days})
		if audit.CodeOf(err) != audit.CodeInvalid || !strings.Contains(err.Error(), "retention_days") {
			t.Errorf("%d days: %v, want invalid", days, err)
		}
	}
}

// The routine runs at once; Close waits for it, and needs none.
func TestCleanupRoutine(t *testing.T) {
	url := abroad(t, "")
	now := func() time.Time { return today }
	s, err := Open(t.Context(), Options{URL: url, Now: now, RollupInterval: -1, RetentionDays: 90})
	if err != nil {
		t.Fatal(err)
	}
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	makeMonths(t, s, june, 1)
	recs := append(at(10, june), at(10, today)...)
	recs[15].ExpiresAt = today
	chainAll(t, s, recs)
	c := newStranger(t, s)
	c.must(t, `DROP TABLE @records_2026_12`)
	s.StartCleanupRoutine(time.Hour)
	s.StartCleanupRoutine(time.Nanosecond) // changes nothing
	for c.number(t, `SELECT count(*) FROM @records WHERE kind = 'event'`) != 9 {
	}
	wantLayout(t, s, months("2026_09", 4))
	intact(t, s)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	s.StartCleanupRoutine(time.Hour)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"ensure": s.EnsureMonthlyPartitions(t.Context(), 1), "drop": s.DropExpiredPartitions(t.Context(), 1), "maintain": s.Maintain(t.Context()),
		"log": s.Log(t.Context(), &audit.Event{Action: "a"}), "list": s.EachPartition(t.Context(), nil),
	} {
		if !errors.Is(err, audit.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if _, err := s.Cleanup(t.Context()); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("cleanup after Close: %v", err)
	}

	idle := dated(t, Options{URL: url}, today)
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	fresh := dated(t, Options{URL: url}, today)
	fresh.StartCleanupRoutine(0)
	if err := fresh.Close(); err != nil {
		t.Error(err)
	}
}
