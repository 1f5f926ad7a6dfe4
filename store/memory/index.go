package memory

import (
	"slices"
	"sort"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// index holds records in the total order, oldest first. An index that was
// handed out never changes: newer ones share only memory beyond its end.
type index []*audit.Record

// compare extends the order of positions by the scope, as an id may occur at
// the same time in several scopes.
func compare(a, b *audit.Record) int {
	if c := a.Position().Compare(b.Position()); c != 0 {
		return c
	}
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Tenant, b.Tenant)
}

// insert adds records, which it sorts in place.
func (x index) insert(recs []*audit.Record) index {
	slices.SortFunc(recs, compare)
	if len(recs) == 0 || len(x) == 0 || compare(x[len(x)-1], recs[0]) < 0 {
		return append(x, recs...)
	}
	merged := make(index, 0, len(x)+len(recs)+len(x)/8)
	for _, r := range recs {
		n := sort.Search(len(x), func(i int) bool { return compare(x[i], r) > 0 })
		merged = append(append(merged, x[:n]...), r)
		x = x[n:]
	}
	return append(merged, x...)
}

// without gives an index that lacks the records in gone.
func (x index) without(gone map[*audit.Record]bool) index {
	rest := make(index, 0, len(x))
	for _, r := range x {
		if !gone[r] {
			rest = append(rest, r)
		}
	}
	return rest
}

// narrow cuts the index to the window of the question and to what lies after
// its cursor.
func (x index) narrow(q *audit.Query) index {
	if !q.To.IsZero() {
		x = x[:sort.Search(len(x), func(i int) bool { return !x[i].OccurredAt.Before(q.To) })]
	}
	if !q.From.IsZero() {
		x = x[sort.Search(len(x), func(i int) bool { return !x[i].OccurredAt.Before(q.From) }):]
	}
	switch {
	case q.After.IsZero():
	case q.Order == audit.OldestFirst:
		x = x[sort.Search(len(x), func(i int) bool { return x[i].Position().Compare(q.After) > 0 }):]
	default:
		x = x[:sort.Search(len(x), func(i int) bool { return x[i].Position().Compare(q.After) >= 0 })]
	}
	return x
}
