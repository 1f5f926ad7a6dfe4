package dynamodb

import (
	"context"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

// AppendFresh implements [audit.FreshAppender]. The same record may be given
// again, after an error too, but never another one with its id: that would
// replace the first.
//
// It writes 25 records a call, at the price of as many single writes, with those
// that DynamoDB leaves unprocessed tried again. A record with the id of another
// has to go through Append, which asks before it writes.
func (s *Store) AppendFresh(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	if s.opt.PutOnly {
		return s.Append(ctx, recs)
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	b := intake.NewBatch(recs, false)
	if err := s.prepare(ctx, plain, b.Entries); err != nil {
		return nil, err
	}
	chunks := batches(b.Entries)
	var down atomic.Pointer[error]
	err = s.each(ctx, len(chunks), func(ctx context.Context, i int) error {
		err := s.interrupted(ctx)
		if known := down.Load(); known != nil {
			err = *known
		} else if err == nil {
			err = s.putAll(ctx, chunks[i])
		}
		if err != nil {
			down.Store(&err)
		}
		for _, e := range chunks[i] {
			switch {
			case e.Result.Err != nil:
			case err != nil:
				e.Result.Err = err
			default:
				e.Put()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b.Results()
}

// batches splits the entries into calls of BatchWriteItem.
func batches(entries []*entry) (chunks [][]*entry) {
	size := 0
	var some []*entry
	for _, e := range entries {
		n := bytesOf(e.Rec) + overhead
		if len(some) == maxBatchWrite || len(some) > 0 && size+n > maxBatchBytes {
			chunks, some, size = append(chunks, some), nil, 0
		}
		some, size = append(some, e), size+n
	}
	if len(some) > 0 {
		chunks = append(chunks, some)
	}
	return chunks
}

// putAll stores the entries, whatever is there; those that no item can hold have
// their verdict and are left out.
func (s *Store) putAll(ctx context.Context, entries []*entry) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	holds, err := s.holdsInForce(ctx)
	if err != nil {
		return err
	}
	writes := make([]types.WriteRequest, 0, len(entries))
	for _, e := range entries {
		if e.Rec.Kind == audit.KindPrune {
			if err := s.notePrune(ctx, e.Rec); err != nil {
				return err
			}
		}
		m, _ := s.stamped(e.Rec, holds)
		if n := sizeOf(m); n > maxItem {
			e.Result.Err = tooLarge(n)
			continue
		}
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: m}})
	}
	return s.writeBatch(ctx, writes)
}
