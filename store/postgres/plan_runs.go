package postgres

import (
	"slices"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

// byRuns gives the way by the block range index that serves a filter, the one
// of the most selective columns first.
func (p *plan) byRuns() (lead, bool) {
	for _, x := range runIndexes {
		l := lead{way: byRuns, runs: x}
		for i := range p.filters {
			if x.serves(&p.filters[i]) {
				l.plain = append(l.plain, i)
			}
		}
		if l.plain != nil {
			return l, true
		}
	}
	return lead{}, false
}

// serves reports whether the index narrows what the filter can match. Several
// values are looked up one by one, each through the whole index.
func (x *runs) serves(f *audit.Filter) bool {
	d, ok := f.Dimension()
	if !ok || !slices.Contains(x.columns, column(d)) {
		return false
	}
	if x.distinct > 0 {
		if f.Op != audit.OpIs || len(f.Values) > maxKeys || hasEmpty(f.Values) {
			return false
		}
		return d.Kind == audit.Text || !slices.Contains(f.Values, strconv.Itoa(0))
	}
	// An absent number is 0 and in no summary.
	return f.Op == audit.OpRange && (d.Kind == audit.Instant || f.Min != nil && *f.Min > 0 || f.Max != nil && *f.Max < 0)
}
