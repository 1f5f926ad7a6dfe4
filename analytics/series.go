package analytics

import (
	"time"

	"github.com/annals-dev/annals/audit"
)

// CheckSeries checks the arguments of Timeseries. Errors name unit, from or to:
// an unknown unit, a bound that is missing or outside the years 1 to
// audit.MaxYear, a To before From, more than MaxBuckets buckets.
func CheckSeries(q *audit.Query, unit Unit) error {
	_, err := newSeries(q, unit)
	return err
}

// BucketStarts gives the start of every bucket of a series, in UTC and in
// order; its errors are those of [CheckSeries]. The first is From cut to the
// unit and all lie before To.
func BucketStarts(q *audit.Query, unit Unit) ([]time.Time, error) {
	s, err := newSeries(q, unit)
	if err != nil {
		return nil, err
	}
	return s.starts(), nil
}

// Buckets gives the series for the starts, with the tallies that an engine
// found. Their key is the bucket's start in microseconds since 1970 (for a
// call, OccurredAt minus its remainder by the unit); a start without one is zero.
func Buckets(starts []time.Time, tallies map[int64]Tally) []Bucket {
	out := make([]Bucket, len(starts))
	for i, start := range starts {
		t := tallies[start.UnixMicro()]
		out[i] = t.Bucket(start)
	}
	return out
}

// series is the layout of buckets; numbers are microseconds since 1970.
type series struct {
	first, width int64
	count        int
}

func newSeries(q *audit.Query, unit Unit) (series, error) {
	width, ok := unit.Width()
	if !ok {
		return series{}, audit.Invalid("unit", "is %.40q, want %s, %s or %s", string(unit), Minute, Hour, Day)
	}
	from, err := bound("from", q.From)
	if err != nil {
		return series{}, err
	}
	to, err := bound("to", q.To)
	if err != nil {
		return series{}, err
	}
	if q.To.Before(q.From) {
		return series{}, audit.Invalid("to", "is before from")
	}
	w := width.Microseconds()
	first := from - (from%w+w)%w // the remainder of a time before 1970 is negative
	count := (to - first + w - 1) / w
	if count > MaxBuckets {
		return series{}, audit.Invalid("unit", "%s gives %d buckets between from and to, at most %d: take a wider unit or a shorter window", unit, count, MaxBuckets)
	}
	return series{first: first, width: w, count: int(count)}, nil
}

// bound gives a bound of the window in microseconds, rounded up as in
// [audit.Query.Validate], so that the buckets are the same before and after it.
func bound(param string, t time.Time) (int64, error) {
	if t.IsZero() {
		return 0, audit.Invalid(param, "is required for a series")
	}
	if y := t.UTC().Year(); y < 1 || y > audit.MaxYear {
		return 0, audit.Invalid(param, "is outside the years 1 to %d", audit.MaxYear)
	}
	us := t.UnixMicro()
	if time.UnixMicro(us).Before(t) {
		us++
	}
	return us, nil
}

func (s series) starts() []time.Time {
	out := make([]time.Time, s.count)
	for i := range out {
		out[i] = time.UnixMicro(s.first + int64(i)*s.width).UTC()
	}
	return out
}

// index gives the bucket that a time within the window belongs to.
func (s series) index(t time.Time) int { return int((t.UnixMicro() - s.first) / s.width) }
