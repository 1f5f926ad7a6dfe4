package recorder

import (
	"context"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// errOpen answers a caller whose patience ended during the sync.
var errOpen error = &audit.Error{
	Code: audit.CodeUnavailable, Cause: context.DeadlineExceeded,
	Message: "the disk of the spool has not answered yet: the event may still be recorded",
}

// record gives one record to the spool and says what became of it.
func (s *spooler) record(ctx context.Context, it item) audit.Receipt {
	w := s.appending(ctx)
	w.items = append(w.items, it)
	w.put()
	receipt := w.receipts[0]
	w.free()
	return receipt
}

// appending is one call that gives records to the spool. It is used again.
type appending struct {
	s       *spooler
	caller  context.Context
	limited context.Context // ends after Timeout

	items    []item
	buf      []byte // of the entries
	entries  [][]byte
	numbers  []uint64 // of the entries, where they are on the disk
	errs     []error
	receipts []audit.Receipt
}

var appendings = sync.Pool{New: func() any { return new(appending) }}

// maxKeptEntry is the largest buffer that is kept for reuse.
const maxKeptEntry = 64 << 10

func (s *spooler) appending(ctx context.Context) *appending {
	w := appendings.Get().(*appending)
	w.s, w.caller, w.limited = s, ctx, s.limits.get(s.r.opt.Timeout)
	return w
}

func (w *appending) free() {
	if cap(w.buf) > maxKeptEntry {
		return
	}
	clear(w.items)
	clear(w.entries)
	clear(w.errs)
	clear(w.receipts)
	w.items, w.buf, w.entries, w.numbers = w.items[:0], w.buf[:0], w.entries[:0], w.numbers[:0]
	w.errs, w.receipts, w.caller, w.limited = w.errs[:0], w.receipts[:0], nil, nil
	appendings.Put(w)
}

// put gives the items to the spool, in their order, and writes the receipts.
//
// The caller's context ends the waiting for room. It does not end that for the
// disk: a sync under way takes milliseconds, or Timeout when the disk hangs,
// and a client that goes away must not suppress its record.
func (w *appending) put() {
	s := w.s
	if !s.q.enter(len(w.items)) {
		for i := range w.items {
			w.receipts = append(w.receipts, refusal(w.items[i].rec.ID, audit.ErrClosed))
		}
		return
	}
	w.encode()
	w.write(w.entries, w.numbers, w.errs)
	wake := s.q.leave(w.items, w.errs)
	n := 0
	for i, err := range w.errs {
		receipt, it := &w.receipts[i], &w.items[i]
		switch {
		case err == nil:
			n++
			if s.recent.keep(w.numbers[i], it.rec, it.size) {
				continue
			}
		case err == errOpen:
			receipt.Reason, receipt.Err = ReasonOpen, err
			wake = true // nobody else will tell the pump
		default:
			*receipt = refusal(receipt.ID, err)
		}
		giveBack(it.rec)
	}
	if n > 0 && s.acked.Add(int64(n)) >= s.trigger.Load() || wake {
		s.wake()
	}
}

// encode makes the entries, and the receipts of those that are taken.
func (w *appending) encode() {
	for i := range w.items {
		it, from := &w.items[i], len(w.buf)
		w.buf = appendEntry(w.buf, it.rec, it.own)
		// Where the buffer grows, the entries before this one stay in the old one.
		w.entries = append(w.entries, w.buf[from:len(w.buf):len(w.buf)])
		w.numbers, w.errs = append(w.numbers, 0), append(w.errs, nil)
		w.receipts = append(w.receipts, audit.Receipt{ID: it.rec.ID, Status: audit.StatusQueued})
	}
}

// write appends the entries and writes their numbers, and why one was not. They go to the disk
// together where they find room together, and else in parts, so that a call
// larger than the room there is takes what there is, as in the queue. After the
// first that finds no room, none is tried any more: order is kept. stop is why.
func (w *appending) write(entries [][]byte, numbers []uint64, errs []error) (stop error) {
	var room *spoolRoom
	for {
		err := w.once(entries, numbers)
		code := audit.CodeOf(err)
		switch {
		case err == nil:
			return nil
		case len(entries) > 1 && (code == audit.CodeBacklog || code == audit.CodeTooLarge || code == audit.CodeInvalid):
			half := len(entries) / 2
			if stop = w.write(entries[:half], numbers[:half], errs[:half]); stop == nil {
				return w.write(entries[half:], numbers[half:], errs[half:])
			}
			for i := range entries[half:] {
				errs[half+i] = stop
			}
			return stop
		case code == audit.CodeTooLarge || code == audit.CodeInvalid:
			errs[0] = err
			return nil
		case code != audit.CodeBacklog:
			return w.refuse(errs, err)
		}
		if w.s.r.opt.OnFull == Drop {
			return w.refuse(errs, errDropped)
		}
		if w.s.r.opt.OnFull != Block || w.limited.Err() != nil {
			return w.refuse(errs, audit.ErrBacklog)
		}
		if room == nil {
			// What is given back from here on is not missed.
			room = w.s.room()
			continue
		}
		if err := w.wait(room); err != nil {
			return w.refuse(errs, err)
		}
		room = nil
	}
}

// refuse writes why the rest was not appended, and gives what to tell those
// behind it, which were not tried.
func (w *appending) refuse(errs []error, err error) (stop error) {
	for i := range errs {
		errs[i] = err
	}
	if err == errOpen {
		return audit.ErrBacklog
	}
	return err
}

func (w *appending) once(entries [][]byte, numbers []uint64) error {
	first, err := w.s.disk.AppendBatch(w.limited, entries)
	if err == nil {
		for i := range numbers {
			numbers[i] = first + uint64(i)
		}
		return nil
	}
	if audit.CodeOf(err) == audit.CodeUnavailable && isContext(err) {
		return errOpen
	}
	return err
}

// wait waits until the spool has given back space.
func (w *appending) wait(room *spoolRoom) error {
	s := w.s
	s.blocked.Add(1)
	defer s.blocked.Add(-1)
	s.press()
	select {
	case <-room.freed:
		return nil
	case <-w.caller.Done():
		return &audit.Error{Code: audit.CodeBacklog, Message: "the spool is full and the caller stopped waiting; nothing was accepted", Cause: w.caller.Err()}
	case <-w.limited.Done():
		return audit.ErrBacklog
	case <-s.r.shut:
		return audit.ErrClosed
	}
}
