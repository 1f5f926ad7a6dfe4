package storetest

import (
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// testWindows has records on, before and after each edge.
func testWindows(t *testing.T, h *Harness) {
	s := h.open(t)
	var recs []*audit.Record
	for hour := range 6 {
		for _, beside := range []time.Duration{-time.Microsecond, 0, time.Microsecond} {
			recs = append(recs, event(scopeA, CorpusStart.Add(time.Duration(hour)*time.Hour+beside), nil))
		}
	}
	for _, us := range []int64{1, 2, lastInstant.UnixMicro()} {
		recs = append(recs, event(scopeA, time.UnixMicro(us).UTC(), nil))
	}
	h.store(t, s, CloneAll(recs))

	edge := CorpusStart.Add(time.Hour)
	zone := time.FixedZone("east", 5*60*60+30*60)
	for _, w := range []struct {
		name     string
		from, to time.Time
	}{
		{"start included, end excluded", edge, edge.Add(time.Hour)},
		{"one microsecond", edge, edge.Add(time.Microsecond)},
		{"empty", edge, edge},
		{"from only", edge, time.Time{}},
		{"to only", time.Time{}, edge},
		{"a nanosecond after the record", edge.Add(time.Nanosecond), time.Time{}},
		{"to a nanosecond after the record", time.Time{}, edge.Add(time.Nanosecond)},
		{"to a nanosecond before the record", time.Time{}, edge.Add(-time.Nanosecond)},
		{"another zone", edge.In(zone), edge.Add(time.Hour).In(zone)},
		{"before everything", time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.UnixMicro(1)},
		{"1970", time.UnixMicro(0), time.UnixMicro(2)},
		{"after everything", lastInstant.Add(time.Microsecond), time.Time{}},
		{"the last instant", lastInstant, time.Time{}},
		{"nearly everything", time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(w.name, func(t *testing.T) {
			for _, order := range orders {
				for _, limit := range []int{1, audit.DefaultLimit} {
					q, err := (&audit.Query{From: w.from, To: w.to, Order: order, Limit: limit}).Validate()
					if err == nil { // what cannot be written as a parameter never reaches a store
						ask(t, s, recs, q)
					}
				}
			}
		})
	}
	t.Run("adjacent windows share nothing and lose nothing", func(t *testing.T) {
		seen := map[audit.Ref]int{}
		for at := CorpusStart.Add(-time.Hour); at.Before(CorpusStart.Add(7 * time.Hour)); at = at.Add(20 * time.Minute) {
			for _, r := range walk(t, s, valid(t, audit.Query{From: at, To: at.Add(20 * time.Minute)})) {
				seen[r.Ref()]++
			}
		}
		for _, r := range recs[:18] {
			if n := seen[r.Ref()]; n != 1 {
				t.Errorf("the record at %v is in %d windows", r.OccurredAt, n)
			}
		}
	})
}
