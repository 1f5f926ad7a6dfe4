package sqlite

import (
	"cmp"
	"context"
	"slices"
	"strings"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// selectRow begins the selection of whole records.
const selectRow = " FROM @records r LEFT JOIN @bodies b ON b.n = r.n WHERE "

// Get implements audit.Store.
func (s *Store) Get(ctx context.Context, ref audit.Ref) (rec *audit.Record, err error) {
	err = s.read(ctx, func(v *view) error {
		scope := audit.Scope{Namespace: ref.Namespace, Tenant: ref.Tenant}
		number, known, err := scopeNumber(s, v.conns[0], scope)
		if err != nil || !known {
			return err
		}
		rec, err = stored(s, v.conns[0], number, ref.ID, v.scope)
		return err
	})
	if err == nil && rec == nil {
		err = audit.ErrNotFound
	}
	return rec, err
}

// stored reads a record by its id, nil when there is none.
func stored(s *Store, c *conn, scope int64, id audit.ID, names func(int64) (audit.Scope, error)) (*audit.Record, error) {
	var rec *audit.Record
	var bad error
	found, err := c.one(s.selectByID, func(st *z.Stmt) { rec, bad = decodeNew(st, names) }, id, scope)
	if err != nil || !found {
		return nil, err
	}
	return rec, bad
}

// Query implements audit.Store. Records of several scopes may share a position;
// a page then holds all of them, even past the limit, so that the position
// where it ends leaves nothing out.
func (s *Store) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = audit.DefaultLimit
	}
	page := &audit.Page{}
	err := s.read(ctx, func(v *view) error {
		m, err := v.merge(q, limit+1)
		if err != nil {
			return err
		}
		list, err := m.take(v, limit)
		if err != nil {
			return err
		}
		rest, err := m.best(v)
		if err != nil {
			return err
		}
		page.Records = make([]*audit.Record, 0, len(list))
		for _, f := range list {
			err := v.row(f.n, func(st *z.Stmt) error {
				rec, err := decodeNew(st, v.scope)
				page.Records = append(page.Records, rec)
				return err
			})
			if err != nil {
				return err
			}
		}
		if n := len(page.Records); n > 0 && rest != nil {
			page.Next = page.Records[n-1].Position()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	orderTies(page.Records, q.Order)
	return page, nil
}

// row calls fn on the row of a record, which may be gone.
func (v *view) row(n int64, fn func(*z.Stmt) error) error {
	var bad error
	_, err := v.conns[0].one(v.s.selectByN, func(st *z.Stmt) { bad = fn(st) }, n)
	if err != nil {
		return err
	}
	return bad
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
			slices.SortFunc(recs[i:end], func(a, b *audit.Record) int { return compareScopes(a, b, order) })
		}
		i = end
	}
}

func sortScopes(recs []audit.Record, order audit.Order) {
	slices.SortFunc(recs, func(a, b audit.Record) int { return compareScopes(&a, &b, order) })
}

func compareScopes(a, b *audit.Record, order audit.Order) int {
	c := cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Tenant, b.Tenant))
	if order == audit.NewestFirst {
		return -c
	}
	return c
}
