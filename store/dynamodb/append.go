package dynamodb

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

type entry = intake.Entry

// foundItem gives the verdict on an entry whose id is in the table already.
func foundItem(e *entry, old item, again bool) {
	stored, err := decode(old)
	if err != nil {
		e.Result.Err = err
		return
	}
	e.Found(stored, again)
}

// Append implements audit.Store. Each record is one PutItem that does nothing
// where the id is taken, Options.Parallel of them at a time: so an id is never
// given other content, whoever else writes it at the same moment. A record is
// stored or not by itself; what was throttled to the end has a retryable error.
func (s *Store) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	b := intake.NewBatch(recs, false)
	if err := s.prepare(ctx, plain, b.Entries); err != nil {
		return nil, err
	}
	var down atomic.Pointer[error] // what one record met after all its attempts, the rest need not meet again
	err = s.each(ctx, len(b.Entries), func(ctx context.Context, i int) error {
		e := b.Entries[i]
		if err := down.Load(); err != nil {
			e.Result.Err = *err
			return nil
		}
		err := s.put(ctx, e)
		if err != nil && audit.Retryable(err) {
			down.Store(&err)
		}
		e.Result.Err = err
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b.Results()
}

// prepare writes down what must be known of the entries before they are stored.
func (s *Store) prepare(ctx context.Context, set scopeSet, entries []*entry) error {
	seen := map[audit.Scope]bool{}
	var partitions []string
	for _, e := range entries {
		if scope := e.Rec.Scope(); !seen[scope] {
			seen[scope] = true
			partitions = append(partitions, partition(scope))
		}
	}
	if err := s.noteLeads(ctx, entries); err != nil {
		return err
	}
	return s.enter(ctx, set, partitions)
}

// put stores one record unless its id is taken.
func (s *Store) put(ctx context.Context, e *entry) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	holds, err := s.holdsInForce(ctx)
	if err != nil {
		return err
	}
	m, _ := s.stamped(e.Rec, holds)
	if n := sizeOf(m); n > maxItem {
		return tooLarge(n)
	}
	if e.Rec.Kind == audit.KindPrune {
		if err := s.notePrune(ctx, e.Rec); err != nil {
			return err
		}
	}
	_, again, err := call(ctx, s, s.client.PutItem, &dynamodb.PutItemInput{
		TableName: aws.String(s.opt.TableName), Item: m,
		ConditionExpression:                 aws.String("attribute_not_exists(id)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var taken *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		e.Put()
		return nil
	case !errors.As(err, &taken):
		return s.translate(ctx, err, 1)
	}
	foundItem(e, taken.Item, again)
	return e.Result.Err
}

// notePrune says, where questions find it, that a record is an anchor.
func (s *Store) notePrune(ctx context.Context, r *audit.Record) error {
	_, err := ask(ctx, s, s.client.PutItem, &dynamodb.PutItemInput{TableName: aws.String(s.opt.TableName), Item: pruneItem(r)})
	return err
}

func pruneItem(r *audit.Record) item {
	part := partition(r.Scope())
	return item{
		attrID:         text(pruneKey(part, r.ID)),
		attrActionID:   text(prunePartition(part)),
		attrDispatched: number(r.OccurredAt.UnixMilli()),
	}
}
