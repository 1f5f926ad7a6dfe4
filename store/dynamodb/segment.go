package dynamodb

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// A chain that was copied from an engine whose writers have segments stands
// beside the own chain of its scope, to which alone records are appended. It has
// a head and fences of its own; which segments a scope has is in an item.

// attrSegments is the set of names in that item.
const attrSegments = "of_segments"

// noteSegment writes down that the chain is there, before its head is.
func (s *Store) noteSegment(ctx context.Context, part string, head chain.Head) error {
	if head.Segment == "" || head.Sequence > 0 {
		return nil
	}
	_, err := ask(ctx, s, s.client.UpdateItem, &dynamodb.UpdateItemInput{
		TableName: aws.String(s.opt.TableName), Key: keyOf(segmentsKey(part)),
		UpdateExpression:          aws.String("ADD " + attrSegments + " :s"),
		ExpressionAttributeValues: item{":s": &types.AttributeValueMemberSS{Value: []string{head.Segment}}},
	})
	return err
}

// segmentsOf reads the names of segments.
func segmentsOf(m item) []string {
	set, ok := m[attrSegments].(*types.AttributeValueMemberSS)
	if !ok {
		return nil
	}
	return slices.Sorted(slices.Values(set.Value))
}

// inChain gives a test of whether a record of the scope belongs to the chain. A
// segment that nobody knows is none: a record that names one belongs to the
// scope's own chain, and does not verify.
func (s *Store) inChain(ctx context.Context, part string, key chain.Key) (func(r *audit.Record) bool, error) {
	if key.Segment != "" {
		return func(r *audit.Record) bool { return r.Segment == key.Segment }, nil
	}
	m, err := s.getItem(ctx, segmentsKey(part))
	if err != nil {
		return nil, err
	}
	segments := segmentsOf(m)
	return func(r *audit.Record) bool { return r.Segment == "" || !slices.Contains(segments, r.Segment) }, nil
}
