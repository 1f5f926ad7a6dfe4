package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// paramWindow chooses a window by name on pages of statistics; from and to rule.
const paramWindow = "window"

// defaultWindow is the one of a page that names none.
const defaultWindow = "24h"

var windows = []struct {
	name, words string
	d           time.Duration
}{
	{"1h", "1 hour", time.Hour},
	{"24h", "24 hours", 24 * time.Hour},
	{"7d", "7 days", 7 * 24 * time.Hour},
	{"30d", "30 days", 30 * 24 * time.Hour},
}

// choice is a link of which one is the current one.
type choice struct {
	Words, Link string
	Current     bool
}

// asking is the question of a page of statistics: the filters of its address
// over a window that is always bounded.
type asking struct {
	Path       string
	From, To   time.Time
	Choices    []choice
	Conditions []condition
	Fault      *audit.Error // what is wrong with the address; there is no question then

	filters url.Values // without the window
	query   *audit.Query
}

// asking reads the question of a page of statistics. The error is for an
// address that cannot be read at all; what is wrong with a parameter is Fault.
func (d *dash) asking(r *http.Request, path string) (*asking, error) {
	v, err := params(r)
	if err != nil {
		return nil, err
	}
	a := &asking{Path: path}
	given := v[paramWindow]
	delete(v, paramWindow)
	a.filters = without(v, audit.ParamFrom, audit.ParamTo)
	custom := v.Has(audit.ParamFrom) || v.Has(audit.ParamTo)
	name := defaultWindow
	if len(given) > 0 {
		name = given[0]
	}
	var width time.Duration
	for _, w := range windows {
		if w.name == name {
			width = w.d
		}
		a.Choices = append(a.Choices, choice{w.words, link(path, with(a.filters, paramWindow, w.name)), !custom && w.name == name})
	}
	fault := d.readAsking(a, v, given, width, custom)
	if fault != nil && !errors.As(fault, &a.Fault) {
		return nil, fault
	}
	a.Conditions = conditions(path, a.filters, a.Fault)
	if custom {
		for _, bound := range []string{audit.ParamFrom, audit.ParamTo} {
			if v.Has(bound) {
				a.Conditions = append(a.Conditions, conditionOf(path, v, bound, a.Fault))
			}
		}
	}
	if len(given) > 0 && a.Fault != nil && a.Fault.Field == paramWindow {
		c := conditionOf(path, with(v, paramWindow, given...), paramWindow, a.Fault)
		c.Label = "Window"
		a.Conditions = append(a.Conditions, c)
	}
	return a, nil
}

func (d *dash) readAsking(a *asking, v url.Values, given []string, width time.Duration, custom bool) error {
	if len(given) > 1 || custom && len(given) > 0 {
		return audit.Invalid(paramWindow, "is given together with another time")
	}
	if width == 0 {
		return audit.Invalid(paramWindow, "is %s, want 1h, 24h, 7d or 30d", clip(40, given[0]))
	}
	for _, name := range []string{audit.ParamCursor, audit.ParamLimit, audit.ParamOrder} {
		if v.Has(name) {
			return audit.Invalid(name, "is not a parameter of this page")
		}
	}
	q, _, err := audit.ParseParams(v)
	if err != nil {
		return err
	}
	// The end is a whole second, so that links made of it are short and exact.
	if q.To.IsZero() {
		q.To = ceilSecond(d.opt.Now())
	}
	if q.From.IsZero() {
		q.From = q.To.Add(-width)
	}
	checked, err := q.Validate() // which also rounds the window to microseconds
	if err != nil {
		return err
	}
	q.From, q.To = checked.From, checked.To
	a.query, a.From, a.To = q, q.From, q.To
	return nil
}

func ceilSecond(t time.Time) time.Time {
	c := t.UTC().Truncate(time.Second)
	if c.Before(t) {
		c = c.Add(time.Second)
	}
	return c
}

// explore gives the address of the calls behind a number: the filters, the
// window, and what is given besides.
func (a *asking) explore(pairs ...string) string {
	v := with(a.bounds(), "kind", string(audit.KindEvent))
	if !slices.Contains(pairs, "outcome") && !v.Has("outcome") && !v.Has("outcome.not") && !v.Has(audit.ParamPhase) {
		v.Set(audit.ParamPhase, "outcome")
	}
	for i := 0; i < len(pairs); i += 2 {
		v[pairs[i]] = []string{pairs[i+1]}
	}
	return link(pathExplore, v)
}

// bounds gives the filters with the window as from and to.
func (a *asking) bounds() url.Values {
	v := with(a.filters, audit.ParamFrom, audit.FormatTime(a.From))
	v[audit.ParamTo] = []string{audit.FormatTime(a.To)}
	return v
}

// Explore is the address of all the calls of the window.
func (a *asking) Explore() string { return a.explore() }

// barsAtMost is how many bars a chart has room for.
const barsAtMost = 200

// unit gives the width of a bucket for a window, and how many of them one bar stands for.
func unit(from, to time.Time) (analytics.Unit, int) {
	width := to.Sub(from)
	for _, u := range []analytics.Unit{analytics.Minute, analytics.Hour, analytics.Day} {
		step, _ := u.Width()
		if n := int(width/step) + 2; n <= barsAtMost {
			return u, 1
		}
	}
	return analytics.Day, int(width/(24*time.Hour))/barsAtMost + 1
}
