package retention

import "time"

// clock notices that somebody set the wall clock, which decides what is old.
//
// From one look to the next the wall clock must move as far as the monotonic
// clock, give or take a minute and a thousandth, which leaves room for a clock
// that is being corrected slowly. Where it does not, it was set, or the machine
// slept; which of the two times is right cannot be told from here.
type clock struct {
	now  func() time.Time
	wall time.Time // at the last mark
	mono time.Time // carries the monotonic reading
}

func newClock(now func() time.Time) clock {
	c := clock{now: now}
	c.mark()
	return c
}

// mark takes the wall clock as it is for right.
func (c *clock) mark() { c.wall, c.mono = c.now().Round(0), time.Now() }

// step says by how much the wall clock was set since the mark; 0 where it went along.
func (c *clock) step() time.Duration {
	elapsed := time.Since(c.mono)
	apart := c.now().Round(0).Sub(c.wall) - elapsed
	if slack := time.Minute + elapsed/1000; apart > slack || apart < -slack {
		return apart
	}
	return 0
}
