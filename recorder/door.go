package recorder

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// Reasons of receipts besides the policy's rules and the codes of errors.
const (
	ReasonDropped = "dropped" // rejected without an error: no room under OnFull drop
	ReasonClosed  = "closed"  // rejected: the recorder is closed
	ReasonOpen    = "open"    // queued, with an error: the store has not answered in time
)

// Record takes one event through the write path. The event must not be changed
// afterwards, nor the documents it points to. A filtered event costs next to
// nothing and returns StatusFiltered and the reason.
//
// An error means that the event was not accepted: ErrInvalid and ErrTooLarge
// name the field, ErrBacklog says that there was no room within the timeout,
// ErrClosed that it came after Close. Where the call waits for the store, the
// error may also be the store's refusal, such as ErrConflict; and there is one
// that leaves the outcome open: ErrUnavailable with StatusQueued says that the
// store did not answer in time. The event stays queued and may still be
// stored, so whoever repeats it should keep its id.
//
// A caller's context ends only the waiting: an event that was queued is
// written all the same, and one that finds room is queued whatever its context.
// Once an event is on its way to the spool's disk, its caller waits for that,
// at most for the timeout. When the disk has not answered by then, the outcome
// is open in the same way: ErrUnavailable with StatusQueued.
//
// Under OnFull drop an event that finds no room returns StatusRejected with
// the reason "dropped" and no error.
func (r *Recorder) Record(ctx context.Context, ev *audit.Event) (audit.Receipt, error) {
	if ev == nil {
		receipt := r.reject(audit.ID{}, errNoEvent)
		return receipt, receipt.Err
	}
	id, reason := r.decide(ev)
	if reason != policy.Recorded {
		if !r.filter(ev, reason) {
			receipt := r.reject(ev.ID, audit.ErrClosed)
			return receipt, receipt.Err
		}
		return audit.Receipt{ID: ev.ID, Status: audit.StatusFiltered, Reason: reason.String()}, nil
	}
	return r.record(ctx, ev, id)
}

// record takes an event that the policy records.
func (r *Recorder) record(ctx context.Context, ev *audit.Event, id audit.ID) (audit.Receipt, error) {
	var it item
	if err := r.accept(ev, id, &it); err != nil {
		receipt := r.reject(ev.ID, err)
		return receipt, err
	}
	p := patience{limit: r.opt.Timeout}
	if r.sync {
		defer p.stop()
		one := []item{it}
		receipt := r.await(ctx, one, newCall(1), &p)[0]
		return receipt, receipt.Err
	}
	if r.spools {
		receipt := r.spooler.record(ctx, it)
		return receipt, receipt.Err
	}
	one, id := [1]item{it}, it.rec.ID // once queued, the record is not ours
	if n, err := r.queue.offer(ctx, one[:], &p); n == 0 {
		p.stop()
		if err == errSpill {
			receipt := r.spooler.record(ctx, it)
			return receipt, receipt.Err
		}
		receipt := refusal(id, err)
		return receipt, receipt.Err
	}
	return audit.Receipt{ID: id, Status: audit.StatusQueued}, nil
}

// RecordBatch takes several events; every receipt has its own status, and Err
// where it was rejected or is open, as in Record. durability "" is the
// recorder's own; Sync waits for the store, behind what is in the queue. One
// that is weaker than the recorder's own changes nothing. Spool needs a spool.
//
// The events of a call that waits are written as one batch, and those of a call
// that goes to the spool are synced together, as far as they fit into one.
func (r *Recorder) RecordBatch(ctx context.Context, evs []*audit.Event, durability Durability) []audit.Receipt {
	receipts := make([]audit.Receipt, len(evs))
	wait, spools := r.sync, r.spools
	var wrong error
	switch durability {
	case "", Memory:
	case Sync:
		wait = true
	case Spool:
		if spools = true; r.spooler == nil {
			wrong = unsupportedOption("durability", "spool needs a spool, which this recorder does not have; use sync or memory")
		}
	default:
		wrong = audit.Invalid("durability", "is %q, want sync, spool or memory", string(durability))
	}
	items := make([]item, 0, len(evs))
	for i, ev := range evs {
		if wrong != nil {
			receipts[i] = r.reject(audit.ID{}, wrong)
			continue
		}
		if ev == nil {
			receipts[i] = r.reject(audit.ID{}, errNoEvent)
			continue
		}
		id, reason := r.decide(ev)
		if reason != policy.Recorded {
			if r.filter(ev, reason) {
				receipts[i] = audit.Receipt{ID: ev.ID, Status: audit.StatusFiltered, Reason: reason.String()}
			} else {
				receipts[i] = r.reject(ev.ID, audit.ErrClosed)
			}
			continue
		}
		it := item{index: int32(i)}
		if err := r.accept(ev, id, &it); err != nil {
			receipts[i] = r.reject(ev.ID, err)
			continue
		}
		items = append(items, it)
	}
	if len(items) == 0 {
		return receipts
	}
	p := patience{limit: r.opt.Timeout}
	defer p.stop()
	if wait {
		r.awaitAll(ctx, items, receipts, &p)
		return receipts
	}
	for i := range items {
		receipts[items[i].index] = audit.Receipt{ID: items[i].rec.ID, Status: audit.StatusQueued}
	}
	if spools {
		r.putAll(ctx, items, receipts)
		return receipts
	}
	n, err := r.queue.offer(ctx, items, &p) // what is queued is not ours any more
	if err == errSpill {
		r.putAll(ctx, items[n:], receipts)
		return receipts
	}
	for i := n; i < len(items); i++ {
		receipt := &receipts[items[i].index]
		*receipt = refusal(receipt.ID, err)
	}
	return receipts
}

