package recorder

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Restore stores records that were accepted once and could not be stored, such
// as dead letters, and waits for the store's answers as Sync does. They keep
// their id, their time of recording and their level: policy and redaction have
// had their say. A record that the store has already is a duplicate. Chain
// positions are given anew. The records are not changed.
func (r *Recorder) Restore(ctx context.Context, recs []*audit.Record) []audit.Receipt {
	receipts := make([]audit.Receipt, len(recs))
	items := make([]item, 0, len(recs))
	for i, rec := range recs {
		it, err := r.again(rec)
		if err != nil {
			receipts[i] = r.reject(audit.ID{}, err)
			continue
		}
		it.index = int32(i)
		items = append(items, it)
	}
	if len(items) > 0 {
		p := patience{limit: r.opt.Timeout}
		defer p.stop()
		r.awaitAll(ctx, items, receipts, &p)
	}
	return receipts
}

func (r *Recorder) again(from *audit.Record) (item, error) {
	if from == nil || from.ID.IsZero() || from.RecordedAt.IsZero() {
		return item{}, audit.Invalid("record", "is missing, or has no id or recorded_at")
	}
	rec := *from
	rec.Sequence, rec.Segment, rec.PrevHash, rec.Hash = 0, "", audit.Digest{}, audit.Digest{}
	if err := audit.Normalize(&rec, r.now()); err != nil {
		return item{}, err
	}
	if err := audit.Truncate(&rec, r.opt.MaxRecord); err != nil {
		return item{}, err
	}
	return item{rec: &rec, size: sizeOf(&rec)}, nil
}
