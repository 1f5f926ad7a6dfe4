package annals

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// DefaultCleanupBatch is how many records one short deletion takes at most.
const DefaultCleanupBatch = 10_000

// Cleanup deletes what cut selects, in batches of at most batch records (0 is
// [DefaultCleanupBatch]), each in its own short transaction, and says how many
// it deleted, also when it fails half way. Chained records leave an anchor.
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
	done := t.observe(ctx, "delete_expired")
	defer func() { done(deleted, err) }()
	for {
		n, err := t.store.DeleteExpired(ctx, cut, batch)
		deleted += n
		if err != nil || n < batch {
			return deleted, err
		}
	}
}
