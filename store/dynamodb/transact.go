package dynamodb

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Attributes of heads and fences.
const (
	attrLast   = "sequence" // of a head: the sequence of the last record
	attrHash   = "hash"     // of a head or fence: the hash of its record
	attrPrev   = "prev"     // of a fence: that of its record
	attrRecord = "record"   // of a fence: the key of its record
	attrMark   = "txn"      // the random mark of the transaction that wrote it
)

// fenceRoom is what a fence, a head or a note takes of a transaction at most.
const fenceRoom = 3 << 10

// newMark makes a random mark.
func newMark() []byte {
	mark := make([]byte, 16)
	_, _ = rand.Read(mark) // never fails
	return mark
}

// token makes a token by which DynamoDB knows a transaction again: within ten
// minutes it does it once, however often it is asked to.
func token() *string { return aws.String(hex.EncodeToString(newMark())) }

// actionsOf is how many items of a transaction a record takes.
func actionsOf(r *audit.Record) int {
	if r.Kind == audit.KindPrune {
		return 3
	}
	return 2
}

// ifNew is the condition that every new item has.
var ifNew = aws.String("attribute_not_exists(id)")

const allOld = types.ReturnValuesOnConditionCheckFailureAllOld

// transaction appends records to a chain: for each a fence and the record, both
// of which must be new, and the head, which must not have moved.
type transaction struct {
	in   *dynamodb.TransactWriteItemsInput
	mark []byte
	// of says which entry an action belongs to, and whether it is the record
	// itself; the action of the head belongs to none.
	of   []*entry
	recs []bool
	head chain.Head // afterwards
}

// build seals the entries after the head and makes their transaction. An entry
// that no item can hold has its verdict and is left out. nil: nothing is left.
func (l *lane) build(entries []*entry, holds []*audit.Query) *transaction {
	fit := make([]*audit.Record, 0, len(entries))
	t := &transaction{mark: newMark()}
	for _, e := range entries {
		if n := bytesOf(e.Rec); n > recordBytes {
			e.Result.Err = tooLarge(n + overhead)
			continue
		}
		fit = append(fit, e.Rec)
	}
	if len(fit) == 0 {
		return nil
	}
	t.head = chain.Seal(l.head, fit)
	l.s.fill(t, l.part, l.head, entries, holds)
	return t
}

// fill makes the items of a transaction that takes the chain from a head to that
// of the transaction. Entries that have their verdict are left out.
func (s *Store) fill(t *transaction, part string, from chain.Head, entries []*entry, holds []*audit.Query) {
	table := aws.String(s.opt.TableName)
	t.put(nil, false, &types.Put{TableName: table, Item: item{
		attrID: text(headKey(part, t.head.Segment)), attrLast: number(t.head.Sequence), attrHash: binary(t.head.Hash[:]), attrMark: binary(t.mark),
	}, ConditionExpression: ifNew})
	if from.Sequence > 0 {
		head := t.in.TransactItems[0].Put
		head.ConditionExpression = aws.String("#last = :last AND #hash = :hash")
		head.ExpressionAttributeNames = map[string]string{"#last": attrLast, "#hash": attrHash}
		head.ExpressionAttributeValues = item{":last": number(from.Sequence), ":hash": binary(from.Hash[:])}
	}
	for _, e := range entries {
		if e.Result.Err != nil {
			continue
		}
		m, d := s.stamped(e.Rec, holds)
		t.put(e, false, &types.Put{TableName: table, Item: fenceItem(part, e.Rec, t.mark, d), ConditionExpression: ifNew})
		t.put(e, true, &types.Put{TableName: table, Item: m, ConditionExpression: ifNew})
		if e.Rec.Kind == audit.KindPrune {
			t.put(e, false, &types.Put{TableName: table, Item: pruneItem(e.Rec)})
		}
	}
	t.in.ClientRequestToken = aws.String(hex.EncodeToString(t.mark))
}

func (t *transaction) put(e *entry, rec bool, put *types.Put) {
	if t.in == nil {
		t.in = &dynamodb.TransactWriteItemsInput{}
	}
	put.ReturnValuesOnConditionCheckFailure = allOld
	t.in.TransactItems = append(t.in.TransactItems, types.TransactWriteItem{Put: put})
	t.of, t.recs = append(t.of, e), append(t.recs, rec)
}

