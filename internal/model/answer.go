package model

import (
	"slices"

	"github.com/annals-dev/annals/audit"
)

// Clone gives a copy that shares no memory with r.
func Clone(r *audit.Record) *audit.Record {
	c := *r
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			f.SetBytes(&c, slices.Clone(f.Bytes(r)))
		}
	}
	return &c
}

// Answer gives what the question selects from the records, in its order: the
// reference of package audit, and besides what Open needs of other records.
// Limit and After are ignored.
func Answer(recs []*audit.Record, q *audit.Query) []*audit.Record {
	type action struct {
		audit.Scope
		id string
	}
	ended := map[action]bool{}
	for _, r := range recs {
		if r.ActionID != "" && r.Outcome != audit.Pending {
			ended[action{r.Scope(), r.ActionID}] = true
		}
	}
	var out []*audit.Record
	for _, r := range recs {
		if q.Match(r) && !(q.Open && ended[action{r.Scope(), r.ActionID}]) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b *audit.Record) int {
		if q.Order == audit.NewestFirst {
			a, b = b, a
		}
		return a.Position().Compare(b.Position())
	})
	return out
}
