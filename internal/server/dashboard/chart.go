package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/annals-dev/annals/analytics"
)

// The drawing's own units: it is stretched to the width of its place, and all
// its texts stand outside of it, so that they keep their size.
const (
	chartWidth  = 1000
	chartHeight = 200
)

// chart is a series of bars with the same numbers as a table.
type chart struct {
	ID, Title, Desc string
	Legend          []legend
	Bars            []bar
	YTicks          []string // from the top down
	XTicks          []string
	Columns         []string
	Rows            [][]string // the first cell is the time
	Empty           string     // what to say where there is nothing to draw
	Width, Height   int
}

type legend struct{ Class, Words string }

// bar is one step: a place to point at, and its parts from the bottom up.
type bar struct {
	X, W  string
	Title string
	Parts []part
}

type part struct{ Class, X, Y, W, H string }

// steps joins buckets so that each bar stands for per of them.
func steps(buckets []analytics.Bucket, per int) []analytics.Bucket {
	if per <= 1 {
		return buckets
	}
	var out []analytics.Bucket
	for i, b := range buckets {
		if i%per == 0 {
			out = append(out, analytics.Bucket{Start: b.Start})
		}
		s := &out[len(out)-1]
		// The averages of the parts, weighed by their calls: close enough for a bar.
		if n := s.Count + b.Count; n > 0 {
			s.AvgDurationMS = (s.AvgDurationMS*float64(s.Count) + b.AvgDurationMS*float64(b.Count)) / float64(n)
		}
		s.Count += b.Count
		s.SuccessCount += b.SuccessCount
		s.ErrorCount += b.ErrorCount
	}
	return out
}

// callsChart draws how many calls there were, failed ones on top.
func callsChart(buckets []analytics.Bucket, u analytics.Unit, per int) *chart {
	buckets = steps(buckets, per)
	c := newChart("calls", "Calls over time", buckets, u, per)
	c.Legend = []legend{{"ok", "success"}, {"bad", "not success"}}
	c.Columns = []string{"Start (UTC)", "Calls", "Success", "Not success"}
	var most, total, failed int64
	for _, b := range buckets {
		most, total, failed = max(most, b.Count), total+b.Count, failed+b.ErrorCount
	}
	top := niceTop(float64(most))
	c.YTicks = []string{compact(top), compact(top / 2), "0"}
	c.Desc = fmt.Sprintf("%s in %s, at most %s in one; %s did not succeed.", plural(total, "call", "calls"), plural(int64(len(buckets)), "step", "steps"), number(most), number(failed))
	if total == 0 {
		c.Empty = "No calls in this window."
	}
	for i, b := range buckets {
		at := stepLabel(b.Start, u)
		title := at + ": " + plural(b.Count, "call", "calls")
		if b.ErrorCount > 0 {
			title += ", " + number(b.ErrorCount) + " not successful"
		}
		c.add(i, len(buckets), title, top, level{"ok", float64(b.SuccessCount)}, level{"bad", float64(b.ErrorCount)})
		c.Rows = append(c.Rows, []string{at, number(b.Count), number(b.SuccessCount), number(b.ErrorCount)})
	}
	return c
}

// latencyChart draws how long calls took on average.
func latencyChart(buckets []analytics.Bucket, u analytics.Unit, per int) *chart {
	buckets = steps(buckets, per)
	c := newChart("latency", "Average duration over time", buckets, u, per)
	c.Columns = []string{"Start (UTC)", "Average duration"}
	most := 0.0
	for _, b := range buckets {
		most = max(most, b.AvgDurationMS)
	}
	top := niceTop(most)
	c.YTicks = []string{millis(top), millis(top / 2), "0"}
	c.Desc = fmt.Sprintf("The average duration of the calls in each of %s, at most %s.", plural(int64(len(buckets)), "step", "steps"), millis(most))
	if most == 0 {
		c.Empty = "No call in this window has a duration."
	}
	for i, b := range buckets {
		at := stepLabel(b.Start, u)
		c.add(i, len(buckets), at+": "+millis(b.AvgDurationMS), top, level{"one", b.AvgDurationMS})
		c.Rows = append(c.Rows, []string{at, millis(b.AvgDurationMS)})
	}
	return c
}

