package dynamodb

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// lag is how late an index may show what the table holds: AWS says "typically
// within a fraction of a second" and promises nothing.
const lag = time.Second

// lag is that of the store's own readings.
func (s *Store) lag() time.Duration { return min(lag, s.opt.refresh) }

// Store keeps records in a table of DynamoDB. It is safe for concurrent use, and
// any number of processes may have the same table open.
type Store struct {
	opt    Options
	client *dynamodb.Client
	http   *http.Transport // nil where a test has its own

	life context.Context // ends with Close
	end  context.CancelCauseFunc
	gate sync.RWMutex // held for reading by calls, so that Close can wait for them
	over atomic.Bool
	work sync.WaitGroup // the goroutines of lanes

	scopes   scopes
	leads    leads
	lanes    intake.Lanes
	holds    holds
	accounts accounts
}

var (
	_ audit.Store    = (*Store)(nil)
	_ audit.Scanner  = (*Store)(nil)
	_ audit.Counter  = (*Store)(nil)
	_ audit.Keeper   = (*Store)(nil)
	_ audit.Pinger   = (*Store)(nil)
	_ audit.Stater   = (*Store)(nil)
	_ audit.Migrator = (*Store)(nil)
	_ chain.Appender = (*Store)(nil)
	_ chain.Reader   = (*Store)(nil)
)

// Capabilities implements audit.Store. Get, the documents of audit.Keeper and the
// heads of chains are strongly consistent; questions read indexes, which lag.
func (s *Store) Capabilities() audit.Capabilities {
	return audit.Capabilities{Engine: "dynamodb", Durable: true, Lag: lag, RecordBytes: recordBytes, BatchSize: 500}
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
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
	return nil
}

func (s *Store) closed() bool { return s.over.Load() }

// begin starts a call: its context ends with the store too, and done ends it.
func (s *Store) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	if s.closed() {
		return nil, nil, audit.ErrClosed
	}
	if err := interrupted(ctx); err != nil {
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

// each runs f for every number below n, as many at a time as Options.Parallel
// allows, and gives the first error, which stops the rest.
func (s *Store) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if n == 1 {
		return f(ctx, 0)
	}
	within, stop := context.WithCancel(ctx)
	defer stop()
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		once    sync.Once
		first   error
	)
	for range min(n, s.opt.Parallel) {
		workers.Go(func() {
			for within.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(within, i); err != nil {
					once.Do(func() { first = err; stop() })
				}
			}
		})
	}
	workers.Wait()
	if first != nil {
		return first
	}
	return s.interrupted(ctx)
}

// interrupted says that the call cannot go on.
func (s *Store) interrupted(ctx context.Context) error {
	if s.closed() {
		return audit.ErrClosed
	}
	return interrupted(ctx)
}
