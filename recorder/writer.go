package recorder

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/annals-dev/annals/audit"
)

const (
	// maxAttempts is how often a record that fails while others succeed is
	// tried before it is given up.
	maxAttempts = 10
	// splitAfter is how many rounds may fail as a whole, with an error that does
	// not say whose fault it is, before the batch is split to find out.
	splitAfter = 3
)

// writer makes attempts on the sink and settles what comes of them. It belongs
// to the batcher.
//
// An outage must lose nothing, and one bad record must not hold up the others.
// So an attempt counts against a record only where the store has proved to be
// up: it took another record in the same round or since the attempt before, or
// it refused this one by itself, other than by saying that it is unavailable.
type writer struct {
	r    *Recorder
	sink Sink
	recs []*audit.Record

	doomed   []letter // to be set aside
	left     []item   // undone in this round, in order
	why      []fault  // for each of left
	progress bool     // some record met its fate in this round
	took     uint32   // changes whenever some record meets its fate; never 0
	down     bool     // nothing should be tried before a pause

	halt   bool // the rest of this round is pointless
	split  bool // look for the bad record
	odd    int  // rounds in a row that failed for an unknown reason
	oddNow bool
	misses int // failed calls in a row in this round, while splitting
	most   int // records in one call at most, after calls that took too long; 0 is no bound
	budget int // misses after which the store itself must be at fault

	replies []reply
	trouble faultLog
	refused faultLog
	lost    lostLog
}

// fault is why a record was left undone.
type fault struct {
	err   error
	blame blame
}

// blame says when an attempt counts against the record.
type blame uint8

const (
	never      blame = iota
	ifProgress       // when the store took other records meanwhile
	always
)

func newWriter(r *Recorder, sink Sink) *writer {
	return &writer{
		r: r, sink: sink, took: 1,
		trouble: faultLog{log: r.opt.Logger, message: "the audit store does not take records; they are kept and tried again", unit: "attempts"},
		refused: faultLog{log: r.opt.Logger, message: "the audit store refused records for good", unit: "records"},
		lost:    newLostLog(r.opt.Logger),
	}
}

// round makes one attempt on the items. What is undone afterwards is in left.
func (w *writer) round(items []item) {
	w.left, w.why = w.left[:0], w.why[:0]
	w.progress, w.down, w.halt, w.oddNow, w.misses = false, false, false, false, 0
	w.budget = 2*bits.Len(uint(len(items))) + 2
	w.split = w.odd >= splitAfter
	for i := range items {
		w.split = w.split || items[i].attempts > 0
	}
	for rest := items; len(rest) > 0; {
		part := rest
		if w.most > 0 {
			part = rest[:min(len(rest), w.most)]
		}
		rest = rest[len(part):]
		w.write(part)
	}
	switch {
	case w.progress:
		w.odd = 0
		w.took = max(1, w.took+1)
	case w.oddNow:
		w.odd++
	}
	w.judge()
}

// write attempts the items as one batch, and where that cannot be, in parts.
func (w *writer) write(items []item) {
	if w.halt || w.r.ctx.Err() != nil {
		w.keep(items, nil, never)
		return
	}
	results, err := w.call(items)
	if err == nil {
		w.misses = 0
		w.settle(items, results)
		return
	}
	for i := range items {
		items[i].open = true
	}
	half := len(items) / 2
	switch classOf(err) {
	case classDown:
		w.halt, w.down = true, true
		w.keep(items, err, never)
	case classRecord:
		if half == 0 {
			w.fail(items[0], err)
			return
		}
		w.write(items[:half])
		w.write(items[half:])
	default:
		w.oddNow = true
		w.misses++
		if w.misses > w.budget {
			w.halt = true
		}
		if half == 0 {
			w.keep(items, err, ifProgress)
			return
		}
		if !w.split {
			w.keep(items, err, never)
			return
		}
		w.write(items[:half])
		w.write(items[half:])
	}
}

// call hands the items to the sink, once.
func (w *writer) call(items []item) (results []audit.Result, err error) {
	recs, fresh := w.recs[:0], w.r.opt.Fresh != nil
	for i := range items {
		rec := items[i].rec
		fresh = fresh && items[i].own && !items[i].tried
		if items[i].tried {
			// The store may have linked it before it failed.
			rec.Sequence, rec.Segment, rec.PrevHash, rec.Hash = 0, "", audit.Digest{}, audit.Digest{}
		}
		items[i].tried = true
		recs = append(recs, rec)
	}
	w.recs = recs
	sink := w.sink
	if fresh {
		sink = w.r.opt.Fresh
	}
	ctx, cancel := context.WithTimeout(w.r.ctx, w.r.opt.WriteTimeout)
	defer cancel()
	began := w.r.now()
	defer func() {
		if p := recover(); p != nil {
			// The trail must not end the program that it watches.
			results, err = nil, &audit.Error{Code: audit.CodeInternal, Message: fmt.Sprintf("the store panicked: %v", p)}
		}
		w.observe(err)
		w.fit(len(items), err, w.r.now().Sub(began), ctx.Err() != nil)
	}()
	results, err = sink(ctx, recs)
	if err == nil && len(results) != len(recs) {
		err = &audit.Error{Code: audit.CodeInternal, Message: fmt.Sprintf("the store gave %d results for %d records", len(results), len(recs))}
	}
	return results, err
}

// unbounded is from how many records on a bound is no bound.
const unbounded = 1 << 20

// fit bounds the next calls by what the store can do in the time that a call
// has: a batch that takes it longer would take it longer each time, for ever.
// The bound goes again as the store recovers.
func (w *writer) fit(n int, err error, took time.Duration, late bool) {
	switch {
	case err != nil && late && w.r.ctx.Err() == nil:
		w.most = max(1, n/2)
	case err == nil && w.most > 0 && n >= w.most && took <= w.r.opt.WriteTimeout/2:
		if w.most *= 2; w.most >= unbounded {
			w.most = 0
		}
	}
}

// observe notes for metrics and the log that a call was answered, or what was
// wrong with it or with a record of it.
func (w *writer) observe(err error) {
	if err != nil && w.r.ctx.Err() != nil {
		return // called off
	}
	now := w.r.now()
	f := &w.r.queue.failing
	w.r.queue.mu.Lock()
	if err == nil {
		f.batches++
		f.lastSuccessAt = now
	} else {
		f.attempts++
		f.last, f.errorAt = err.Error(), now
	}
	w.r.queue.mu.Unlock()
	if err != nil {
		w.trouble.note(1, err)
	}
}

func (w *writer) tickLogs(now time.Time) {
	w.trouble.tick(now)
	w.refused.tick(now)
	w.lost.tick(now)
}

func (w *writer) logRest() {
	w.trouble.write()
	w.refused.write()
	w.lost.write()
}
