package dynamodb

import (
	"context"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// Count implements audit.Counter. Where the filter expression says all that the
// question does, DynamoDB counts, and no record comes over the network; it reads,
// and charges for, every record of the window all the same. The scopes are
// counted several at a time.
func (s *Store) Count(ctx context.Context, q *audit.Query) (int64, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	all := *q
	all.After, all.Order = audit.Position{}, audit.OldestFirst
	if q.Open || q.Text != "" {
		src, err := s.open(ctx, &all, 0)
		if err != nil {
			return 0, err
		}
		return s.countSource(ctx, src)
	}
	sources, err := s.plan(ctx, &all, 0)
	if err != nil {
		return 0, err
	}
	var sum atomic.Int64
	err = s.each(ctx, len(sources), func(ctx context.Context, i int) error {
		n, err := s.countOne(ctx, sources[i])
		sum.Add(n)
		return err
	})
	return sum.Load(), err
}

func (s *Store) countOne(ctx context.Context, src source) (int64, error) {
	st, ok := src.(*stream)
	if !ok || !st.exact {
		return s.countSource(ctx, src)
	}
	if st.ended { // the window is empty
		return 0, nil
	}
	in := st.input
	in.Select = types.SelectCount
	var n int64
	for {
		out, err := ask(ctx, s, s.client.Query, &in)
		if err != nil {
			return 0, err
		}
		n += int64(out.Count)
		if len(out.LastEvaluatedKey) == 0 {
			return n, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func (s *Store) countSource(ctx context.Context, src source) (n int64, err error) {
	for {
		r, err := src.next(ctx)
		if err != nil || r == nil {
			return n, err
		}
		n++
	}
}
