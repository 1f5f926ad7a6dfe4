package dynamodb

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Query implements audit.Store. Records of different scopes may share one
// position; a page then holds all of them, even past the limit, so that the
// position where it ends leaves nothing out.
func (s *Store) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	limit := q.Limit
	if limit <= 0 {
		limit = audit.DefaultLimit
	}
	src, err := s.open(ctx, q, limit)
	if err != nil {
		return nil, err
	}
	page := &audit.Page{}
	for {
		r, err := src.next(ctx)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return page, nil
		}
		if n := len(page.Records); n >= limit {
			if last := page.Records[n-1].Position(); r.Position() != last {
				page.Next = last
				return page, nil
			}
		}
		page.Records = append(page.Records, r)
	}
}

// open begins to answer a question; want is how many records are likely to be
// taken, 0 is all.
func (s *Store) open(ctx context.Context, q *audit.Query, want int) (source, error) {
	if q.Text != "" {
		return nil, audit.Unsupported("DynamoDB has no full text search: filter by fields, or use another engine")
	}
	sources, err := s.plan(ctx, q, want)
	if err != nil {
		return nil, err
	}
	var src source
	if src, err = s.merge(ctx, q, sources); err != nil {
		return nil, err
	}
	if q.Open {
		src = &openOnly{s: s, src: src, batch: openBatch(want)}
	}
	return src, nil
}

// Scan implements audit.Scanner: every scope is read page by page, and of each
// scope one page is held. It starts after q.After.
func (s *Store) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	src, err := s.open(ctx, q, 0)
	if err != nil {
		return err
	}
	for {
		if err := s.interrupted(ctx); err != nil {
			return err
		}
		r, err := src.next(ctx)
		if err != nil || r == nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
}
