package annals

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-dev/annals/audit"
)

const (
	tailPoll    = time.Second      // how often records of other processes are looked for
	tailOverlap = 10 * time.Second // how far behind the newest record a look begins
	tailBuffer  = 4096             // records that wait for a slow reader; more are found by the next look
	tailSeen    = 16384            // records remembered so that none is given twice
)

// Tail calls fn with records as they are stored, filtered by the question,
// until ctx ends or fn returns an error, which it gives back. It starts after
// the record at the position after; the zero Position starts now.
//
// Records that this trail stores are given at once, also those that occurred
// long ago. Records that another process stores are looked for every second,
// from ten seconds before the newest one seen; an older late arrival of
// another process is not given.
func (t *Trail) Tail(ctx context.Context, q *audit.Query, after audit.Position, fn func(*audit.Record) error) error {
	v, err := t.check(q)
	if err != nil {
		return err
	}
	if v.Open {
		return audit.Invalid(audit.ParamOpen, "cannot be followed live")
	}
	live := t.hub.subscribe()
	defer t.hub.unsubscribe(live)

	tail := &tail{trail: t, q: v, last: after, seen: map[audit.Ref]bool{}, fn: fn}
	if after.IsZero() {
		after = audit.Position{OccurredAt: t.opt.Now()}
		tail.last = after
	} else if err := tail.look(ctx, after); err != nil {
		return err
	}
	poll := time.NewTicker(tailPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.closed:
			return audit.ErrClosed
		case r := <-live:
			if err := tail.give(r); err != nil {
				return err
			}
		case <-poll.C:
			from := audit.Position{OccurredAt: tail.last.OccurredAt.Add(-tailOverlap)}
			if from.Compare(after) < 0 {
				from = after
			}
			if err := tail.look(ctx, from); err != nil {
				return err
			}
		}
	}
}

type tail struct {
	trail *Trail
	q     *audit.Query
	last  audit.Position
	seen  map[audit.Ref]bool
	ring  [tailSeen]audit.Ref
	next  int
	fn    func(*audit.Record) error
}

// look gives every record after the position that was not given before.
func (t *tail) look(ctx context.Context, from audit.Position) error {
	v := *t.q
	v.Order, v.Limit, v.After = audit.OldestFirst, audit.MaxLimit, from
	for {
		page, err := t.trail.store.Query(ctx, &v)
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if err := t.give(r); err != nil {
				return err
			}
		}
		if page.Next.IsZero() {
			return nil
		}
		v.After = page.Next
	}
}

func (t *tail) give(r *audit.Record) error {
	ref := r.Ref()
	if t.seen[ref] || !t.q.Match(r) {
		return nil
	}
	delete(t.seen, t.ring[t.next])
	t.ring[t.next] = ref
	t.next = (t.next + 1) % tailSeen
	t.seen[ref] = true
	// A record from the future must not push the position past those of today.
	if p := r.Position(); p.Compare(t.last) > 0 && !p.OccurredAt.After(t.trail.opt.Now()) {
		t.last = p
	}
	return t.fn(r)
}

// hub hands stored records to the live tails of this process.
type hub struct {
	mu   sync.Mutex
	subs map[chan *audit.Record]bool
	some atomic.Bool // subs is not empty
}

// watched reports whether anybody follows.
func (h *hub) watched() bool { return h.some.Load() }

func (h *hub) subscribe() chan *audit.Record {
	c := make(chan *audit.Record, tailBuffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[chan *audit.Record]bool{}
	}
	h.subs[c] = true
	h.some.Store(true)
	return c
}

func (h *hub) unsubscribe(c chan *audit.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, c)
	h.some.Store(len(h.subs) > 0)
}

// publish never waits: a reader that is too slow finds the records by its next look.
func (h *hub) publish(recs []*audit.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.subs {
		for _, r := range recs {
			select {
			case c <- r:
			default:
			}
		}
	}
}
