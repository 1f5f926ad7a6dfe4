package copying

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// scan walks by the store's own Scanner, or else page after page.
func scan(ctx context.Context, s audit.Store, q *audit.Query, fn func(*audit.Record) error) error {
	if native, ok := audit.As[audit.Scanner](s); ok {
		return native.Scan(ctx, q, fn)
	}
	page := *q
	for {
		p, err := s.Query(ctx, &page)
		if err != nil {
			return err
		}
		for _, r := range p.Records {
			if err := fn(r); err != nil {
				return err
			}
		}
		if p.Next.IsZero() {
			return nil
		}
		page.After = p.Next
	}
}

// count counts what the filters select.
func count(ctx context.Context, s audit.Store, filters ...audit.Filter) (n int64, err error) {
	q, err := (&audit.Query{Limit: audit.MaxLimit, Filters: filters}).Validate()
	if err != nil {
		return 0, err
	}
	if native, ok := audit.As[audit.Counter](s); ok {
		return native.Count(ctx, q)
	}
	err = scan(ctx, s, q, func(*audit.Record) error { n++; return nil })
	return n, err
}

// outsideOf counts the records of a scope that are outside any chain.
func outsideOf(ctx context.Context, s audit.Store, scope audit.Scope) (int64, error) {
	if r, ok := audit.As[chain.Reader](s); ok {
		return r.Unchained(ctx, scope)
	}
	return count(ctx, s, audit.Is("namespace", scope.Namespace), audit.Is("tenant", scope.Tenant), audit.Is("sequence", "0"))
}

// chainOf counts the records of a chain up to a sequence.
func chainOf(ctx context.Context, s audit.Store, h chain.Head) (int64, error) {
	first := int64(1)
	return count(ctx, s, audit.Is("namespace", h.Namespace), audit.Is("tenant", h.Tenant), audit.Is("segment", h.Segment),
		audit.Filter{Field: "sequence", Op: audit.OpRange, Min: &first, Max: &h.Sequence})
}
