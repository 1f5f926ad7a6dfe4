package spool

import "time"

// gatherMost is how long the callers of the last commit are waited for at most.
const gatherMost = time.Millisecond

// gather waits until the callers whom the last commit has woken have run. A
// producer in a loop has appended its next entry by then, or is about to;
// without this the first of them would get a sync for itself, and the others
// would wait for the next one.
//
// Nobody is waited for who is not ready to run, so a lone entry is committed at
// once: its producer has left the last commit before it, and all others have
// too, or are on their way to a processor. Where the processors have much else
// to do that way is long, so the wait is bounded by what it can save those
// others: a sync as long as the last one.
func (w *writer) gather() {
	g := w.woken
	w.woken = nil
	if g == nil || g.callers.Load() == 0 {
		return
	}
	w.patience.Reset(min(gatherMost, w.syncTook))
	defer w.patience.Stop()
	for g.callers.Load() > 0 {
		select {
		case <-w.left:
		case <-w.patience.C:
			return
		}
	}
}

// allLeft tells gather that the last caller has left a group that is over.
func (w *writer) allLeft() {
	select {
	case w.left <- struct{}{}:
	default:
	}
}
