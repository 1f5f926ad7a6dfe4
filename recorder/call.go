package recorder

import (
	"context"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// call is a caller that waits for the store's answers to its events. The
// batcher goes on filling it in when the caller has long gone.
//
// A load of the spool is a call too, for which nobody waits but the spool.
type call struct {
	load *load // not nil: only its count is kept

	mu       sync.Mutex
	receipts []audit.Receipt // one for each item; an id without a status while it is open
	left     int
	done     chan struct{}
}

func newCall(n int) *call {
	return &call{receipts: make([]audit.Receipt, n), left: n, done: make(chan struct{})}
}

// waits reports whether a caller waits for the store.
func (c *call) waits() bool { return c != nil && c.load == nil }

// spooled reports whether the call brings events out of the spool.
func (c *call) spooled() bool { return c != nil && c.load != nil }

// settle files the answer to one item.
func (c *call) settle(index int32, r audit.Receipt) {
	if c.load != nil {
		c.load.settle()
		return
	}
	c.mu.Lock()
	c.receipts[index] = r
	c.left--
	if c.left == 0 {
		close(c.done)
	}
	c.mu.Unlock()
}

// wait gives the receipts when all answers are there, or the caller's patience
// has ended.
func (c *call) wait(ctx context.Context, p *patience, frozen <-chan struct{}) []audit.Receipt {
	var why error
	select {
	case <-c.done:
		return c.receipts
	default:
	}
	select {
	case <-c.done:
		return c.receipts
	case <-ctx.Done():
		why = ctx.Err()
	case <-p.end():
		why = context.DeadlineExceeded
	case <-frozen:
		why = audit.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := append([]audit.Receipt(nil), c.receipts...)
	for i := range out {
		if out[i].Status == "" {
			out[i] = audit.Receipt{ID: out[i].ID, Status: audit.StatusQueued, Reason: ReasonOpen, Err: &audit.Error{
				Code: audit.CodeUnavailable, Message: "the store has not answered yet: the event may still be stored", Cause: why,
			}}
		}
	}
	return out
}

// patience is how long one call waits, for room and for the store together.
// Its timer starts when it is first needed, which for most calls is never.
type patience struct {
	limit time.Duration
	timer *time.Timer
}

func (p *patience) end() <-chan time.Time {
	if p.timer == nil {
		p.timer = time.NewTimer(p.limit)
	}
	return p.timer.C
}

func (p *patience) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}
