package dynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// walkPage is how many records of a walk are handed out at a time.
const walkPage = 500

// Walk implements chain.Reader over the index of the chains, page by page.
func (s *Store) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if to < from {
		return nil
	}
	part := partition(key.Scope)
	if err := s.accountBeforeReading(ctx, part); err != nil {
		return err
	}
	inChain, err := s.inChain(ctx, part, key)
	if err != nil {
		return err
	}
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.opt.TableName), IndexName: aws.String(indexSequence),
		KeyConditionExpression:    aws.String(attrPartition + " = :p AND " + attrSequence + " BETWEEN :from AND :to"),
		ExpressionAttributeValues: item{":p": text(part), ":from": number(from), ":to": number(to)},
		Limit:                     aws.Int32(walkPage),
	}
	return s.pages(ctx, in, func(items []item) error {
		if len(items) == 0 {
			return nil
		}
		if err := s.interrupted(ctx); err != nil {
			return err
		}
		recs := make([]*audit.Record, 0, len(items))
		for _, m := range items {
			r, err := decode(m)
			if err != nil {
				return err
			}
			if inChain(r) {
				recs = append(recs, r)
			}
		}
		if len(recs) == 0 {
			return nil
		}
		return fn(recs)
	})
}

// Unchained implements chain.Reader. It reads the scope only where records
// outside the chain were ever written to it.
func (s *Store) Unchained(ctx context.Context, scope audit.Scope) (int64, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	part := partition(scope)
	shard, err := s.getItem(ctx, ownKey(kindDir, shardOf(part)))
	if err != nil {
		return 0, err
	}
	if !contains(shard[attrPlain], part) {
		return 0, nil
	}
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.opt.TableName), IndexName: aws.String(indexDispatched), Select: types.SelectCount,
		KeyConditionExpression:    aws.String(attrPartition + " = :p"),
		FilterExpression:          aws.String("attribute_not_exists(" + attrSequence + ")"),
		ExpressionAttributeValues: item{":p": text(part)},
	}
	var n int64
	for {
		out, err := ask(ctx, s, s.client.Query, in)
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
