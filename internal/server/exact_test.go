package server_test

import (
	"context"
	"testing"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// exactSpy is an engine that remembers whether it was asked not to estimate.
type exactSpy struct {
	audit.Store
	analytics.Analyzer
	exact bool
}

func (s *exactSpy) Unwrap() audit.Store { return s.Store }

func (s *exactSpy) Overview(ctx context.Context, _ *audit.Query) (*analytics.Overview, error) {
	s.exact = analytics.Exact(ctx)
	return new(analytics.OverviewSums).Overview(), nil
}

func TestExactReachesTheEngine(t *testing.T) {
	spy := &exactSpy{}
	r := newRig(t, with{store: func(s audit.Store) audit.Store { spy.Store = s; return spy }})
	for query, want := range map[string]bool{"": false, "?exact=false": false, "?exact=true": true} {
		if a := r.get("/v1/stats/overview" + query); a.status != 200 || spy.exact != want {
			t.Errorf("%q: status %d, exact is %v", query, a.status, spy.exact)
		}
	}
}
