package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// Query implements audit.Store. Records of several scopes may share a position;
// a page then holds all of them, even past the limit, so that the position
// where it ends leaves nothing out.
func (s *Store) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = audit.DefaultLimit
	}
	page := &audit.Page{}
	err := s.ask(ctx, func(a *ask) error {
		p, err := a.prepare(q)
		if err != nil || p.none {
			return err
		}
		hits, err := a.find(p, startOf(q), limit+1)
		if err != nil {
			return err
		}
		end := endOfPage(hits, limit)
		rest := len(hits) > end
		if !rest && end > limit { // all that was found beyond the limit shares the last position
			more, err := a.find(p, hits[end-1].place, 1)
			if err != nil {
				return err
			}
			rest = len(more) > 0
		}
		hits = hits[:end]
		if err := a.fetch(hits); err != nil {
			return err
		}
		if err := a.name(hits); err != nil {
			return err
		}
		page.Records = make([]*audit.Record, len(hits))
		for i := range hits {
			page.Records[i] = hits[i].rec
		}
		if rest {
			page.Next = page.Records[end-1].Position()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	orderTies(page.Records, q.Order)
	return page, nil
}

// startOf gives the place that everything the question selects comes after.
func startOf(q *audit.Query) place {
	switch {
	case !q.After.IsZero():
		return place{at: audit.Micros(q.After.OccurredAt), id: q.After.ID}
	case q.Order == audit.OldestFirst:
		return place{at: earliest - 1}
	}
	return place{at: latest + 1}
}

// endOfPage gives where a page of n ends that does not part those which share a position.
func endOfPage(hits []hit, n int) int {
	if len(hits) <= n {
		return len(hits)
	}
	for n < len(hits) && hits[n].compare(&hits[n-1].place) == 0 {
		n++
	}
	return n
}

// orderTies brings records that share a position into the order of their
// scopes, so that two stores with the same records give the same list.
func orderTies(recs []*audit.Record, order audit.Order) {
	for i := 0; i < len(recs); {
		end := i + 1
		for end < len(recs) && recs[end].Position().Compare(recs[i].Position()) == 0 {
			end++
		}
		if end > i+1 {
			slices.SortFunc(recs[i:end], func(a, b *audit.Record) int {
				c := cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Tenant, b.Tenant))
				if order == audit.NewestFirst {
					return -c
				}
				return c
			})
		}
		i = end
	}
}
