package postgres

import (
	"math"
	"slices"

	"github.com/annals-dev/annals/audit"
)

const (
	hourMicros = int64(3600_000_000)
	dayMicros  = 24 * hourMicros
)

// interval is a time from its first microsecond to before its last, since 1970.
type interval struct{ from, to int64 }

func (i interval) empty() bool { return i.from >= i.to }

// windowOf gives the window of a question, no wider than the times of records.
func windowOf(q *audit.Query) interval {
	w := interval{earliest, latest}
	if !q.From.IsZero() {
		w.from = q.From.UnixMicro()
	}
	if !q.To.IsZero() {
		w.to = q.To.UnixMicro()
	}
	return w
}

// floor gives the start of the period of that width that a time lies in.
func floor(at, width int64) int64 {
	rest := at % width
	if rest < 0 {
		rest += width
	}
	return at - rest
}

func ceil(at, width int64) int64 { return floor(at+width-1, width) }

// pieces says from where each part of a window is answered. The parts do not
// overlap and leave nothing out.
type pieces struct {
	days     interval   // by the sums of days, but for those in notDays
	notDays  []int64    // in order
	hours    []interval // by the sums of hours, but for those in notHours
	notHours []int64    // in order
	single   []int64    // hours of notDays that are not in notHours, by their own sums
	rows     []interval // by the records
}

// fromRows answers all of a window by the records.
func fromRows(window interval) *pieces {
	if window.empty() {
		return &pieces{}
	}
	return &pieces{rows: []interval{window}}
}

// cut shares out a window, when the sums of some hours and of some days are not
// to be used; byDay says whether sums of days may stand for their hours.
func cut(window interval, notHours, notDays []int64, byDay bool) *pieces {
	inner := interval{ceil(window.from, hourMicros), floor(window.to, hourMicros)}
	if inner.empty() {
		return fromRows(window)
	}
	p := &pieces{days: interval{ceil(inner.from, dayMicros), floor(inner.to, dayMicros)}}
	if !byDay || p.days.empty() {
		p.days = interval{inner.from, inner.from}
	}
	for _, part := range []interval{{inner.from, p.days.from}, {p.days.to, inner.to}} {
		if !part.empty() {
			p.hours = append(p.hours, part)
		}
	}
	p.addRows(interval{window.from, inner.from})
	for _, hour := range distinctOf(notHours) {
		if hour >= inner.from && hour < inner.to {
			p.notHours = append(p.notHours, hour)
			p.addRows(interval{hour, hour + hourMicros})
			notDays = append(notDays, floor(hour, dayMicros))
		}
	}
	for _, day := range distinctOf(notDays) {
		if day >= p.days.from && day < p.days.to {
			p.notDays = append(p.notDays, day)
		}
	}
	p.addRows(interval{inner.to, window.to})
	for _, day := range p.notDays {
		for hour := day; hour < day+dayMicros; hour += hourMicros {
			if _, not := slices.BinarySearch(p.notHours, hour); !not {
				p.single = append(p.single, hour)
			}
		}
	}
	return p
}

func distinctOf(list []int64) []int64 { return slices.Compact(slices.Sorted(slices.Values(list))) }

// addRows adds a part that comes after all those before.
func (p *pieces) addRows(part interval) {
	if part.empty() {
		return
	}
	if n := len(p.rows); n > 0 && p.rows[n-1].to == part.from {
		p.rows[n-1].to = part.to
		return
	}
	p.rows = append(p.rows, part)
}

// summed reports whether any part is answered by sums.
func (p *pieces) summed() bool {
	return !p.days.empty() || len(p.hours) > 0 || len(p.single) > 0
}

// scale gives the number that n of a sample of that fraction stand for.
func scale(n int64, fraction float64) int64 {
	if fraction >= 1 {
		return n
	}
	return int64(math.Round(float64(n) / fraction))
}
