package dynamodb

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/annals-dev/annals/chain"
)

// pace decides when a lane tries again, so that several processes get on with
// one chain. A transaction that loses costs as much as one that wins, and a look
// at the head next to nothing. So who has lost listens first: it looks at the
// head until that stands still for longer than a transaction takes, or until its
// patience is over. Who wins goes on, as it alone knows the head for certain; but
// after a run of transactions it is silent for a moment, if it has met others.
type pace struct {
	took  time.Duration // about what a transaction takes
	run   int           // won one after the other
	rival time.Time     // when another process was met last
}

const (
	fairRun     = 24          // transactions before others get their turn
	rivalMemory = time.Minute // how long one that was met counts
	shortTurn   = 5 * time.Millisecond
	longTurn    = 500 * time.Millisecond

	// In transactions: how long the head stands still where nobody writes, how
	// long a silence is, which is longer, and how long one listens at most.
	idleTurns     = 2
	silentTurns   = 3
	patienceTurns = 16
)

// silent reports whether it is the others' turn, and for how long.
func (p *pace) silent() (time.Duration, bool) {
	if p.run < fairRun || p.rival.IsZero() || time.Since(p.rival) > rivalMemory {
		return 0, false
	}
	p.run = 0
	return silentTurns*p.turn() + jitter(p.turn()), true
}

// note takes in how long a transaction took.
func (p *pace) note(took time.Duration) {
	if p.took == 0 {
		p.took = took
	}
	p.took += (took - p.took) / 8
}

// turn is about the time of one transaction.
func (p *pace) turn() time.Duration { return min(max(p.took, shortTurn), longTurn) }

func jitter(most time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(most) + 1)) }

// listen waits until nobody seems to write the chain, reading its head, strongly
// consistent, again and again.
func (l *lane) listen(ctx context.Context) error {
	p := &l.pace
	began := time.Now()
	patience := patienceTurns*p.turn() + jitter(patienceTurns/2*p.turn())
	var last chain.Head
	var since time.Time
	for {
		head, err := l.s.readHead(ctx, l.part, chain.Key{Scope: l.scope})
		if err != nil {
			return err
		}
		now := time.Now()
		if head != last || since.IsZero() {
			last, since = head, now
		}
		if now.Sub(since) >= idleTurns*p.turn() || now.Sub(began) >= patience {
			l.head, l.known = head, true
			return nil
		}
		if err := sleep(ctx, p.turn()/2+jitter(p.turn()/2)); err != nil {
			return l.s.busy(ctx, err)
		}
	}
}
