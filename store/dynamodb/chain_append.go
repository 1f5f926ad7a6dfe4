package dynamodb

import (
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// AppendChained implements chain.Appender. The records of each chain go, in their
// order, through the lane of that chain, which writes what has gathered in one
// transaction after the other: see [lane]. A transaction is stored as a whole or
// not at all; the batch as a whole is not atomic.
func (s *Store) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	results := make([]audit.Result, len(recs))
	entries := gather(recs, true, results)
	if len(entries) == 0 {
		return results, nil
	}
	if err := s.prepare(ctx, chained, entries); err != nil {
		return nil, err
	}
	for _, e := range entries {
		e.rec = clone(e.rec) // a lane may still be at work when the caller has given up
	}
	if err := s.lanes.deliver(ctx, s, entries); err != nil {
		return nil, err
	}
	if err := s.conclude(entries, recs, results); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.result.Err == nil && !e.result.Duplicate {
			r := recs[e.at[0]]
			r.Sequence, r.Segment, r.PrevHash, r.Hash = e.rec.Sequence, e.rec.Segment, e.rec.PrevHash, e.rec.Hash
		}
	}
	return results, nil
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

// clone gives a copy that shares no memory that could be written to.
func clone(r *audit.Record) *audit.Record {
	c := *r
	for _, f := range documents {
		f.SetBytes(&c, slices.Clone(f.Bytes(r)))
	}
	return &c
}

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