// putAll gives the items to the spool; the receipts are those of the whole call.
func (r *Recorder) putAll(ctx context.Context, items []item, receipts []audit.Receipt) {
	w := r.spooler.appending(ctx)
	w.items = append(w.items, items...)
	w.put()
	for i := range items {
		receipts[items[i].index] = w.receipts[i]
	}
	w.free()
}

// awaitAll waits for the store's answers to the items, whose indexes are places
// in receipts.
func (r *Recorder) awaitAll(ctx context.Context, items []item, receipts []audit.Receipt, p *patience) {
	at := make([]int32, len(items))
	for i := range items {
		at[i], items[i].index = items[i].index, int32(i)
	}
	for i, receipt := range r.await(ctx, items, newCall(len(items)), p) {
		receipts[at[i]] = receipt
	}
}

// await queues the items and waits for the store's answers.
func (r *Recorder) await(ctx context.Context, items []item, c *call, p *patience) []audit.Receipt {
	for i := range items {
		items[i].call = c
		c.receipts[items[i].index].ID = items[i].rec.ID
	}
	n, err := r.queue.offer(ctx, items, p)
	for i := n; i < len(items); i++ {
		c.settle(items[i].index, refusal(items[i].rec.ID, err))
	}
	return c.wait(ctx, p, r.frozen)
}

var errNoEvent = audit.Invalid("event", "is missing")

// accept makes the record of an event that the policy records. id is the one
// that sampling needed; zero where it needed none.
func (r *Recorder) accept(ev *audit.Event, id audit.ID, it *item) error {
	now := r.now()
	rec := records.Get().(*audit.Record)
	rec.Event, rec.RecordedAt, rec.Level = *ev, now, r.level
	if r.opt.DropPayload {
		rec.Payload = nil
	}
	if r.opt.TTL > 0 && rec.ExpiresAt.IsZero() {
		rec.ExpiresAt = now.Add(r.opt.TTL)
	}
	if err := audit.Normalize(rec, now); err != nil {
		return err
	}
	if rec.ID.IsZero() {
		if rec.ID, it.own = id, true; id.IsZero() {
			rec.ID = audit.NewID()
		}
	}
	if r.redactor != nil {
		r.redactor.Apply(rec)
	}
	if err := audit.Truncate(rec, r.opt.MaxRecord); err != nil {
		return err
	}
	it.rec, it.size = rec, sizeOf(rec)
	return nil
}

// decide asks the policy. The id is set where sampling needed one of our making.
func (r *Recorder) decide(ev *audit.Event) (audit.ID, policy.Reason) {
	if r.samples && ev.ID.IsZero() && ev.Request.CorrelationID == "" {
		return r.decideByID(ev)
	}
	return audit.ID{}, r.policy.Decide(ev)
}

func (r *Recorder) decideByID(ev *audit.Event) (audit.ID, policy.Reason) {
	named := *ev
	if ev.ExternalID != "" {
		if id, _, err := audit.IDFrom(ev.ExternalID); err == nil {
			named.ID = id
			return audit.ID{}, r.policy.Decide(&named)
		}
	}
	named.ID = audit.NewID()
	return named.ID, r.policy.Decide(&named)
}

// filter counts an event that the policy does not record; false means that the
// recorder is closed. The gap is counted first: an event that was acknowledged
// as filtered is in a gap record.
func (r *Recorder) filter(ev *audit.Event, reason policy.Reason) bool {
	if r.gaps != nil {
		r.gaps.add(ev.Namespace, ev.Tenant, int(reason))
	}
	return r.filtered.add(reason)
}

// reject counts an event that is wrong or comes too late.
func (r *Recorder) reject(id audit.ID, err error) audit.Receipt {
	r.queue.reject()
	return refusal(id, err)
}

// refusal is the receipt of an event that is not recorded.
func refusal(id audit.ID, err error) audit.Receipt {
	switch err {
	case errDropped:
		return audit.Receipt{ID: id, Status: audit.StatusRejected, Reason: ReasonDropped}
	case audit.ErrClosed:
		return audit.Receipt{ID: id, Status: audit.StatusRejected, Reason: ReasonClosed, Err: err}
	}
	return audit.Receipt{ID: id, Status: audit.StatusRejected, Reason: string(audit.CodeOf(err)), Err: err}
}
