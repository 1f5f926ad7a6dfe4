package audit

import (
	"slices"
	"strings"
	"time"
)

// Limits of a question.
const (
	DefaultLimit = 50   // records on a page when Limit is 0
	MaxLimit     = 1000 // records on a page at most
	MaxFilters   = 50   // filters in one query
	MaxValues    = 200  // values in one filter
	MaxTextTerms = 20   // words in one full text search
)

// Query asks for records. The zero Query asks for the newest records of every
// tenant. All conditions must hold. The same Query gives the same answer on
// every engine.
type Query struct {
	Filters []Filter
	From    time.Time // records at or after it; zero is unbounded
	To      time.Time // records before it; zero is unbounded
	Text    string    // full text: every word must occur, see [ParseText]
	// Open keeps only intents whose action has no outcome: records with the
	// outcome pending and an ActionID that no other outcome of the same
	// namespace and tenant carries.
	Open  bool
	Order Order
	Limit int // records on a page; 0 is DefaultLimit, at most MaxLimit
	// After is where the page before ended; the zero Position starts at the
	// beginning. Callers pass the sealed form of it, see [SealCursor].
	After Position
}

// Order is the direction of the total order (OccurredAt, ID).
type Order uint8

// The orders.
const (
	NewestFirst Order = iota
	OldestFirst
)

// String gives the order's wire name.
func (o Order) String() string {
	if o == OldestFirst {
		return "oldest"
	}
	return "newest"
}

// Validate checks the question, names what is wrong with it, and returns it
// with its default limit filled in and its filters in one canonical order.
func (q *Query) Validate() (*Query, error) {
	v := *q
	switch {
	case v.Limit < 0:
		return nil, Invalid("limit", "is negative")
	case v.Limit == 0:
		v.Limit = DefaultLimit
	case v.Limit > MaxLimit:
		return nil, Invalid("limit", "is %d, at most %d", v.Limit, MaxLimit)
	}
	if v.Order > OldestFirst {
		return nil, Invalid("order", "want newest or oldest")
	}
	if !v.From.IsZero() && !v.To.IsZero() && v.To.Before(v.From) {
		return nil, Invalid("to", "is before from")
	}
	for _, bound := range [...]struct {
		name string
		at   *time.Time
	}{{ParamFrom, &v.From}, {ParamTo, &v.To}} {
		if bound.at.IsZero() {
			continue
		}
		if !writableTime(*bound.at) {
			return nil, Invalid(bound.name, "is outside the years 1 to %d", MaxYear)
		}
		*bound.at = ceilTime(*bound.at)
	}
	if v.Text != "" {
		terms, err := ParseText(v.Text)
		if err != nil {
			return nil, err
		}
		if len(terms) == 0 {
			return nil, Invalid("q", "has no letter or digit to search for")
		}
	}
	if len(v.Filters) > MaxFilters {
		return nil, Invalid("filter", "%d filters, at most %d", len(v.Filters), MaxFilters)
	}
	v.Filters = slices.Clone(v.Filters)
	for i := range v.Filters {
		f := &v.Filters[i]
		f.Values = slices.Clone(f.Values)
		if err := f.validate(); err != nil {
			return nil, err
		}
		slices.Sort(f.Values)
		f.Values = slices.Compact(f.Values)
	}
	slices.SortStableFunc(v.Filters, func(a, b Filter) int {
		if c := strings.Compare(a.Field, b.Field); c != 0 {
			return c
		}
		return int(a.Op) - int(b.Op)
	})
	return &v, v.mergeFilters()
}

// mergeFilters leaves at most one filter for each field and operator, so that
// every query can be written as parameters.
func (q *Query) mergeFilters() error {
	merged := q.Filters[:0]
	for _, f := range q.Filters {
		if len(merged) == 0 || merged[len(merged)-1].Field != f.Field || merged[len(merged)-1].Op != f.Op {
			merged = append(merged, f)
			continue
		}
		last := &merged[len(merged)-1]
		switch f.Op {
		case OpNot:
			last.Values = append(last.Values, f.Values...)
			slices.Sort(last.Values)
			last.Values = slices.Compact(last.Values)
			if len(last.Values) > MaxValues {
				return Invalid(clip(f.Field), "%d values, at most %d", len(last.Values), MaxValues)
			}
		case OpIs:
			last.Values = slices.DeleteFunc(last.Values, func(v string) bool { return !slices.Contains(f.Values, v) })
			if len(last.Values) == 0 {
				return Invalid(clip(f.Field), "two conditions contradict each other")
			}
		case OpRange:
			last.Min = tighter(last.Min, f.Min, func(a, b int64) bool { return a > b })
			last.Max = tighter(last.Max, f.Max, func(a, b int64) bool { return a < b })
		default:
			return Invalid(clip(f.Field), "is given twice with the same comparison")
		}
	}
	q.Filters = merged
	return nil
}

// tighter gives the bound that leaves less; nil is no bound.
func tighter(a, b *int64, less func(a, b int64) bool) *int64 {
	if a == nil || b != nil && less(*b, *a) {
		return b
	}
	return a
}

// writableTime reports whether a time, also after [ceilTime], has a form in
// RFC 3339 and a number of microseconds.
func writableTime(t time.Time) bool {
	return t.UTC().Year() >= 1 && ceilTime(t.UTC()).Year() <= MaxYear
}

// ceilTime rounds up to microseconds: both bounds then keep exactly the
// records that they would keep at full resolution, as records hold whole microseconds.
func ceilTime(t time.Time) time.Time {
	c := cutTime(t)
	if c.Before(t) {
		c = c.Add(time.Microsecond)
	}
	return c
}

// Match reports whether the record meets every condition but Open, which needs
// other records, and After. It is the reference that every engine's translation
// is tested against.
func (q *Query) Match(r *Record) bool {
	if !q.From.IsZero() && r.OccurredAt.Before(q.From) || !q.To.IsZero() && !r.OccurredAt.Before(q.To) {
		return false
	}
	for i := range q.Filters {
		if !q.Filters[i].Match(r) {
			return false
		}
	}
	if q.Open && (r.Outcome != Pending || r.ActionID == "") {
		return false
	}
	if q.Text != "" {
		terms, err := ParseText(q.Text)
		return err == nil && MatchText(r, terms)
	}
	return true
}

// Page is one page of an answer.
type Page struct {
	Records []*Record
	// Next is where the next page starts; the zero Position when there is none.
	Next Position
}
