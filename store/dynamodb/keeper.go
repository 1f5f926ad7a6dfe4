package dynamodb

import (
	"bytes"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// A document's item stays when the document is deleted, with the version but
// without the value: so no version comes twice.
const (
	attrValue = "value"
	attrSaver = "saver" // a random mark of the call that made this version
)

// Load implements audit.Keeper, strongly consistent.
func (s *Store) Load(ctx context.Context, key string) (value []byte, version int64, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	return s.load(ctx, ownKey(kindKept, key))
}

// Save implements audit.Keeper by one conditional update.
func (s *Store) Save(ctx context.Context, key string, value []byte, version int64) error {
	if err := audit.CheckKept(key, value, version); err != nil {
		return err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return s.save(ctx, ownKey(kindKept, key), value, version)
}

func (s *Store) load(ctx context.Context, id string) (value []byte, version int64, err error) {
	m, err := s.getItem(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if value = binaryOf(m[attrValue]); value == nil {
		return nil, 0, audit.ErrNotFound
	}
	return value, numberOf(m[attrVersion]), nil
}

func (s *Store) save(ctx context.Context, id string, value []byte, version int64) error {
	mark := newMark()
	in := &dynamodb.UpdateItemInput{
		TableName: aws.String(s.opt.TableName), Key: keyOf(id),
		UpdateExpression:                    aws.String("SET #saver = :saver, #value = :value ADD #version :one"),
		ConditionExpression:                 aws.String("attribute_not_exists(#value)"),
		ExpressionAttributeNames:            map[string]string{"#value": attrValue, "#version": attrVersion, "#saver": attrSaver},
		ExpressionAttributeValues:           item{":one": number(1), ":saver": binary(mark)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if version != 0 {
		in.ConditionExpression = aws.String("attribute_exists(#value) AND #version = :version")
		in.ExpressionAttributeValues[":version"] = number(version)
	}
	if value == nil {
		in.UpdateExpression = aws.String("SET #saver = :saver ADD #version :one REMOVE #value")
	} else {
		in.ExpressionAttributeValues[":value"] = binary(value)
	}
	_, again, err := call(ctx, s, s.client.UpdateItem, in)
	var moved *types.ConditionalCheckFailedException
	if errors.As(err, &moved) {
		if again && bytes.Equal(binaryOf(moved.Item[attrSaver]), mark) {
			return nil // an attempt whose answer was lost did it
		}
		return audit.ErrMoved
	}
	return s.translate(ctx, err, 1)
}
