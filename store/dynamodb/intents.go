package dynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/annals-dev/annals/audit"
)

// openOnly lets those intents pass whose action has no outcome. Each is one
// question to the index over actions, so they are looked at several at a time.
type openOnly struct {
	s     *Store
	src   source
	batch int
	ready []*audit.Record
	over  bool
}

// openBatch is how many intents are looked at together.
func openBatch(want int) int {
	if want <= 0 {
		return 256
	}
	return min(want+1, 256)
}

func (o *openOnly) next(ctx context.Context) (*audit.Record, error) {
	for len(o.ready) == 0 {
		if o.over {
			return nil, nil
		}
		var some []*audit.Record
		for len(some) < o.batch {
			r, err := o.src.next(ctx)
			if err != nil {
				return nil, err
			}
			if r == nil {
				o.over = true
				break
			}
			some = append(some, r)
		}
		ended := make([]bool, len(some))
		err := o.s.each(ctx, len(some), func(ctx context.Context, i int) (err error) {
			ended[i], err = o.s.hasOutcome(ctx, some[i].Scope(), some[i].ActionID)
			return err
		})
		if err != nil {
			return nil, err
		}
		for i, r := range some {
			if !ended[i] {
				o.ready = append(o.ready, r)
			}
		}
	}
	r := o.ready[0]
	o.ready = o.ready[1:]
	return r, nil
}

// hasOutcome reports whether an action of the scope has an outcome.
func (s *Store) hasOutcome(ctx context.Context, scope audit.Scope, actionID string) (bool, error) {
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.opt.TableName), IndexName: aws.String(indexAction),
		KeyConditionExpression:    aws.String(attrActionID + " = :a"),
		FilterExpression:          aws.String(attrPartition + " = :p AND #outcome <> :pending"),
		ProjectionExpression:      aws.String(attrID),
		ExpressionAttributeNames:  map[string]string{"#outcome": nameOf("outcome")},
		ExpressionAttributeValues: item{":a": text(actionID), ":p": text(partition(scope)), ":pending": text(string(audit.Pending))},
		ScanIndexForward:          aws.Bool(false), // the outcome comes after its intent
	}
	for {
		out, err := ask(ctx, s, s.client.Query, in)
		if err != nil {
			return false, err
		}
		if len(out.Items) > 0 {
			return true, nil
		}
		if len(out.LastEvaluatedKey) == 0 {
			return false, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}
