package analytics_test

import (
	"context"
	"testing"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

func TestTimeseries(t *testing.T) {
	a := over(append(notCalls(),
		call(-time.Microsecond),                        // before From, in the first bucket's hour
		call(15*time.Minute, took(3*time.Millisecond)), // at From
		call(59*time.Minute, outcome(audit.Denied), took(4*time.Millisecond)),
		call(2*time.Hour),
		call(2*time.Hour+30*time.Minute), // at To
	)...)
	q := &audit.Query{From: noon.Add(15 * time.Minute), To: noon.Add(2*time.Hour + 30*time.Minute)}
	want := []analytics.Bucket{
		{noon, 2, 1, 1, 3.5},
		{noon.Add(time.Hour), 0, 0, 0, 0},
		{noon.Add(2 * time.Hour), 1, 1, 0, 0},
	}
	wantEqual(t, must[[]analytics.Bucket](t)(a.Timeseries(context.Background(), q, analytics.Hour)), want)

	// The same window in a zone with half an hour to it: buckets stay in UTC.
	zone := time.FixedZone("", 5*3600+1800)
	q.From, q.To = q.From.In(zone), q.To.In(zone)
	got := must[[]analytics.Bucket](t)(a.Timeseries(context.Background(), q, analytics.Hour))
	wantEqual(t, got, want)
	for _, b := range got {
		if b.Start.Location() != time.UTC {
			t.Errorf("bucket %v is not in UTC", b.Start)
		}
	}
	days := must[[]analytics.Bucket](t)(a.Timeseries(context.Background(), q, analytics.Day))
	wantEqual(t, days, []analytics.Bucket{{noon.Add(-12 * time.Hour), 3, 2, 1, 3.5}})
}

func TestAdjacentWindowsPartitionCalls(t *testing.T) {
	var rs []*audit.Record
	for i := range 240 {
		rs = append(rs, call(time.Duration(i)*30*time.Second))
	}
	a, seen := over(rs...), map[int64]int64{}
	cuts := []time.Duration{0, 1, time.Minute, 30*time.Minute + 30*time.Second, 30*time.Minute + 30*time.Second + 1, time.Hour, 2 * time.Hour}
	for i, from := range cuts[:len(cuts)-1] {
		q := &audit.Query{From: noon.Add(from), To: noon.Add(cuts[i+1])}
		for _, b := range must[[]analytics.Bucket](t)(a.Timeseries(context.Background(), q, analytics.Minute)) {
			seen[b.Start.UnixMicro()] += b.Count
		}
	}
	if len(seen) != 120 {
		t.Errorf("%d minutes, want 120", len(seen))
	}
	for at, n := range seen {
		if n != 2 {
			t.Errorf("minute %v has %d calls, want 2", time.UnixMicro(at).UTC(), n)
		}
	}
}

func TestCheckSeries(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	minutes := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		from, to time.Time
		unit     analytics.Unit
		field    string // of the error
		count    int
	}{
		"unknown unit":        {noon, minutes(1), "week", "unit", 0},
		"no unit":             {noon, minutes(1), "", "unit", 0},
		"no from":             {time.Time{}, noon, analytics.Hour, "from", 0},
		"no to":               {noon, time.Time{}, analytics.Hour, "to", 0},
		"backwards":           {noon, minutes(-1), analytics.Hour, "to", 0},
		"most":                {noon, minutes(10_000), analytics.Minute, "", 10_000},
		"one too many":        {noon, minutes(10_000).Add(1), analytics.Minute, "unit", 0},
		"partly filled ends":  {minutes(0).Add(-1), minutes(9_999).Add(1), analytics.Minute, "", 10_000},
		"empty window":        {noon, noon, analytics.Minute, "", 0},
		"within one bucket":   {minutes(1), minutes(2), analytics.Day, "", 1},
		"rounded up to whole": {noon.Add(-1), noon.Add(1), analytics.Hour, "", 1},
		"before 1970":         {at("1969-12-31T22:30:00Z"), at("1970-01-01T01:30:00Z"), analytics.Hour, "", 4},
		"all years":           {at("0001-01-01T00:00:00.000001Z"), at("9999-12-31T00:00:00Z"), analytics.Day, "unit", 0},
		"far future":          {noon, time.Unix(1<<60, 0), analytics.Day, "to", 0},
		"far past":            {time.Unix(-1<<60, 0), noon, analytics.Day, "from", 0},
	} {
		t.Run(name, func(t *testing.T) {
			q := &audit.Query{From: c.from, To: c.to}
			starts, err := analytics.BucketStarts(q, c.unit)
			if c.field != "" {
				wantInvalid(t, err, c.field)
				wantInvalid(t, analytics.CheckSeries(q, c.unit), c.field)
				return
			}
			if err != nil || analytics.CheckSeries(q, c.unit) != nil {
				t.Fatal(err)
			}
			if len(starts) != c.count {
				t.Errorf("%d buckets, want %d", len(starts), c.count)
			}
			width, _ := c.unit.Width()
			for i, s := range starts {
				if !s.Before(c.to) || !s.Equal(s.Truncate(width)) || i > 0 && s.Sub(starts[i-1]) != width {
					t.Fatalf("bucket %d starts at %v", i, s)
				}
			}
			valid := must[*audit.Query](t)(q.Validate())
			wantEqual(t, must[[]time.Time](t)(analytics.BucketStarts(valid, c.unit)), starts)
		})
	}
}

func TestBuckets(t *testing.T) {
	starts := []time.Time{noon, noon.Add(time.Minute)}
	got := analytics.Buckets(starts, map[int64]analytics.Tally{
		noon.Add(time.Minute).UnixMicro(): {Calls: 3, Success: 1, Measured: 2, Micros: analytics.SumOf(3000)},
	})
	wantEqual(t, got, []analytics.Bucket{{Start: noon}, {noon.Add(time.Minute), 3, 1, 2, 1.5}})
	if analytics.Buckets(nil, nil) == nil {
		t.Error("a series without buckets is null")
	}
}
