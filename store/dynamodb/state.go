package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// schemaVersion is the version of the layout of the items.
const schemaVersion = 1

const attrVersion = "version"

// adoptSchema marks a new table with the version, and refuses a table of a newer one.
func (s *Store) adoptSchema(ctx context.Context) error {
	have, _, err := s.version(ctx)
	if err != nil {
		return err
	}
	if have > schemaVersion {
		return audit.Invalid("table_name", "the DynamoDB table %s has the layout %d, this program knows %d: use a newer one", s.opt.TableName, have, schemaVersion)
	}
	if have == schemaVersion {
		return nil
	}
	_, _, err = call(ctx, s, s.client.PutItem, &dynamodb.PutItemInput{
		TableName:           aws.String(s.opt.TableName),
		Item:                item{attrID: text(ownKey(kindSchema, "")), attrVersion: number(schemaVersion)},
		ConditionExpression: aws.String("attribute_not_exists(id)"),
	})
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) {
		return nil // another process did
	}
	return s.translate(ctx, err, 1)
}

func (s *Store) version(ctx context.Context) (have, want int, err error) {
	out, err := s.getItem(ctx, ownKey(kindSchema, ""))
	if err != nil {
		return 0, schemaVersion, err
	}
	return int(numberOf(out[attrVersion])), schemaVersion, nil
}

// SchemaVersion implements audit.Migrator.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	return s.version(ctx)
}

// Ping implements audit.Pinger by one strongly consistent read.
func (s *Store) Ping(ctx context.Context) error {
	_, _, err := s.SchemaVersion(ctx)
	return err
}

// State implements audit.Stater. DynamoDB counts items and bytes every six hours.
func (s *Store) State(ctx context.Context) (map[string]string, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	table, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.readDirectory(ctx)
	if err != nil {
		return nil, err
	}
	state := map[string]string{
		"table":           s.opt.TableName,
		"region":          s.opt.Region,
		"status":          string(table.TableStatus),
		"items (about)":   strconv.FormatInt(aws.ToInt64(table.ItemCount), 10),
		"bytes (about)":   strconv.FormatInt(aws.ToInt64(table.TableSizeBytes), 10),
		"scopes":          strconv.Itoa(len(d.partitions(plain, chained))),
		"chains":          strconv.Itoa(len(d.of[chained])),
		"expired records": "deleted by DynamoDB (TTL)",
	}
	if s.opt.URL != "" {
		state["url"] = s.opt.URL
	}
	if s.opt.Sweep {
		state["expired records"] = "deleted by retention"
	}
	for _, x := range table.GlobalSecondaryIndexes {
		state["index "+aws.ToString(x.IndexName)] = fmt.Sprintf("%s, about %d bytes", x.IndexStatus, aws.ToInt64(x.IndexSizeBytes))
	}
	return state, nil
}

// getItem reads one item, strongly consistent; nil is none.
func (s *Store) getItem(ctx context.Context, key string) (item, error) {
	out, err := ask(ctx, s, s.client.GetItem, &dynamodb.GetItemInput{
		TableName: aws.String(s.opt.TableName), Key: keyOf(key), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// Get implements audit.Store, strongly consistent.
func (s *Store) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if ref.ID.IsZero() {
		return nil, audit.ErrNotFound
	}
	m, err := s.getItem(ctx, recordKey(partition(audit.Scope{Namespace: ref.Namespace, Tenant: ref.Tenant}), ref.ID))
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, audit.ErrNotFound
	}
	return decode(m)
}
