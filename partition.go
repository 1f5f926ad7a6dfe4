package annals

import (
	"context"
	"time"

	"github.com/annals-dev/annals/retention"
)

// Partitions gives the partitions of the records, the oldest first. It and the
// next two are ErrUnsupported on an engine that has none.
func (t *Trail) Partitions(ctx context.Context) ([]retention.Partition, error) {
	return t.retention.Partitions(ctx)
}

// EnsurePartitions makes the partitions of the next months of UTC that are not
// there, and gives the months that it made them for, as their first moments.
// With plan set it makes none, and gives those that it would. The loop of
// StartRetention makes the next [retention.DefaultMonthsAhead] by itself.
func (t *Trail) EnsurePartitions(ctx context.Context, months int, plan bool) ([]time.Time, error) {
	return t.retention.EnsurePartitions(ctx, months, plan)
}

// DropPartitions drops the partitions that end at or before the given number of
// days ago, whenever their records were recorded, and gives those that went.
// What a legal hold protects survives, and chained records leave anchors. With
// plan set it drops none, and gives those that it would. ErrConflict: a
// deletion is under way, here or elsewhere.
func (t *Trail) DropPartitions(ctx context.Context, days int, plan bool) ([]retention.Partition, error) {
	return t.retention.DropPartitions(ctx, days, plan)
}
