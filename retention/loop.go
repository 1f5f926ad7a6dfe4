package retention

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Loop deletes what is due, by itself once it was started, and when it is
// asked. It is safe for concurrent use. Of the loops of several processes on
// one store one deletes at a time, see [Options.LeaseTTL].
type Loop struct {
	store  Store
	keeper audit.Keeper
	opt    Options

	busy  chan struct{} // holds a token while a run is under way here
	lease lease         // of whoever has the token
	clock clock         // of whoever has the token

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // closed when the loop has ended; made by Start

	mu     sync.Mutex
	closed bool
	state  State
}

// New makes a loop that deletes nothing until it is asked or started. keeper is
// nil where the engine has none: then there are no holds, and every process
// runs. An error names the option that is wrong.
func New(store Store, keeper audit.Keeper, opt Options) (*Loop, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Loop{
		store: store, keeper: keeper, opt: opt, busy: make(chan struct{}, 1),
		lease: lease{keeper: keeper, owner: opt.Owner, ttl: opt.LeaseTTL, now: opt.Now},
		clock: newClock(opt.Now),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Options gives the options with their defaults filled in.
func (l *Loop) Options() Options { return l.opt }

// Start begins to run: at once, and then every Interval. A run that fails is
// counted and logged, and the next one tries again. Starting again changes nothing.
func (l *Loop) Start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return audit.ErrClosed
	case l.done != nil:
		return nil
	}
	l.done = make(chan struct{})
	l.state.Running = true
	go l.loop(l.done)
	return nil
}

// Close ends the loop and waits, as long as ctx allows, until nothing is being
// deleted any more; a batch under way is given up. It may be called again.
func (l *Loop) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed, l.state.Running, l.state.NextRun = true, false, time.Time{}
	done := l.done
	l.mu.Unlock()
	l.cancel()
	ended := done == nil
	if !ended {
		select {
		case <-done:
			ended = true
		case <-ctx.Done():
		}
	}
	if !ended || !l.idle(ctx) {
		return audit.Unavailable("a deletion has not ended yet", ctx.Err())
	}
	return nil
}

// idle waits until nobody deletes.
func (l *Loop) idle(ctx context.Context) bool {
	select {
	case l.busy <- struct{}{}:
	default:
		select {
		case l.busy <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	<-l.busy
	return true
}

// loop runs at once and then every Interval. While another process runs it
// waits for the end of that lease, and takes over if it ran out.
func (l *Loop) loop(done chan<- struct{}) {
	defer close(done)
	next := time.Now()
	var wait time.Duration // for another's lease; 0 is for none
	for {
		due := time.Until(next)
		if wait > 0 {
			due = min(due, wait)
		}
		l.set(func(s *State) { s.NextRun = l.opt.Now().Add(due) })
		if sleep(l.ctx, due) != nil {
			return
		}
		waiting := time.Until(next) > 0
		if !waiting {
			next = next.Add(l.opt.Interval)
		}
		var stepped bool
		if wait, stepped = l.tick(waiting); stepped {
			next = time.Now().Add(l.opt.Interval)
		}
		if late := time.Now(); next.Before(late) {
			next = late // the run took longer than the interval
		}
	}
}

// tick does what a moment of the loop asks for. It gives how long to wait for
// another's lease, 0 for none, or says that the clock was set: then the loop
// does nothing before the clock has gone steadily for an interval.
func (l *Loop) tick(waiting bool) (wait time.Duration, stepped bool) {
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-l.ctx.Done():
		return 0, false
	}
	if step := l.clock.step(); step != 0 {
		l.clock.mark()
		l.set(func(s *State) { s.SkippedClock++ })
		l.opt.Logger.Warn("retention: the clock was set, or the machine slept; nothing is deleted before it has gone steadily for an interval", "by", step, "interval", l.opt.Interval)
		return 0, true
	}
	if !waiting {
		l.clock.mark()
	}
	_, err := l.run(l.ctx, waiting)
	var held *heldError
	if errors.As(err, &held) {
		if !waiting {
			l.set(func(s *State) { s.SkippedLease++ })
			l.opt.Logger.Debug("retention: another process is deleting", "owner", held.Owner, "until", held.Until)
		}
		return max(held.wait, time.Millisecond), false
	}
	return 0, false
}

// RunNow runs now, and gives the account. ErrConflict: a run is under way,
// here or elsewhere, or the clock was set since the last run, and whether it is
// right is for the caller to say, by asking again.
func (l *Loop) RunNow(ctx context.Context) (*Run, error) {
	ctx, end, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if step := l.clock.step(); step != 0 {
		l.clock.mark()
		return nil, &audit.Error{Code: audit.CodeConflict, Message: "the clock was set by " + step.Round(time.Second).String() + " since the last look, or the machine slept: nothing was deleted; ask again if the clock is right"}
	}
	return l.run(ctx, false)
}

// enter takes the token for a caller. The context ends with the loop's, too.
func (l *Loop) enter(ctx context.Context) (_ context.Context, end func(), err error) {
	if l.ctx.Err() != nil {
		return nil, nil, audit.ErrClosed
	}
	select {
	case l.busy <- struct{}{}:
	default:
		return nil, nil, &audit.Error{Code: audit.CodeConflict, Message: "a deletion is under way already"}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel(); <-l.busy }, nil
}