// fenceItem is the item that holds the place of a record in its chain. It
// outlives the record, so that what TTL deleted can be accounted for: then it is
// found in the index over time, at the time from which the record may be gone.
func fenceItem(part string, r *audit.Record, mark []byte, d due) item {
	m := item{
		attrID: text(fenceKey(part, r.Segment, r.Sequence)), attrRecord: text(recordKey(part, r.ID)),
		attrHash: binary(bytes.Clone(r.Hash[:])), attrMark: binary(mark),
	}
	if !r.PrevHash.IsZero() {
		m[attrPrev] = binary(bytes.Clone(r.PrevHash[:]))
	}
	switch {
	case d.at == 0:
	case d.held:
		m[attrHeld] = number(d.at)
	default:
		m[attrPartition], m[attrDispatched] = text(duePartition(part)), number(d.at*1000)
	}
	return m
}

// verdict is how a transaction ended.
type verdict int

const (
	done    verdict = iota
	behind          // another writer was first
	blocked         // another transaction is under way, or there is no capacity
	taken           // some of the ids are in the table; their entries have their verdicts
	failed
)

// send makes the transaction and says how it ended. After an answer that was
// lost, the same request under the same token tells: DynamoDB does it once.
func (s *Store) send(ctx context.Context, t *transaction) (verdict, error) {
	_, again, err := call(ctx, s, s.client.TransactWriteItems, t.in)
	if err == nil {
		return done, nil
	}
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		return failed, s.translate(ctx, err, 1)
	}
	return s.judge(t, canceled.CancellationReasons, again, err)
}

// judge reads the reasons, of which there is one for each action.
func (s *Store) judge(t *transaction, reasons []types.CancellationReason, again bool, cause error) (verdict, error) {
	v := failed
	moved, fenced := false, false
	var found []int
	for i, reason := range reasons {
		switch aws.ToString(reason.Code) {
		case "ConditionalCheckFailed":
			switch {
			case again && bytes.Equal(binaryOf(reason.Item[attrMark]), t.mark):
				return done, nil // an attempt whose answer was lost did it
			case t.of[i] == nil:
				moved = true
			case t.recs[i]:
				found = append(found, i)
			default:
				fenced = true
			}
		case "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError":
			v = blocked
		}
	}
	for _, i := range found {
		foundItem(t.of[i], reasons[i].Item, false)
	}
	switch {
	case moved:
		return behind, nil
	case fenced:
		return failed, &audit.Error{Code: audit.CodeInternal, Message: s.name() + ": a chain goes on after its head, so nothing can be appended to it", Cause: cause}
	case len(found) > 0:
		return taken, nil
	case v == failed:
		return failed, &audit.Error{Code: audit.CodeInternal, Message: s.name() + " canceled a transaction", Cause: cause}
	}
	return v, nil
}

// Commit implements [intake.Writer].
func (l *lane) Commit(entries []*entry) {
	ctx, cancel := context.WithTimeout(l.s.life, l.s.opt.Timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		entries = unsettled(entries)
		if len(entries) == 0 {
			return
		}
		err := l.advance(ctx, entries, attempt)
		if err == nil {
			continue
		}
		l.known = false
		for _, e := range unsettled(entries) {
			e.Result.Err = err
		}
		return
	}
}

// Tidy implements [intake.Writer].
func (l *lane) Tidy() {}

// unsettled are the entries that have no result yet.
func unsettled(entries []*entry) []*entry {
	var left []*entry
	for _, e := range entries {
		if !e.Settled() {
			left = append(left, e)
		}
	}
	return left
}

// advance makes one transaction; an error ends the attempts.
func (l *lane) advance(ctx context.Context, entries []*entry, attempt int) error {
	if d, ok := l.pace.silent(); ok {
		l.known = false // others may use the silence
		if err := sleep(ctx, d); err != nil {
			return l.s.busy(ctx, err)
		}
	}
	if !l.known {
		head, err := l.s.readHead(ctx, l.part, chain.Key{Scope: l.scope})
		if err != nil {
			return err
		}
		l.head, l.known = head, true
	}
	holds, err := l.s.holdsInForce(ctx)
	if err != nil {
		return err
	}
	t := l.build(entries, holds)
	if t == nil {
		return nil
	}
	began := time.Now()
	v, err := l.s.send(ctx, t)
	l.pace.note(time.Since(began))
	switch v {
	case done:
		l.pace.run++
		l.head = t.head
		for i, e := range t.of {
			if e != nil && t.recs[i] {
				e.Put()
			}
		}
		return nil
	case taken:
		return nil
	case blocked:
		// Perhaps by lack of capacity, which the head does not show.
		if err := pause(ctx, attempt); err != nil {
			return l.s.busy(ctx, err)
		}
		fallthrough
	case behind:
		l.known, l.pace.run, l.pace.rival = false, 0, time.Now()
		return l.listen(ctx)
	}
	return err
}

// busy is the error of a write that found no time among the others.
func (s *Store) busy(ctx context.Context, err error) error {
	if s.closed() {
		return audit.ErrClosed
	}
	return audit.Unavailable(s.name()+": others write the same chain all the time, or it is throttled", err)
}
