package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// The indexes; each projects everything.
const (
	indexDispatched = "ns_tenant_dispatched"
	indexSequence   = "ns_tenant_sequence"
	indexAction     = "action_id_index"
)

// indexes are the keys of the indexes: partition and sort key.
var indexes = []struct{ name, partition, sort string }{
	{indexDispatched, attrPartition, attrDispatched},
	{indexSequence, attrPartition, attrSequence},
	{indexAction, attrActionID, attrDispatched},
}

// keyTypes are the types of the attributes that are keys.
var keyTypes = []types.AttributeDefinition{
	{AttributeName: aws.String(attrID), AttributeType: types.ScalarAttributeTypeS},
	{AttributeName: aws.String(attrPartition), AttributeType: types.ScalarAttributeTypeS},
	{AttributeName: aws.String(attrDispatched), AttributeType: types.ScalarAttributeTypeN},
	{AttributeName: aws.String(attrSequence), AttributeType: types.ScalarAttributeTypeN},
	{AttributeName: aws.String(attrActionID), AttributeType: types.ScalarAttributeTypeS},
}

func keySchema(partition, sort string) []types.KeySchemaElement {
	keys := []types.KeySchemaElement{{AttributeName: aws.String(partition), KeyType: types.KeyTypeHash}}
	if sort != "" {
		keys = append(keys, types.KeySchemaElement{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange})
	}
	return keys
}

// tableInput describes the table.
func tableInput(name string) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName: aws.String(name), BillingMode: types.BillingModePayPerRequest,
		KeySchema: keySchema(attrID, ""), AttributeDefinitions: keyTypes,
	}
	for _, x := range indexes {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(x.name), KeySchema: keySchema(x.partition, x.sort),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		})
	}
	return in
}

// Waiting for the table: how often it is looked at, and how long.
const (
	tableLook     = 50 * time.Millisecond
	tablePatience = 2 * time.Minute
)

// create makes the table, its indexes and its TTL unless they are there, and
// waits until all is ready. Several processes may do so at the same time.
func (s *Store) create(ctx context.Context) error {
	_, err := s.describe(ctx)
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		_, err = ask(ctx, s, s.client.CreateTable, tableInput(s.opt.TableName))
		var taken *types.ResourceInUseException
		if errors.As(err, &taken) {
			err = nil // somebody else makes it
		}
	}
	if err != nil {
		return err
	}
	if err := s.awaitActive(ctx); err != nil {
		return err
	}
	enabled, err := s.ttlEnabled(ctx)
	if err != nil || enabled {
		return err
	}
	_, err = ask(ctx, s, s.client.UpdateTimeToLive, &dynamodb.UpdateTimeToLiveInput{
		TableName:               aws.String(s.opt.TableName),
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(attrTTL), Enabled: aws.Bool(true)},
	})
	if err != nil {
		// Somebody else may have been faster.
		if enabled, look := s.ttlEnabled(ctx); look == nil && enabled {
			return nil
		}
	}
	return err
}

// awaitActive waits until the table and its indexes can be used.
func (s *Store) awaitActive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tablePatience)
	defer cancel()
	for {
		table, err := s.describe(ctx)
		if err != nil {
			return err
		}
		faults, waiting := inspect(table)
		if len(faults) > 0 {
			return s.unfit(faults)
		}
		if !waiting {
			return nil
		}
		if err := sleep(ctx, tableLook); err != nil {
			return audit.Unavailable(s.name()+" is still being made", err)
		}
	}
}

// check wants the table to be there as it should be.
func (s *Store) check(ctx context.Context) error {
	table, err := s.describe(ctx)
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return audit.Invalid("table_name", "there is no DynamoDB table %s in %s: make it first (docs/backends/dynamodb.md)", s.opt.TableName, s.opt.Region)
	}
	if err != nil {
		return err
	}
	faults, waiting := inspect(table)
	if waiting {
		faults = append(faults, "it or one of its indexes is not ACTIVE yet")
	}
	if !s.opt.Sweep {
		enabled, err := s.ttlEnabled(ctx)
		if err != nil {
			return err
		}
		if !enabled {
			faults = append(faults, "its TTL on the attribute "+attrTTL+" is not enabled")
		}
	}
	if len(faults) > 0 {
		return s.unfit(faults)
	}
	return nil
}

func (s *Store) unfit(faults []string) error {
	return audit.Invalid("table_name", "the DynamoDB table %s cannot be used: %s", s.opt.TableName, strings.Join(faults, "; "))
}

func (s *Store) describe(ctx context.Context) (*types.TableDescription, error) {
	out, err := ask(ctx, s, s.client.DescribeTable, &dynamodb.DescribeTableInput{TableName: aws.String(s.opt.TableName)})
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// inspect says what is wrong with the table, and whether it is still being made.
func inspect(table *types.TableDescription) (faults []string, waiting bool) {
	if !sameKeys(table.KeySchema, keySchema(attrID, "")) {
		faults = append(faults, "its key must be "+attrID+" alone")
	}
	for _, want := range keyTypes {
		if !slices.ContainsFunc(table.AttributeDefinitions, func(got types.AttributeDefinition) bool {
			return *got.AttributeName == *want.AttributeName && got.AttributeType == want.AttributeType
		}) {
			faults = append(faults, fmt.Sprintf("its attribute %s must be a key of type %s", *want.AttributeName, want.AttributeType))
		}
	}
	waiting = table.TableStatus != types.TableStatusActive && table.TableStatus != types.TableStatusUpdating
	for _, want := range indexes {
		at := slices.IndexFunc(table.GlobalSecondaryIndexes, func(got types.GlobalSecondaryIndexDescription) bool { return *got.IndexName == want.name })
		if at < 0 {
			faults = append(faults, "it has no index "+want.name)
			continue
		}
		got := table.GlobalSecondaryIndexes[at]
		if !sameKeys(got.KeySchema, keySchema(want.partition, want.sort)) {
			faults = append(faults, fmt.Sprintf("its index %s must have the keys %s and %s", want.name, want.partition, want.sort))
		}
		if got.Projection == nil || got.Projection.ProjectionType != types.ProjectionTypeAll {
			faults = append(faults, "its index "+want.name+" must project ALL")
		}
		waiting = waiting || got.IndexStatus == types.IndexStatusCreating
	}
	return faults, waiting
}

func sameKeys(a, b []types.KeySchemaElement) bool {
	return slices.EqualFunc(a, b, func(a, b types.KeySchemaElement) bool {
		return *a.AttributeName == *b.AttributeName && a.KeyType == b.KeyType
	})
}

// ttlEnabled reports whether DynamoDB deletes by our attribute.
func (s *Store) ttlEnabled(ctx context.Context) (bool, error) {
	out, err := ask(ctx, s, s.client.DescribeTimeToLive, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String(s.opt.TableName)})
	if err != nil {
		return false, err
	}
	d := out.TimeToLiveDescription
	if d == nil || d.TimeToLiveStatus != types.TimeToLiveStatusEnabled && d.TimeToLiveStatus != types.TimeToLiveStatusEnabling {
		return false, nil
	}
	if aws.ToString(d.AttributeName) != attrTTL {
		return false, audit.Invalid("table_name", "the DynamoDB table %s deletes by the attribute %s: it must be %s", s.opt.TableName, aws.ToString(d.AttributeName), attrTTL)
	}
	return true, nil
}
