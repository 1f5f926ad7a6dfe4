package memory

import (
	"context"
	"iter"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

// checkEvery is how many records are looked at between two looks at the context.
const checkEvery = 1024

// Get implements audit.Store.
func (s *Store) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	r, ok := s.byRef[ref]
	if !ok {
		return nil, audit.ErrNotFound
	}
	return intake.Clone(r), nil
}

// Query implements audit.Store. Records of different scopes may share one
// position; a page then holds all of them, even past the limit, so that the
// position where it ends leaves nothing out.
func (s *Store) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = audit.DefaultLimit
	}
	page := &audit.Page{}
	for r, err := range s.selected(ctx, q) {
		if err != nil {
			return nil, err
		}
		if n := len(page.Records); n >= limit {
			if last := page.Records[n-1].Position(); r.Position().Compare(last) != 0 {
				page.Next = last
				break
			}
		}
		page.Records = append(page.Records, intake.Clone(r))
	}
	return page, nil
}

// Scan implements audit.Scanner over one snapshot; it starts after q.After.
func (s *Store) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	var room scratch
	for r, err := range s.selected(ctx, q) {
		if err != nil {
			return err
		}
		if err := fn(room.copy(r)); err != nil {
			return err
		}
	}
	return nil
}

// Count implements audit.Counter.
func (s *Store) Count(ctx context.Context, q *audit.Query) (int64, error) {
	all := *q
	all.After = audit.Position{}
	var n int64
	for _, err := range s.selected(ctx, &all) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// selected gives the store's own records that the question selects after its
// cursor, in its order. An error ends it.
func (s *Store) selected(ctx context.Context, q *audit.Query) iter.Seq2[*audit.Record, error] {
	return func(yield func(*audit.Record, error) bool) {
		all, err := s.snapshot(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		match, err := matcher(q, all)
		if err != nil {
			yield(nil, err)
			return
		}
		some := all.narrow(q)
		for i := range some {
			if i%checkEvery == 0 {
				if err := interrupted(ctx); err != nil {
					yield(nil, err)
					return
				}
			}
			r := some[i]
			if q.Order == audit.NewestFirst {
				r = some[len(some)-1-i]
			}
			if match(r) && !yield(r, nil) {
				return
			}
		}
	}
}

// matcher is Query.Match with the search text read once and with the part of
// Open that needs the other records.
func matcher(q *audit.Query, all index) (func(*audit.Record) bool, error) {
	plain := *q
	plain.Text = ""
	terms, err := audit.ParseText(q.Text)
	if err != nil {
		return nil, err
	}
	var ended map[action]bool
	if q.Open {
		ended = endedActions(all)
	}
	return func(r *audit.Record) bool {
		return plain.Match(r) &&
			(q.Text == "" || audit.MatchText(r, terms)) &&
			(!q.Open || !ended[actionOf(r)])
	}, nil
}

// action names an action of one scope.
type action struct {
	audit.Scope
	id string
}

func actionOf(r *audit.Record) action { return action{r.Scope(), r.ActionID} }

// endedActions gives the actions that have an outcome.
func endedActions(all index) map[action]bool {
	ended := map[action]bool{}
	for _, r := range all {
		if r.ActionID != "" && r.Outcome != audit.Pending {
			ended[actionOf(r)] = true
		}
	}
	return ended
}
