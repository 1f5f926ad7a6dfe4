//go:build dynamodb

package dynamodb

import (
	"context"
	"math/rand/v2"
	"time"
)

// pace decides when a lane tries again, so that several processes get on with
// one chain. Who has just won goes on at once, since it alone knows the head for
// certain; who has lost waits, longer each time, so that it does not spoil the
// others' transactions. As who goes on would go on for ever, it makes room after
// a run of transactions when it has met rivals lately.
type pace struct {
	took  time.Duration // about what a transaction takes
	run   int           // won one after the other
	rival time.Time     // when another process was met last
}

const (
	fairRun     = 16              // transactions before others get their turn
	rivalMemory = 5 * time.Second // how long one that was met counts
	shortTurn   = 5 * time.Millisecond
	longTurn    = 300 * time.Millisecond
	longWait    = 2 * time.Second
)

// start waits before a transaction where it is the others' turn.
func (p *pace) start(ctx context.Context) error {
	if p.run < fairRun || time.Since(p.rival) > rivalMemory {
		return nil
	}
	p.run = 0
	return sleep(ctx, p.turn()*2+jitter(p.turn()*2))
}

// won notes a transaction that went through.
func (p *pace) won(took time.Duration) {
	p.run++
	if p.took == 0 {
		p.took = took
	}
	p.took += (took - p.took) / 8
}

// lost waits after the attempt, counted from 0, that another process spoilt.
func (p *pace) lost(ctx context.Context, attempt int) error {
	p.run, p.rival = 0, time.Now()
	most := min(p.turn()<<min(attempt, 4), longWait)
	return sleep(ctx, most/2+jitter(most/2))
}

// turn is about the time of one transaction.
func (p *pace) turn() time.Duration { return min(max(p.took, shortTurn), longTurn) }

func jitter(most time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(most) + 1)) }
