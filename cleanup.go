package annals

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

// DefaultCleanupBatch is how many records one short deletion takes at most.
const DefaultCleanupBatch = retention.DefaultBatchSize

// Cleanup deletes what cut selects and no legal hold protects, in batches of at
// most batch records (0 is [DefaultCleanupBatch]), each in its own short
// transaction, and says how many it deleted, also when it fails half way.
// Chained records leave an anchor. ErrConflict: a deletion is under way
// already, here or in another process. See StartRetention for what does this by itself.
func (t *Trail) Cleanup(ctx context.Context, cut audit.Cut, batch int) (deleted int, err error) {
	if batch < 0 {
		return 0, audit.Invalid("cleanup_batch_size", "is negative")
	}
	if batch == 0 {
		batch = DefaultCleanupBatch
	}
	if cut.ExpiredAt.IsZero() && cut.RecordedBefore.IsZero() {
		return 0, audit.Invalid("cut", "selects nothing: neither an expiry nor a ceiling is set")
	}
	return t.retention.Delete(ctx, cut, batch)
}
