package recorder

import (
	"fmt"

	"github.com/annals-dev/annals/audit"
)

// What becomes of the records that the sink has answered for.

// reply is an answer for a caller that waits.
type reply struct {
	call    *call
	index   int32
	receipt audit.Receipt
}

// settle books the results of one call.
func (w *writer) settle(items []item, results []audit.Result) {
	var sum tally
	var stored []*audit.Record
	watched := w.r.watched()
	before := len(w.left)
	for i := range items {
		it, res := &items[i], &results[i]
		if res.Err != nil {
			w.undone(it, res.Err)
			continue
		}
		w.progress = true
		status := audit.StatusRecorded
		switch {
		case it.gap:
			sum.gaps++
		case res.Duplicate && !(it.open && it.own):
			status = audit.StatusDuplicate
			sum.duplicates++
		default:
			// A duplicate of our own id is what an earlier attempt stored.
			sum.stored++
		}
		sum.done(it)
		if watched && (!res.Duplicate || it.open) {
			if res.Duplicate {
				it.rec.Sequence, it.rec.Hash = res.Sequence, res.Hash
			}
			stored = append(stored, it.rec)
		}
		if it.call != nil {
			w.reply(it, audit.Receipt{ID: it.rec.ID, Status: status, Sequence: res.Sequence, Hash: res.Hash})
		}
	}
	if len(stored) > 0 {
		w.r.opt.Stored(stored)
	}
	w.book(sum)
	if len(w.left) > before {
		w.observe(w.why[len(w.why)-1].err)
	}
	reuse(items, results, watched)
}

// undone handles a record that the store answered for with an error.
func (w *writer) undone(it *item, err error) {
	switch code := audit.CodeOf(err); {
	case isContext(err) || code == audit.CodeUnavailable || code == audit.CodeBacklog:
		w.keepOne(it, err, ifProgress)
	case audit.Retryable(err):
		w.keepOne(it, err, always)
	default:
		w.fail(*it, err)
	}
}

// fail gives up a record that the store will never take.
func (w *writer) fail(it item, err error) {
	w.progress = true
	w.refused.note(1, err)
	if w.r.opt.DeadLetters != nil && !it.gap && !it.call.waits() {
		w.doomed = append(w.doomed, letter{item: it, why: err})
		return
	}
	w.lose(&it, err, lossRefused)
}

// loss is what became of a record that the store will never take.
type loss uint8

const (
	lossRefused  loss = iota // its caller has the error, or nobody keeps it
	lossSetAside             // it is a dead letter
	lossNoRoom               // the dead letters are full
)

// add counts one such event, and gives the kind of gap that it leaves.
func (f loss) add(l *ledger) (gap int) {
	switch f {
	case lossSetAside:
		l.setAside++
	case lossNoRoom:
		l.dropped++
		l.lost++
		return gapDropped
	}
	l.failed++
	return gapFailed
}

// lose books a record that the store will never take.
func (w *writer) lose(it *item, err error, f loss) {
	var sum tally
	sum.done(it)
	if !it.gap {
		gap := f.add(&sum.ledger)
		if w.r.gaps != nil {
			w.r.gaps.add(it.rec.Namespace, it.rec.Tenant, gap)
		}
		if f == lossNoRoom {
			w.lost.note(it.rec.ID.String(), err)
		}
	}
	w.reply(it, refusal(it.rec.ID, err))
	w.book(sum)
}

func (w *writer) keep(items []item, err error, b blame) {
	for i := range items {
		w.keepOne(&items[i], err, b)
	}
}

func (w *writer) keepOne(it *item, err error, b blame) {
	w.left = append(w.left, *it)
	w.why = append(w.why, fault{err, b})
}

// judge counts the round against those left that are at fault, gives up what
// has failed too often, and says whether the store is down.
func (w *writer) judge() {
	left := w.left[:0]
	progress := w.progress
	innocent := false
	for i := range w.left {
		it, why := w.left[i], w.why[i]
		proved := progress || it.took != 0 && it.took != w.took
		suspect := it.attempts > 0 && classOf(why.err) == classOdd
		if why.blame == always || why.blame == ifProgress && (proved || suspect) {
			it.attempts++
		}
		it.took = w.took
		if it.attempts >= maxAttempts {
			w.fail(it, &audit.Error{
				Code: audit.CodeOf(why.err), Cause: why.err,
				Message: fmt.Sprintf("given up after %d attempts", maxAttempts),
			})
			continue
		}
		innocent = innocent || it.attempts == 0
		left = append(left, it)
	}
	clear(w.left[len(left):])
	w.left = left
	w.progress = progress
	w.down = w.down || innocent && !progress
}

// release lets go of the records of the round.
func (w *writer) release() {
	clear(w.left)
	clear(w.why)
	clear(w.recs)
	w.left, w.why, w.recs = w.left[:0], w.why[:0], w.recs[:0]
}

// tally gathers what one call settled.
type tally struct {
	ledger
	events int
	bytes  int64

	lent      int // of events: those out of the spool
	lentBytes int64
}

func (t *tally) done(it *item) {
	if !it.gap {
		t.events++
		t.bytes += int64(it.size)
	}
	if it.call.spooled() {
		t.lent++
		t.lentBytes += int64(it.size)
	}
}

// reply keeps the answer until the balance has the event, so that a caller who
// has its answer finds it there.
func (w *writer) reply(it *item, receipt audit.Receipt) {
	if it.call != nil {
		w.replies = append(w.replies, reply{it.call, it.index, receipt})
	}
}

func (w *writer) book(t tally) {
	w.r.queue.settle(&t)
	for _, a := range w.replies {
		a.call.settle(a.index, a.receipt)
	}
	clear(w.replies)
	w.replies = w.replies[:0]
}
