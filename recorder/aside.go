package recorder

import (
	"errors"
	"math"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// lettersAtOnce is how many dead letters are written between two looks at them.
const lettersAtOnce = 64

// letter is a record on its way to the dead letters.
type letter struct {
	item
	why    error
	failed error // why it could not be written there
}

func (l *letter) loss() loss {
	switch {
	case l.failed == nil:
		return lossSetAside
	case isFull(l.failed):
		return lossNoRoom
	}
	return lossRefused
}

// isFull reports whether the dead letters have no room: unlike a disk that does
// not work, that does not pass by itself.
func isFull(err error) bool { return errors.Is(err, spool.ErrFull) }

// aside sets records aside, beside the batcher: a dead letter is a file that is
// synced, and a flood of records that the store refuses must not hold up those
// that it takes. It belongs to the batcher but for the goroutine that writes,
// of which there is one at most, and which holds at most [lettersAtOnce].
type aside struct {
	r       *Recorder
	waiting []letter
	writing []letter // in the hands of the goroutine
	done    chan []letter
	retryAt time.Time // when the disk is tried again that would not take one
	fails   int       // in a row
	trouble faultLog
}

func newAside(r *Recorder) *aside {
	return &aside{r: r, done: make(chan []letter, 1), trouble: faultLog{
		log: r.opt.Logger, message: "a record that the audit store refused cannot be set aside", unit: "records",
	}}
}

func (a *aside) empty() bool { return len(a.waiting) == 0 && len(a.writing) == 0 }

func (a *aside) add(letters []letter) { a.waiting = append(a.waiting, letters...) }

// due says whether collect has something to do, or else when to look again.
func (a *aside) due(now time.Time) (bool, time.Time) {
	switch {
	case len(a.done) > 0:
		return true, time.Time{}
	case len(a.waiting) == 0 || len(a.writing) > 0:
		return false, time.Time{}
	case now.Before(a.retryAt):
		return false, a.retryAt
	}
	return true, time.Time{}
}

// collect gives those whose fate is known, and begins to write the next. A
// record out of the spool stays until it is written, or the dead letters say
// that they are full: the spool has promised to keep it. For any other, which
// was in memory alone, one attempt must do.
func (a *aside) collect(now time.Time) (over []letter) {
	select {
	case written := <-a.done:
		over = a.judge(written, now)
	default:
	}
	if ready, _ := a.due(now); ready && a.r.ctx.Err() == nil {
		n := min(len(a.waiting), lettersAtOnce)
		a.writing = append([]letter(nil), a.waiting[:n]...)
		a.waiting = append(a.waiting[:0], a.waiting[n:]...)
		clear(a.waiting[len(a.waiting):cap(a.waiting)])
		go a.write(a.writing)
	}
	return over
}

// last gives those of the letters under way that are written soon, when there
// is no time for others.
func (a *aside) last() []letter {
	if len(a.writing) == 0 {
		return nil
	}
	grace := time.NewTimer(closeGrace / 2)
	defer grace.Stop()
	select {
	case written := <-a.done:
		return a.judge(written, time.Now())
	case <-grace.C:
		return nil
	}
}

// judge gives those that were written, and those that must do without.
func (a *aside) judge(written []letter, now time.Time) (over []letter) {
	a.writing = nil
	for _, l := range written {
		if l.failed == nil || isFull(l.failed) {
			a.fails = 0
			over = append(over, l)
			continue
		}
		a.fails++
		a.retryAt = now.Add(backoff(a.fails, backoffWaited))
		a.trouble.note(1, l.failed)
		if l.call.spooled() {
			l.failed = nil
			a.waiting = append(a.waiting, l)
			continue
		}
		over = append(over, l)
	}
	return over
}

func (a *aside) write(letters []letter) {
	out := append([]letter(nil), letters...)
	for i := range out {
		l := &out[i]
		l.failed = putAside(a.r, l.rec, l.own, l.why, max(1, int(l.attempts)))
	}
	a.done <- out
	a.r.queue.signal()
}

// putAside writes one dead letter.
func putAside(r *Recorder, rec *audit.Record, own bool, why error, attempts int) error {
	entry := appendEntry(nil, rec, own)
	return r.opt.DeadLetters.Put(letterID(rec, entry), entry, why.Error(), attempts)
}

// first gives the earliest place in the queue of those that are not written.
func (a *aside) first() uint64 {
	first := uint64(math.MaxUint64)
	for _, letters := range [...][]letter{a.waiting, a.writing} {
		for i := range letters {
			first = min(first, letters[i].seq)
		}
	}
	return first
}

func (a *aside) oldest() (at time.Time) {
	for _, letters := range [...][]letter{a.writing, a.waiting} {
		for i := range letters {
			at = earliest(at, letters[i].rec.RecordedAt)
		}
	}
	return at
}
