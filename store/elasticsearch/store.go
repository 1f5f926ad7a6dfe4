package elasticsearch

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// Store keeps records in indices of Elasticsearch or OpenSearch. It is safe for
// concurrent use, and any number of processes may have the same indices open.
type Store struct {
	opt    Options
	client *client
	server server

	life context.Context // ends with Close
	end  context.CancelCauseFunc
	gate sync.RWMutex // held for reading by calls, so that Close can wait for them
	over atomic.Bool
	work sync.WaitGroup // goroutines of our own

	room   chan struct{} // as many bulk requests as may be under way
	layout layouts
	lanes  intake.Lanes
	rolled atomic.Int64 // when the size was looked at last, nanoseconds
}

var (
	_ audit.Store        = (*Store)(nil)
	_ audit.Scanner      = (*Store)(nil)
	_ audit.Counter      = (*Store)(nil)
	_ audit.Keeper       = (*Store)(nil)
	_ audit.Pinger       = (*Store)(nil)
	_ audit.Stater       = (*Store)(nil)
	_ audit.Migrator     = (*Store)(nil)
	_ chain.Appender     = (*Store)(nil)
	_ chain.Reader       = (*Store)(nil)
	_ analytics.Analyzer = (*Store)(nil)
)

// Capabilities implements audit.Store. Get, the documents of audit.Keeper, the
// heads of chains and their walks see everything at once; questions see what was
// written after the next refresh.
func (s *Store) Capabilities() audit.Capabilities {
	c := audit.Capabilities{Engine: "elasticsearch", Durable: true, Lag: 2 * s.opt.RefreshInterval, Text: !s.opt.NoFullText, BatchSize: 1000}
	if s.opt.Visible {
		c.Lag = 0
	}
	return c
}

// Close implements audit.Store. Calls under way are cut off and fail with
// ErrClosed; what they had begun may or may not be stored.
func (s *Store) Close() error {
	if s.over.Swap(true) {
		return nil
	}
	s.end(audit.ErrClosed)
	s.gate.Lock() // waits for the calls
	defer s.gate.Unlock()
	s.work.Wait()
	s.client.idle()
	return nil
}

func (s *Store) closed() bool { return s.over.Load() }

// begin starts a call: its context ends with the store too, and done ends it.
func (s *Store) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	if s.closed() {
		return nil, nil, audit.ErrClosed
	}
	if err := s.interrupted(ctx); err != nil {
		return nil, nil, err
	}
	// Never waits: a call within a call would wait for a Close that waits for the outer one.
	if !s.gate.TryRLock() {
		return nil, nil, audit.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(audit.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.gate.RUnlock()
	}, nil
}

// interrupted says that the call cannot go on.
func (s *Store) interrupted(ctx context.Context) error {
	if s.closed() {
		return audit.ErrClosed
	}
	if ctx.Err() != nil {
		return audit.Unavailable("the call was given up", context.Cause(ctx))
	}
	return nil
}

// Refresh makes everything that was written so far visible to questions, which
// otherwise takes as long as Options.RefreshInterval.
func (s *Store) Refresh(ctx context.Context) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return s.refresh(ctx, s.readAlias())
}

func (s *Store) refresh(ctx context.Context, index string) error {
	a, err := s.client.do(ctx, request{method: "POST", path: "/" + index + "/_refresh"})
	if err != nil {
		return err
	}
	if a.status != 200 {
		return failed("refresh an index", a)
	}
	return wholeShards("refresh an index", a.body)
}
