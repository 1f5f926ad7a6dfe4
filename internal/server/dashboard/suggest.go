package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

const (
	suggestMost    = 200              // values offered for a box
	suggestKeep    = time.Minute      // how long they are offered without asking anew
	suggestRest    = 10 * time.Minute // how long a column is left alone after it failed
	suggestTimeout = time.Second      // a page waits no longer for them
)

// suggestions remembers the values that occur in the columns of the form's
// boxes. They help people who type; a page without them is as good. They are of
// the whole store: once readers are limited to tenants, so must these be.
type suggestions struct {
	mu    sync.Mutex
	known map[string]suggestion
}

type suggestion struct {
	values []string
	until  time.Time
}

// begin asks for the values of every box that offers some.
func (s *suggestions) begin(b *board) map[string]asked[[]string] {
	out := map[string]asked[[]string]{}
	for _, in := range inputs {
		if in.suggest {
			out[in.name] = ask(b, "values of "+in.name, func(ctx context.Context) ([]string, error) { return s.get(ctx, b, in.name), nil })
		}
	}
	return out
}

func (s *suggestions) get(ctx context.Context, b *board, column string) []string {
	now := b.d.opt.Now()
	s.mu.Lock()
	known, ok := s.known[column]
	s.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.values
	}
	ctx, cancel := context.WithTimeout(ctx, suggestTimeout)
	defer cancel()
	values, err := b.d.trail.Distinct(ctx, &audit.Query{}, column)
	next := suggestion{until: now.Add(suggestKeep)}
	switch {
	case err != nil && b.r.Context().Err() != nil:
		return known.values // the reader has gone; that says nothing of the column
	case err != nil:
		// Too many values, or too slow.
		next.values, next.until = known.values, now.Add(suggestRest)
	default:
		for _, v := range values {
			// What cannot be shown as it is cannot be typed either.
			if len(next.values) < suggestMost && len(v) <= 200 && visible(v) == v {
				next.values = append(next.values, v)
			}
		}
	}
	s.mu.Lock()
	if s.known == nil {
		s.known = map[string]suggestion{}
	}
	s.known[column] = next
	s.mu.Unlock()
	return next.values
}
