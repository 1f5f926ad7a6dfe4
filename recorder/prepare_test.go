package recorder

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// An event that is only prepared is no part of the balance; one that the door
// keeps out is.
func TestPrepare(t *testing.T) {
	var s store
	r := start(t, s.Append, Options{})
	rec, receipt := r.Prepare(event(1))
	if rec == nil || receipt.Status != audit.StatusQueued || receipt.ID != rec.ID || rec.RecordedAt.IsZero() || rec.Level == "" || receipt.Err != nil {
		t.Fatalf("%+v, %+v", rec, receipt)
	}
	if rec, receipt := r.Prepare(read(2)); rec != nil || receipt.Status != audit.StatusFiltered || receipt.Reason == "" {
		t.Errorf("%+v, %+v", rec, receipt)
	}
	for _, ev := range []*audit.Event{nil, {}} {
		if rec, receipt := r.Prepare(ev); rec != nil || receipt.Status != audit.StatusRejected || !errors.Is(receipt.Err, audit.ErrInvalid) {
			t.Errorf("%+v, %+v", rec, receipt)
		}
	}
	if diff := cmp.Diff(Account{Offered: 3, Filtered: 1, Rejected: 2}, mustClose(t, r)); diff != "" {
		t.Error(diff)
	}
	if rec, receipt := r.Prepare(event(3)); rec != nil || !errors.Is(receipt.Err, audit.ErrClosed) {
		t.Errorf("%+v, %+v", rec, receipt)
	}
	if len(s.order) != 0 {
		t.Error("something was stored")
	}
}
