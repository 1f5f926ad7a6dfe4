package annals

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Page is one page of an answer. Next is the cursor of the page after it, ""
// at the end.
type Page struct {
	Records []*audit.Record `json:"records"`
	Next    string          `json:"next_cursor,omitempty"`
}

// Query answers one page of a question. cursor is "" for the first page and
// Page.Next of the page before for any other; it fits the same question only,
// with any limit. A wrong question or cursor is ErrInvalid and names the
// parameter; one that the engine cannot answer is ErrUnsupported.
func (t *Trail) Query(ctx context.Context, q *audit.Query, cursor string) (*Page, error) {
	v, err := t.check(q)
	if err != nil {
		return nil, err
	}
	if cursor != "" {
		key, err := t.secret.get()
		if err != nil {
			return nil, err
		}
		if v.After, err = audit.OpenCursor(key, v, cursor); err != nil {
			return nil, err
		}
	}
	page, err := t.page(ctx, v)
	if err != nil {
		return nil, err
	}
	out := &Page{Records: page.Records}
	if out.Records == nil {
		out.Records = []*audit.Record{}
	}
	if !page.Next.IsZero() {
		key, err := t.secret.get()
		if err != nil {
			return nil, err
		}
		out.Next = audit.SealCursor(key, v, page.Next)
	}
	return out, nil
}

func (t *Trail) page(ctx context.Context, v *audit.Query) (page *audit.Page, err error) {
	done := t.observe(ctx, "query")
	defer func() {
		if page != nil {
			done(len(page.Records), err)
		} else {
			done(0, err)
		}
	}()
	return t.store.Query(ctx, v)
}

// check validates a question and refuses what the engine cannot answer.
func (t *Trail) check(q *audit.Query) (*audit.Query, error) {
	v, err := q.Validate()
	if err != nil {
		return nil, err
	}
	if v.Text != "" && !t.caps.Text {
		return nil, &audit.Error{Code: audit.CodeUnsupported, Field: audit.ParamText, Message: "the engine " + t.caps.Engine + " has no full text search"}
	}
	return v, nil
}

// Get gives one record, or ErrNotFound.
func (t *Trail) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	done := t.observe(ctx, "get")
	r, err := t.store.Get(ctx, ref)
	done(1, err)
	return r, err
}

// Find gives the record with the id, which may be the sender's own. Where
// scope is nil and several tenants have the id it asks for the tenant.
func (t *Trail) Find(ctx context.Context, id string, scope *audit.Scope) (*audit.Record, error) {
	rid, _, err := audit.IDFrom(id)
	if err != nil {
		return nil, err
	}
	if scope != nil {
		return t.Get(ctx, audit.Ref{Namespace: scope.Namespace, Tenant: scope.Tenant, ID: rid})
	}
	v, err := (&audit.Query{Filters: []audit.Filter{audit.Is("id", rid.String())}, Limit: 2}).Validate()
	if err != nil {
		return nil, err
	}
	page, err := t.page(ctx, v)
	switch {
	case err != nil:
		return nil, err
	case len(page.Records) == 0:
		return nil, audit.ErrNotFound
	case len(page.Records) > 1:
		return nil, audit.Invalid("tenant", "several tenants have a record with this id: name the namespace and tenant")
	}
	return page.Records[0], nil
}

// GetAction gives the newest record of an action. An intent never hides its
// outcome: it is given only while there is no other. scope nil looks in every tenant.
func (t *Trail) GetAction(ctx context.Context, actionID string, scope *audit.Scope) (*audit.Record, error) {
	if actionID == "" {
		return nil, audit.Invalid("action_id", "is empty")
	}
	filters := []audit.Filter{audit.Is("action_id", actionID)}
	if scope != nil {
		filters = append(filters, audit.Is("namespace", scope.Namespace), audit.Is("tenant", scope.Tenant))
	}
	for _, phase := range []audit.Filter{audit.Not("outcome", string(audit.Pending)), audit.Is("outcome", string(audit.Pending))} {
		v, err := (&audit.Query{Filters: append(filters[:len(filters):len(filters)], phase), Limit: 1}).Validate()
		if err != nil {
			return nil, err
		}
		page, err := t.page(ctx, v)
		if err != nil {
			return nil, err
		}
		if len(page.Records) > 0 {
			return page.Records[0], nil
		}
	}
	return nil, audit.ErrNotFound
}

// Export calls fn with every record that the question selects, in its order, in
// constant memory; Limit is ignored. The record is fn's only until it returns.
func (t *Trail) Export(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	unlimited := *q
	unlimited.Limit = 0
	v, err := t.check(&unlimited)
	if err != nil {
		return err
	}
	done := t.observe(ctx, "scan")
	n := 0
	err = scanner{t}.Scan(ctx, v, func(r *audit.Record) error {
		n++
		return fn(r)
	})
	done(n, err)
	return err
}

// Count counts what the question selects, whatever its limit.
func (t *Trail) Count(ctx context.Context, q *audit.Query) (n int64, err error) {
	v, err := t.check(q)
	if err != nil {
		return 0, err
	}
	done := t.observe(ctx, "count")
	defer func() { done(int(n), err) }()
	if c, ok := audit.As[audit.Counter](t.store); ok {
		return c.Count(ctx, v)
	}
	err = scanner{t}.Scan(ctx, v, func(*audit.Record) error {
		n++
		return nil
	})
	return n, err
}

// scanner walks by the store's own Scanner, or else page after page.
type scanner struct{ t *Trail }

func (s scanner) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	if native, ok := audit.As[audit.Scanner](s.t.store); ok {
		return native.Scan(ctx, q, fn)
	}
	v := *q
	v.Limit = audit.MaxLimit
	for {
		page, err := s.t.store.Query(ctx, &v)
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if err := fn(r); err != nil {
				return err
			}
		}
		if page.Next.IsZero() {
			return nil
		}
		v.After = page.Next
	}
}
