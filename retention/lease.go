package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/annals-dev/annals/audit"
)

// leaseKey names the document of the lease. It is there while a run is under way.
const leaseKey = "retention.lease"

// grant is the document: who runs, and until when unless it is renewed.
type grant struct {
	Owner string        `json:"owner"`
	Until time.Time     `json:"until"`
	TTL   time.Duration `json:"ttl"` // nanoseconds from one renewal to Until
}

// lease lets one process at a time run. A run takes it, renews it before every
// batch and gives it back at its end; that of a process that died in a run runs
// out. It has run out when its time has passed by the wall clock here, or when
// it was not renewed for a whole LeaseTTL by the monotonic clock here: so
// neither a clock that was set nor one that differs from the holder's keeps a
// dead process's lease alive. Where a clock that is ahead ends a lease early,
// its holder notices at its next batch and stops; two that delete at the same
// time do no harm, only the same work.
type lease struct {
	keeper audit.Keeper // nil: the engine keeps no documents, and nobody asks for a lease
	owner  string
	ttl    time.Duration
	now    func() time.Time

	version int64 // of the grant that this process has
	fresh   bool  // it was taken and not renewed yet
	watch   watched
}

// watched remembers since when, by the monotonic clock, a grant has not changed.
type watched struct {
	version int64
	since   time.Time
}

// heldError says that another process runs.
type heldError struct {
	grant
	wait time.Duration // until its lease may have run out
}

func (e *heldError) Error() string {
	return fmt.Sprintf("%s is deleting, with a lease until %s", e.Owner, audit.FormatTime(e.Until))
}

// Unwrap makes it an ErrConflict for callers.
func (e *heldError) Unwrap() error {
	return &audit.Error{Code: audit.CodeConflict, Message: "another process is deleting: " + e.Error()}
}

// errReturned says that the lease that was waited for was given back.
var errReturned = errors.New("the lease was given back")

// errLost says that another process has taken the lease over.
var errLost error = &audit.Error{Code: audit.CodeConflict, Message: "another process has taken the lease over: this one stopped for longer than the lease lasts, or a clock was set"}

// take takes the lease, or says who has it by a *heldError. Where waiting is
// set it takes the place of one that has run out only, and gives errReturned
// when there is none any more.
func (l *lease) take(ctx context.Context, waiting bool) error {
	if l.keeper == nil {
		return nil
	}
	g, version, err := loadGrant(ctx, l.keeper)
	switch {
	case errors.Is(err, audit.ErrNotFound) && waiting:
		return errReturned
	case err != nil && !errors.Is(err, audit.ErrNotFound):
		return err
	case version != 0 && g.Owner != l.owner:
		if left := min(l.watch.left(g, version), g.Until.Sub(l.now())); left > 0 {
			return &heldError{g, left}
		}
	}
	err = l.save(ctx, version)
	l.fresh = err == nil
	if errors.Is(err, audit.ErrConflict) { // another one was faster
		return &heldError{grant{"another process", l.now().Add(l.ttl), l.ttl}, l.ttl}
	}
	return err
}

// left says how long a grant may still be good, as far as it was watched; 0 is run out.
func (w *watched) left(g grant, version int64) time.Duration {
	if w.version != version {
		*w = watched{version, time.Now()}
	}
	return max(g.TTL-time.Since(w.since), 0)
}

// renew makes the lease last from now on; one that was only just taken does so already.
func (l *lease) renew(ctx context.Context) error {
	if l.keeper == nil || l.fresh {
		l.fresh = false
		return nil
	}
	err := l.save(ctx, l.version)
	if errors.Is(err, audit.ErrConflict) {
		return errLost
	}
	return err
}

// save writes a grant of this process over the one of the version.
func (l *lease) save(ctx context.Context, version int64) error {
	doc, err := json.Marshal(grant{l.owner, audit.FromMicros(l.now().Add(l.ttl).UnixMicro()), l.ttl})
	if err != nil {
		return &audit.Error{Code: audit.CodeInternal, Message: "the lease cannot be written", Cause: err}
	}
	if err := l.keeper.Save(ctx, leaseKey, doc, version); err != nil {
		return err
	}
	g, version, err := loadGrant(ctx, l.keeper)
	if err != nil {
		return err
	}
	if g.Owner != l.owner {
		return audit.ErrMoved
	}
	l.version = version
	return nil
}

// giveBack lets the next one run at once.
func (l *lease) giveBack(ctx context.Context) error {
	if l.keeper == nil {
		return nil
	}
	err := l.keeper.Save(ctx, leaseKey, nil, l.version)
	if errors.Is(err, audit.ErrConflict) {
		return nil // it was lost before
	}
	return err
}

// loadGrant gives the grant in the store; one that cannot be read counts as run out.
func loadGrant(ctx context.Context, k audit.Keeper) (g grant, version int64, err error) {
	doc, version, err := k.Load(ctx, leaseKey)
	if err != nil {
		return g, 0, err
	}
	if json.Unmarshal(doc, &g) != nil {
		g = grant{}
	}
	return g, version, nil
}

const (
	settlePoll = 20 * time.Millisecond // how often a change of the lease is looked for
	settleSkew = time.Hour             // by how much the clocks of two processes may differ
)

// settle waits until the batch under way, if there is one, has ended: until the
// lease was renewed, given back, taken over or has run out. What was saved
// before is then heeded by every deletion that is still to come.
func settle(ctx context.Context, k audit.Keeper, now func() time.Time) error {
	var first int64
	var w watched
	for {
		g, version, err := loadGrant(ctx, k)
		switch {
		case errors.Is(err, audit.ErrNotFound):
			return nil
		case err != nil:
			return err
		case first == 0:
			first = version
		}
		if version != first || w.left(g, version) == 0 || now().Sub(g.Until) > settleSkew {
			return nil
		}
		if err := sleep(ctx, settlePoll); err != nil {
			return audit.Unavailable("a deletion that began before has not ended yet", err)
		}
	}
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
