package recorder

import (
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// Prepare takes one event through the door and no further: policy,
// normalisation, redaction and limits, as in [Recorder.Record]. The record is
// the caller's to store, as a transaction of the application does. It is nil
// where the receipt says that the event was filtered or rejected.
//
// Events that are filtered or rejected here are in the balance (see [Account])
// like any other. One that is given back is not: what becomes of it, this
// recorder does not know.
func (r *Recorder) Prepare(ev *audit.Event) (*audit.Record, audit.Receipt) {
	if ev == nil {
		return nil, r.reject(audit.ID{}, errNoEvent)
	}
	select {
	case <-r.shut:
		return nil, r.reject(ev.ID, audit.ErrClosed)
	default:
	}
	id, reason := r.decide(ev)
	if reason != policy.Recorded {
		if !r.filter(ev, reason) {
			return nil, r.reject(ev.ID, audit.ErrClosed)
		}
		return nil, audit.Receipt{ID: ev.ID, Status: audit.StatusFiltered, Reason: reason.String()}
	}
	var it item
	if err := r.accept(ev, id, &it); err != nil {
		return nil, r.reject(ev.ID, err)
	}
	return it.rec, audit.Receipt{ID: it.rec.ID, Status: audit.StatusQueued}
}
