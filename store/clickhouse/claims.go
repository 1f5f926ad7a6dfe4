package clickhouse

import (
	"context"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// claims are the ids that calls of this process are writing. Two calls with a
// common id come one after the other, so that the second finds what the first
// has stored.
type claims struct {
	mu   sync.Mutex
	held map[audit.ID]chan struct{} // closed when the call that holds it ends
}

func (c *claims) init() { c.held = map[audit.ID]chan struct{}{} }

// take waits until nobody else holds an id of the records, and holds them all.
func (c *claims) take(ctx context.Context, recs []*audit.Record) (release func(), err error) {
	done := make(chan struct{})
	for {
		busy := c.try(recs, done)
		if busy == nil {
			break
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, audit.Unavailable("the call was given up", ctx.Err())
		}
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range recs {
			delete(c.held, r.ID)
		}
		close(done)
	}, nil
}

// try takes all ids or none, and then gives what to wait for.
func (c *claims) try(recs []*audit.Record, done chan struct{}) (busy chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range recs {
		if busy := c.held[r.ID]; busy != nil {
			return busy
		}
	}
	for _, r := range recs {
		c.held[r.ID] = done
	}
	return nil
}
