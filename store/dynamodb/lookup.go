package dynamodb

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/annals-dev/annals/audit"
)

// bySequence reads records by their places in the chains of the partitions.
func (s *Store) bySequence(ctx context.Context, q *audit.Query, parts, sequences []string) ([]source, error) {
	found := make([][]*audit.Record, len(parts)*len(sequences))
	err := s.each(ctx, len(found), func(ctx context.Context, i int) error {
		in := &dynamodb.QueryInput{
			TableName: aws.String(s.opt.TableName), IndexName: aws.String(indexSequence),
			KeyConditionExpression:    aws.String(attrPartition + " = :p AND " + attrSequence + " = :s"),
			ExpressionAttributeValues: item{":p": text(parts[i/len(sequences)]), ":s": numeric(sequences[i%len(sequences)])},
		}
		return s.pages(ctx, in, func(items []item) error {
			for _, m := range items {
				r, err := decode(m)
				if err != nil {
					return err
				}
				found[i] = append(found[i], r)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	var recs []*audit.Record
	for _, some := range found {
		recs = append(recs, some...)
	}
	return inOrder(q, recs), nil
}

// byNotes reads the anchors of the partitions: notes in the index over actions
// say which records they are.
func (s *Store) byNotes(ctx context.Context, q *audit.Query, parts []string) ([]source, error) {
	found := make([][]string, len(parts))
	err := s.each(ctx, len(parts), func(ctx context.Context, i int) error {
		in := &dynamodb.QueryInput{
			TableName: aws.String(s.opt.TableName), IndexName: aws.String(indexAction),
			KeyConditionExpression:    aws.String(attrActionID + " = :a"),
			ExpressionAttributeValues: item{":a": text(prunePartition(parts[i]))},
		}
		return s.pages(ctx, in, func(items []item) error {
			for _, m := range items {
				_, record, ok := strings.Cut(textOf(m[attrID]), "#")
				if ok {
					found[i] = append(found[i], record)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, some := range found {
		keys = append(keys, some...)
	}
	return s.byKeys(ctx, q, keys)
}

// pages reads all pages of a query.
func (s *Store) pages(ctx context.Context, in *dynamodb.QueryInput, fn func(items []item) error) error {
	for {
		out, err := ask(ctx, s, s.client.Query, in)
		if err != nil {
			return err
		}
		if err := fn(out.Items); err != nil {
			return err
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}
