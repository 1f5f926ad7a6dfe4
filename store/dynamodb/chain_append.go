package dynamodb

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

// AppendChained implements chain.Appender. The records of each chain go, in their
// order, through the lane of that chain, which writes what has gathered in one
// transaction after the other: see [intake.Lanes]. A transaction is stored as a whole or
// not at all; the batch as a whole is not atomic.
func (s *Store) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	b := intake.NewBatch(recs, true)
	if err := s.prepare(ctx, chained, b.Entries); err != nil {
		return nil, err
	}
	if !s.lanes.Deliver(ctx, b.Entries) {
		return nil, s.interrupted(ctx)
	}
	return b.Results()
}

var documents = func() (out []*audit.Field) {
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			out = append(out, f)
		}
	}
	return out
}()

var textFields = func() (out []*audit.Field) {
	for _, f := range audit.Fields() {
		if f.Kind == audit.Text {
			out = append(out, f)
		}
	}
	return out
}()

// bytesOf is the size of a record as audit.Truncate counts it.
func bytesOf(r *audit.Record) (n int) {
	for _, f := range documents {
		n += len(f.Bytes(r))
	}
	for _, f := range textFields {
		n += len(f.Text(r))
	}
	return n
}