func newChart(id, title string, buckets []analytics.Bucket, u analytics.Unit, per int) *chart {
	c := &chart{ID: id, Title: title, Width: chartWidth, Height: chartHeight}
	step := "per " + string(u)
	if per > 1 {
		step = "per " + strconv.Itoa(per) + " days"
	}
	c.Title += ", " + step
	if n := len(buckets); n > 0 {
		for i := range 5 {
			c.XTicks = append(c.XTicks, tickLabel(buckets[min(i*n/4, n-1)].Start, u, buckets[n-1].Start.Sub(buckets[0].Start)))
		}
	}
	return c
}

type level struct {
	class string
	value float64
}

func (c *chart) add(i, n int, title string, top float64, levels ...level) {
	slot := chartWidth / float64(n)
	gap := min(slot*0.15, 4)
	b := bar{X: fixed(float64(i) * slot), W: fixed(slot), Title: title}
	y := float64(chartHeight)
	for _, l := range levels {
		if l.value <= 0 || top <= 0 {
			continue
		}
		// A single failure among thousands must still be seen.
		h := max(l.value/top*chartHeight, 2)
		y = max(y-h, 0)
		b.Parts = append(b.Parts, part{l.class, fixed(float64(i)*slot + gap/2), fixed(y), fixed(slot - gap), fixed(h)})
	}
	c.Bars = append(c.Bars, b)
}

func fixed(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

// niceTop gives a round number at or above n that is easily halved.
func niceTop(n float64) float64 {
	if n <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(n)))
	steps := []float64{1, 2, 3, 4, 5, 6, 8, 10}
	if unit <= 1 {
		steps = []float64{2, 4, 6, 8, 10} // of which the half is whole as well
	}
	for _, m := range steps {
		if top := m * unit; top >= n {
			return top
		}
	}
	return 10 * unit
}

// compact writes a number in few characters.
func compact(n float64) string {
	switch {
	case n >= 1e9:
		return strconv.FormatFloat(n/1e9, 'f', -1, 64) + "G"
	case n >= 1e6:
		return strconv.FormatFloat(n/1e6, 'f', -1, 64) + "M"
	case n >= 1e4:
		return strconv.FormatFloat(n/1e3, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

func stepLabel(t time.Time, u analytics.Unit) string {
	if u == analytics.Day {
		return t.UTC().Format(time.DateOnly)
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func tickLabel(t time.Time, u analytics.Unit, all time.Duration) string {
	switch {
	case u == analytics.Day && all > 300*24*time.Hour:
		return t.UTC().Format("2006-01")
	case all > 3*24*time.Hour:
		return t.UTC().Format("01-02")
	}
	return t.UTC().Format("15:04")
}

// breakdown is a table of groups, each with a bar.
type breakdown struct {
	ID, Title, Column string
	Note              string
	Rows              []groupRow
	Failed            string
	Empty             string
}

type groupRow struct {
	Value, Full, Link string
	Count             int64
	Share             string // width of the bar, 0 to 100
	SuccessRate       float64
	AvgDurationMS     float64
}

// breakdownOf makes the table of a dimension's groups.
func breakdownOf(a *asking, dimension, title string, groups answer[[]analytics.Group]) breakdown {
	b := breakdown{ID: "by-" + dimension, Title: title, Column: label(dimension), Failed: groups.Failed}
	if b.Failed == "" && len(groups.Value) == 0 {
		b.Empty = "No call in this window has this field."
	}
	most := int64(1)
	for _, g := range groups.Value {
		most = max(most, g.Count)
	}
	for _, g := range groups.Value {
		to := a.explore(dimension, g.Value)
		if dimension == "actor" {
			// The group's value is an e-mail or an id; which one is found out there.
			to = a.explore(paramActorValue, g.Value)
			to = "/explore/actor" + to[len(pathExplore):]
		}
		b.Rows = append(b.Rows, groupRow{
			Value: clip(60, g.Value), Full: visible(g.Value), Link: to, Count: g.Count,
			Share: fixed(float64(g.Count) / float64(most) * 100), SuccessRate: g.SuccessRate, AvgDurationMS: g.AvgDurationMS,
		})
	}
	return b
}
