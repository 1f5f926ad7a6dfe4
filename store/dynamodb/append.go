package dynamodb

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// entry is one record on its way into the table.
type entry struct {
	rec    *audit.Record // a copy of our own
	at     []int         // its places in the batch, the first one that of the record itself
	result audit.Result
	stored *audit.Record // what the id stands for afterwards; nil where that is not known
}

// gather makes entries of a batch: one for each id, in the order of the first
// record with it. What can never be stored has its verdict in results at once.
func gather(recs []*audit.Record, chained bool, results []audit.Result) []*entry {
	entries := make([]*entry, 0, len(recs))
	byRef := make(map[audit.Ref]*entry, len(recs))
	for i, r := range recs {
		switch {
		case r.ID.IsZero():
			results[i].Err = audit.Invalid("id", "is required")
			continue
		case !chained && (r.Sequence != 0 || !r.Hash.IsZero()):
			// A position that no chain gave would be one that no verification can explain.
			results[i].Err = audit.Invalid("sequence", "is set: a record with a place in a chain cannot be appended outside it")
			continue
		}
		ref := r.Ref()
		e, ok := byRef[ref]
		if !ok {
			e = &entry{rec: r}
			byRef[ref] = e
			entries = append(entries, e)
		}
		e.at = append(e.at, i)
	}
	return entries
}

// tell writes the verdicts on an entry into the results of its batch: the first
// record has that of the entry, those that repeat it are compared with what is
// stored now.
func (e *entry) tell(recs []*audit.Record, results []audit.Result) {
	results[e.at[0]] = e.result
	for _, i := range e.at[1:] {
		switch {
		case e.stored == nil:
			results[i].Err = e.result.Err
		case audit.SameContent(e.stored, recs[i]):
			results[i] = audit.Result{Duplicate: true, Sequence: e.stored.Sequence, Hash: e.stored.Hash}
		default:
			results[i].Err = audit.ErrConflict
		}
	}
}

// found gives the verdict on an entry whose id is in the table already.
func (e *entry) found(old item) {
	stored, err := decode(old)
	if err != nil {
		e.result.Err = err
		return
	}
	e.stored = stored
	if audit.SameContent(stored, e.rec) {
		e.result = audit.Result{Duplicate: true, Sequence: stored.Sequence, Hash: stored.Hash}
	} else {
		e.result.Err = audit.ErrConflict
	}
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
	results := make([]audit.Result, len(recs))
	entries := gather(recs, false, results)
	if err := s.prepare(ctx, plain, entries); err != nil {
		return nil, err
	}
	var down atomic.Pointer[error] // what one record met after all its attempts, the rest need not meet again
	err = s.each(ctx, len(entries), func(ctx context.Context, i int) error {
		e := entries[i]
		if err := down.Load(); err != nil {
			e.result.Err = *err
			return nil
		}
		err := s.put(ctx, e)
		if err != nil && audit.Retryable(err) {
			down.Store(&err)
		}
		e.result.Err = err
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.conclude(entries, recs, results); err != nil {
		return nil, err
	}
	return results, nil
}

// conclude fills in the results. Where not one record was stored and all failed
// alike, nothing is known of any: that is an error of the batch.
func (s *Store) conclude(entries []*entry, recs []*audit.Record, results []audit.Result) error {
	failed := 0
	var last error
	for _, e := range entries {
		if e.result.Err != nil && audit.Retryable(e.result.Err) {
			failed, last = failed+1, e.result.Err
		}
		e.tell(recs, results)
	}
	if failed > 0 && failed == len(entries) {
		return last
	}
	return nil
}

// prepare writes down what must be known of the entries before they are stored.
func (s *Store) prepare(ctx context.Context, set scopeSet, entries []*entry) error {
	seen := map[audit.Scope]bool{}
	var partitions []string
	for _, e := range entries {
		if scope := e.rec.Scope(); !seen[scope] {
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
	m, _ := s.stamped(e.rec, holds)
	if n := sizeOf(m); n > maxItem {
		return tooLarge(n)
	}
	if e.rec.Kind == audit.KindPrune {
		if err := s.notePrune(ctx, e.rec); err != nil {
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
		e.stored = e.rec
		return nil
	case !errors.As(err, &taken):
		return s.translate(ctx, err, 1)
	}
	e.found(taken.Item)
	if e.result.Duplicate && again && identical(e.stored, e.rec) {
		// An attempt whose answer was lost stored it: what the first attempt would
		// have said still holds.
		e.result.Duplicate = false
	}
	return e.result.Err
}

// identical reports whether two records are the same in every field.
func identical(a, b *audit.Record) bool {
	for _, at := range attributes {
		switch at.Kind {
		case audit.Text, audit.Document:
			if at.Text(a) != at.Text(b) {
				return false
			}
		case audit.Hash:
			if string(at.Bytes(a)) != string(at.Bytes(b)) {
				return false
			}
		default:
			if at.Int(a) != at.Int(b) {
				return false
			}
		}
	}
	return true
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
