package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// DeleteExpired implements audit.Store; the oldest records of a scope go first.
// There is no transaction for all of it: anchors are stored first, and the
// records of each run are then removed from its beginning to its end.
//
// Without Options.Sweep what has expired is left to DynamoDB's TTL, and counts
// for nothing here. What is over the ceiling is deleted where TTL is not about to
// do so, because it was written with another ceiling or none. And what TTL has
// deleted from chains since the last call gets its anchors.
func (s *Store) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	d, err := s.readDirectory(ctx)
	if err != nil {
		return 0, err
	}
	if !s.opt.Sweep {
		cut.ExpiredAt = time.Time{}
		if err := s.accountAll(ctx, d); err != nil {
			return 0, err
		}
	}
	if limit <= 0 || cut.ExpiredAt.IsZero() && cut.RecordedBefore.IsZero() {
		return 0, nil
	}
	deleted := 0
	for parts := range slices.Chunk(d.partitions(plain, chained), s.opt.Parallel) {
		n, err := s.sweep(ctx, &cut, parts, limit-deleted)
		if deleted += n; err != nil || deleted >= limit {
			return deleted, err
		}
	}
	return deleted, nil
}

// sweep deletes at most limit records of the partitions.
func (s *Store) sweep(ctx context.Context, cut *audit.Cut, parts []string, limit int) (deleted int, err error) {
	found := make([][]*audit.Record, len(parts))
	err = s.each(ctx, len(parts), func(ctx context.Context, i int) (err error) {
		found[i], err = s.expired(ctx, cut, parts[i], limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, recs := range found {
		recs = recs[:min(len(recs), limit-deleted)]
		if len(recs) == 0 {
			continue
		}
		var outside, inside []*audit.Record
		for _, r := range recs {
			if r.Sequence == 0 {
				outside = append(outside, r)
			} else {
				inside = append(inside, r)
			}
		}
		n, err := s.removePlain(ctx, outside)
		if deleted += n; err != nil {
			return deleted, err
		}
		n, err = s.removeChained(ctx, parts[i], inside, cut.Reason)
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// errEnough ends a reading that has found what it wanted.
var errEnough = errors.New("enough")

// expired finds at most limit records of a partition that the cut selects, the
// oldest first. By expires_at there is no order, so that all are read; those over
// the ceiling are among the older ones.
func (s *Store) expired(ctx context.Context, cut *audit.Cut, part string, limit int) (found []*audit.Record, err error) {
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.opt.TableName), IndexName: aws.String(indexDispatched),
		KeyConditionExpression:    aws.String(attrPartition + " = :p"),
		ExpressionAttributeNames:  map[string]string{"#kind": nameOf("kind")},
		ExpressionAttributeValues: item{":p": text(part), ":event": text(string(audit.KindEvent))},
	}
	var due []string
	if !cut.ExpiredAt.IsZero() {
		due = append(due, "#expires <= :expired")
		in.ExpressionAttributeNames["#expires"] = nameOf("expires_at")
		in.ExpressionAttributeValues[":expired"] = number(cut.ExpiredAt.UnixMicro())
	} else {
		lead, err := s.leadOf(ctx, part)
		if err != nil {
			return nil, err
		}
		in.KeyConditionExpression = aws.String(attrPartition + " = :p AND " + attrDispatched + " <= :high")
		in.ExpressionAttributeValues[":high"] = number(cut.RecordedBefore.UnixMilli() + lead)
	}
	if !cut.RecordedBefore.IsZero() {
		over := "#recorded < :recorded"
		in.ExpressionAttributeNames["#recorded"] = nameOf("recorded_at")
		in.ExpressionAttributeValues[":recorded"] = number(cut.RecordedBefore.UnixMicro())
		if !s.opt.Sweep {
			over = "(#recorded < :recorded AND (attribute_not_exists(" + attrTTL + ") OR " + attrTTL + " > :now))"
			in.ExpressionAttributeValues[":now"] = number(s.opt.Now().Unix())
		}
		due = append(due, over)
	}
	in.FilterExpression = aws.String("#kind = :event AND " + join(due, " OR "))
	err = s.pages(ctx, in, func(items []item) error {
		for _, m := range items {
			r, err := decode(m)
			if err != nil {
				return err
			}
			if cut.Selects(r) {
				found = append(found, r)
			}
			if len(found) >= limit {
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// removePlain deletes records outside any chain and counts those that it found.
func (s *Store) removePlain(ctx context.Context, recs []*audit.Record) (int, error) {
	var deleted atomic.Int64
	err := s.each(ctx, len(recs), func(ctx context.Context, i int) error {
		r := recs[i]
		_, _, err := call(ctx, s, s.client.DeleteItem, &dynamodb.DeleteItemInput{
			TableName: aws.String(s.opt.TableName), Key: keyOf(recordKey(partition(r.Scope()), r.ID)),
			// The id may have been given to another record since.
			ConditionExpression:       aws.String("#recorded = :recorded AND attribute_not_exists(" + attrSequence + ")"),
			ExpressionAttributeNames:  map[string]string{"#recorded": nameOf("recorded_at")},
			ExpressionAttributeValues: item{":recorded": number(r.RecordedAt.UnixMicro())},
		})
		var gone *types.ConditionalCheckFailedException
		if errors.As(err, &gone) {
			return nil
		}
		if err == nil {
			deleted.Add(1)
		}
		return s.translate(ctx, err, 1)
	})
	return int(deleted.Load()), err
}

// removeChained deletes records of the chains of one scope, after their anchors are
// stored.
func (s *Store) removeChained(ctx context.Context, part string, recs []*audit.Record, reason string) (int, error) {
	recs, err := s.present(ctx, part, recs)
	if err != nil || len(recs) == 0 {
		return 0, err
	}
	slices.SortFunc(recs, func(a, b *audit.Record) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Sequence, b.Sequence))
	})
	var links []chain.Link
	for i, r := range recs {
		links = append(links, chain.Link{Sequence: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
		if i+1 < len(recs) && recs[i+1].Segment == r.Segment {
			continue
		}
		if err := s.anchor(ctx, chain.KeyOf(r), links, reason); err != nil {
			return 0, err
		}
		links = nil
	}
	deleted := 0
	for some := range slices.Chunk(recs, maxActions/2) {
		n, err := s.removeLinks(ctx, part, some)
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// present leaves out what an index still shows although it is gone.
func (s *Store) present(ctx context.Context, part string, recs []*audit.Record) ([]*audit.Record, error) {
	keys := make([]string, len(recs))
	for i, r := range recs {
		keys[i] = recordKey(part, r.ID)
	}
	items, err := s.getItems(ctx, keys)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(recs, func(r *audit.Record) bool {
		return digestOf(items[recordKey(part, r.ID)][attrHash]) != r.Hash
	}), nil
}

// anchor appends what stands for removed links of a chain, which are in order: to
// that chain, or to the scope's own where it is a segment.
func (s *Store) anchor(ctx context.Context, key chain.Key, links []chain.Link, reason string) error {
	var entries []*entry
	for runs := range slices.Chunk(chain.Runs(links), chain.MaxRuns) {
		a := chain.Anchor(key, runs, reason, s.opt.Now())
		entries = append(entries, &entry{Rec: a})
	}
	if err := s.prepare(ctx, chained, entries); err != nil {
		return err
	}
	if !s.lanes.Deliver(ctx, entries) {
		return s.interrupted(ctx)
	}
	for _, e := range entries {
		if e.Result.Err != nil {
			return e.Result.Err
		}
	}
	return nil
}

// removeLinks deletes records of a chain and their fences in one transaction,
// without those that are gone already.
func (s *Store) removeLinks(ctx context.Context, part string, recs []*audit.Record) (int, error) {
	for attempt := 0; len(recs) > 0; attempt++ {
		in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: token()}
		for _, r := range recs {
			in.TransactItems = append(in.TransactItems,
				types.TransactWriteItem{Delete: &types.Delete{
					TableName: aws.String(s.opt.TableName), Key: keyOf(recordKey(part, r.ID)),
					ConditionExpression: aws.String("#hash = :hash"), ExpressionAttributeNames: map[string]string{"#hash": attrHash},
					ExpressionAttributeValues: item{":hash": binary(r.Hash[:])},
				}},
				types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String(s.opt.TableName), Key: keyOf(fenceKey(part, r.Segment, r.Sequence))}})
		}
		_, _, err := call(ctx, s, s.client.TransactWriteItems, in)
		if err == nil {
			return len(recs), nil
		}
		var canceled *types.TransactionCanceledException
		if !errors.As(err, &canceled) {
			return 0, s.translate(ctx, err, 1)
		}
		left := make([]*audit.Record, 0, len(recs))
		for i, r := range recs {
			if 2*i >= len(canceled.CancellationReasons) || aws.ToString(canceled.CancellationReasons[2*i].Code) != "ConditionalCheckFailed" {
				left = append(left, r)
			}
		}
		if len(left) == len(recs) && attempt >= s.opt.MaxRetries {
			return 0, audit.Unavailable(s.name()+" canceled a deletion again and again", err)
		}
		if recs = left; len(recs) > 0 {
			if err := pause(ctx, attempt); err != nil {
				return 0, s.interrupted(ctx)
			}
		}
	}
	return 0, nil
}
