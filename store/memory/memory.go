// Package memory is the reference engine: every answer comes straight from the
// reference functions of package audit (Query.Match, Cut.Selects, SameContent).
// It is meant for tests and for trying things out. Nothing outlives the process.
package memory

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Options configure a store; the zero value is ready to use.
type Options struct {
	Now func() time.Time // stamps the anchors that retention leaves; nil is time.Now
}

// Store keeps records in memory. It is safe for concurrent use. Readers work
// on a snapshot, so that a long walk holds nobody up and sees one state.
type Store struct {
	now func() time.Time

	mu     sync.RWMutex
	closed bool
	byRef  map[audit.Ref]*audit.Record
	order  index
	chains map[chain.Key]*links

	documents map[string]document
	saves     int64 // of documents so far: the version of the last one
}

// links is one chain: its head, and the records that are still there by Sequence.
type links struct {
	head chain.Head
	recs []*audit.Record
}

var (
	_ audit.Store    = (*Store)(nil)
	_ audit.Scanner  = (*Store)(nil)
	_ audit.Counter  = (*Store)(nil)
	_ audit.Keeper   = (*Store)(nil)
	_ audit.Pinger   = (*Store)(nil)
	_ audit.Stater   = (*Store)(nil)
	_ chain.Appender = (*Store)(nil)
	_ chain.Reader   = (*Store)(nil)
)

// New gives an empty store.
func New(opts Options) *Store {
	s := &Store{
		now:       opts.Now,
		byRef:     map[audit.Ref]*audit.Record{},
		chains:    map[chain.Key]*links{},
		documents: map[string]document{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Capabilities implements audit.Store.
func (s *Store) Capabilities() audit.Capabilities {
	return audit.Capabilities{Engine: "memory", Text: true, BatchSize: 1000}
}

// Close implements audit.Store. It forgets everything, and may be called again.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.byRef, s.order, s.chains, s.documents = nil, nil, nil, nil
	return nil
}

// Ping implements audit.Pinger.
func (s *Store) Ping(ctx context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ready(ctx)
}

// State implements audit.Stater.
func (s *Store) State(ctx context.Context) (map[string]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return map[string]string{
		"records": strconv.Itoa(len(s.order)),
		"chains":  strconv.Itoa(len(s.chains)),
	}, nil
}

// ready says why a call cannot go on. The caller holds the lock.
func (s *Store) ready(ctx context.Context) error {
	if s.closed {
		return audit.ErrClosed
	}
	return interrupted(ctx)
}

func interrupted(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return audit.Unavailable("the call was given up", err)
	}
	return nil
}

// snapshot gives the records as they stand. The slice and the records in it
// never change again.
func (s *Store) snapshot(ctx context.Context) (index, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.order, s.ready(ctx)
}
