package annals

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/recorder"
)

// Record reports one event, which must not be changed afterwards. What a nil
// error means is the trail's durability; a filtered event costs next to
// nothing and comes back as such. An error means that the event was not
// accepted, and names the field where the event is wrong.
func (t *Trail) Record(ctx context.Context, ev *audit.Event) (audit.Receipt, error) {
	return t.recorder.Record(ctx, ev)
}

// RecordBatch reports several events. Each has its own receipt, with Err where
// it was rejected; the good ones are accepted all the same.
func (t *Trail) RecordBatch(ctx context.Context, evs []*audit.Event) []audit.Receipt {
	return t.recorder.RecordBatch(ctx, evs, "")
}

// RecordSync is RecordBatch that waits for the store whatever the trail's
// durability; the receipts then carry the chain position.
func (t *Trail) RecordSync(ctx context.Context, evs []*audit.Event) []audit.Receipt {
	return t.recorder.RecordBatch(ctx, evs, recorder.Sync)
}
