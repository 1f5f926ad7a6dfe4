package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// ApplyHolds makes the legal holds under [audit.HoldsKey] the ones that DynamoDB's
// own deletion heeds; see [audit.Holder].
// When it returns nil, no record that one of them selects has a time at which TTL
// deletes it, nor will one that is being written by any process; and records that
// only an earlier hold selected have their time again. It is idempotent, quick
// when nothing changed, and goes on where one that was cut off had stopped. With a
// change it reads what the holds select, and takes as long as the longest write
// may ([Options.Timeout]) and some seconds more.
//
// It has nothing to do where DeleteExpired alone deletes, see [Options.Sweep]:
// that heeds the holds of its cut.
func (s *Store) ApplyHolds(ctx context.Context) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if s.opt.Sweep {
		return nil
	}
	for {
		kept, version, err := s.announceHolds(ctx)
		if err != nil || kept.Applied {
			return err
		}
		if err := s.carryOut(ctx, kept, version); !errors.Is(err, audit.ErrConflict) {
			return err
		}
		// The holds were changed meanwhile.
	}
}

// carryOut makes the records agree with the holds that were announced in a
// version; ErrConflict: there is a later one.
func (s *Store) carryOut(ctx context.Context, kept keptHolds, version int64) error {
	announced := time.Now()
	holds, err := questions(kept.Params)
	if err != nil {
		return err
	}
	ended, err := questions(kept.Ended)
	if err != nil {
		return err
	}
	if err := s.protect(ctx, holds); err != nil {
		return err
	}
	// From then on every write heeds the holds; what was written until then by
	// those who did not know them is seen by the second look.
	if err := sleep(ctx, time.Until(announced.Add(s.opt.refresh+s.opt.Timeout+s.opt.CallTimeout+s.lag()))); err != nil {
		return s.interrupted(ctx)
	}
	if err := s.protect(ctx, holds); err != nil {
		return err
	}
	if err := s.free(ctx, ended, holds, version); err != nil {
		return err
	}
	kept.Ended, kept.Applied = nil, true
	return s.saveHolds(ctx, kept, version)
}

// announceHolds writes down the holds, for all writers to read. What was written
// last is read first and the holds afterwards: who has an older list meets another
// version when he saves it.
func (s *Store) announceHolds(ctx context.Context) (keptHolds, int64, error) {
	for {
		kept, version, err := s.loadHolds(ctx)
		if err != nil {
			return keptHolds{}, 0, err
		}
		params, err := s.legalHolds(ctx)
		if err != nil {
			return keptHolds{}, 0, err
		}
		if slices.Equal(kept.Params, params) {
			return kept, version, nil
		}
		for _, p := range append(kept.Params, kept.Ended...) {
			if !slices.Contains(params, p) && !slices.Contains(kept.Ended, p) {
				kept.Ended = append(kept.Ended, p)
			}
		}
		kept.Params, kept.Applied = params, false
		err = s.saveHolds(ctx, kept, version)
		if errors.Is(err, audit.ErrConflict) {
			continue
		}
		if err != nil {
			return keptHolds{}, 0, err
		}
		if kept, version, err = s.loadHolds(ctx); err != nil {
			return keptHolds{}, 0, err
		}
		s.holds.mu.Lock()
		s.holds.read = time.Time{}
		s.holds.mu.Unlock()
		if slices.Equal(kept.Params, params) {
			return kept, version, nil
		}
	}
}

// legalHolds gives the holds that package retention keeps, as URL parameters.
func (s *Store) legalHolds(ctx context.Context) ([]string, error) {
	doc, _, err := s.Load(ctx, audit.HoldsKey)
	if errors.Is(err, audit.ErrNotFound) {
		return []string{}, nil
	}
	if err != nil {
		return nil, err
	}
	holds, err := audit.ParseHolds(doc)
	if err != nil {
		return nil, err
	}
	params := make([]string, len(holds))
	for i, h := range holds {
		params[i] = h.Params().Encode()
	}
	slices.Sort(params)
	return slices.Compact(params), nil
}

func (s *Store) saveHolds(ctx context.Context, kept keptHolds, version int64) error {
	doc, err := json.Marshal(kept)
	if err != nil {
		return &audit.Error{Code: audit.CodeInternal, Message: "the holds cannot be written", Cause: err}
	}
	return s.save(ctx, ownKey(kindHolds, ""), doc, version)
}

// protect takes their time from the records that a hold selects.
func (s *Store) protect(ctx context.Context, holds []*audit.Query) error {
	for _, h := range holds {
		err := s.eachHeld(ctx, h, attrTTL, func(context.Context) error { return nil }, func(ctx context.Context, r *audit.Record) error {
			return s.update(ctx, r,
				change{"SET #held = " + attrTTL + " REMOVE " + attrTTL, "attribute_exists(" + attrTTL + ")", nil},
				change{"SET #held = :at REMOVE " + attrPartition + ", " + attrDispatched, "attribute_exists(id)", item{":at": number(s.dueOf(r, nil).at)}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// free gives their time back to records that an ended hold selects and none of
// those in force, as long as these are in force: like any writer it may go on for
// [Options.Timeout] with what it has read, and whoever announces others waits for that.
func (s *Store) free(ctx context.Context, ended, inForce []*audit.Query, version int64) error {
	still := func(ctx context.Context) error {
		_, now, err := s.loadHolds(ctx)
		if err == nil && now != version {
			err = audit.ErrConflict
		}
		return err
	}
	for _, h := range ended {
		err := s.eachHeld(ctx, h, attrHeld, still, func(ctx context.Context, r *audit.Record) error {
			d := s.dueOf(r, inForce)
			if d.held {
				return nil
			}
			if d.at == 0 { // the ceiling it was written with is gone
				return s.update(ctx, r, change{"REMOVE #held", "attribute_exists(#held)", nil}, change{"REMOVE #held", "attribute_exists(id)", nil})
			}
			return s.update(ctx, r,
				change{"SET " + attrTTL + " = :at REMOVE #held", "attribute_exists(#held)", item{":at": number(d.at)}},
				change{
					"SET " + attrPartition + " = :p, " + attrDispatched + " = :ms REMOVE #held", "attribute_exists(id)",
					item{":p": text(duePartition(partition(r.Scope()))), ":ms": number(d.at * 1000)},
				})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachHeld runs fn, several at a time, for the records that a hold selects and
// that have the attribute. It asks still before each lot of them, which then has
// [Options.Timeout].
func (s *Store) eachHeld(ctx context.Context, hold *audit.Query, attr string, still func(context.Context) error, fn func(context.Context, *audit.Record) error) error {
	q := *hold
	q.Order, q.After, q.Limit = audit.OldestFirst, audit.Position{}, 0
	sources, err := s.plan(ctx, &q, 0)
	if err != nil {
		return err
	}
	for _, src := range sources {
		if st, ok := src.(*stream); ok {
			st.mustHave(attr)
		}
	}
	src, err := s.merge(ctx, &q, sources)
	if err != nil {
		return err
	}
	for {
		var some []*audit.Record
		for len(some) < 4*s.opt.Parallel {
			r, err := src.next(ctx)
			if err != nil {
				return err
			}
			if r == nil {
				break
			}
			some = append(some, r)
		}
		if len(some) == 0 {
			return nil
		}
		if err := s.heldLot(ctx, still, some, fn); err != nil {
			return err
		}
	}
}

func (s *Store) heldLot(ctx context.Context, still func(context.Context) error, some []*audit.Record, fn func(context.Context, *audit.Record) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	if err := still(ctx); err != nil {
		return err
	}
	return s.each(ctx, len(some), func(ctx context.Context, i int) error { return fn(ctx, some[i]) })
}

// mustHave leaves out items without the attribute.
func (st *stream) mustHave(attr string) {
	names := map[string]string{"#must": attr}
	for short, long := range st.input.ExpressionAttributeNames {
		names[short] = long
	}
	st.input.ExpressionAttributeNames = names
	condition := "attribute_exists(#must)"
	if have := aws.ToString(st.input.FilterExpression); have != "" {
		condition = have + " AND " + condition
	}
	st.input.FilterExpression = aws.String(condition)
}

// change is an update of one item under a condition.
type change struct {
	update, condition string
	values            item
}

// update changes a record, and in a chain its fence in the same transaction. A
// condition that does not hold means that there is nothing to do any more.
func (s *Store) update(ctx context.Context, r *audit.Record, record, fence change) error {
	part := partition(r.Scope())
	actions := []types.TransactWriteItem{{Update: s.updateOf(recordKey(part, r.ID), record)}}
	if r.Sequence > 0 {
		actions = append(actions, types.TransactWriteItem{Update: s.updateOf(fenceKey(part, r.Segment, r.Sequence), fence)})
	}
	for attempt := 0; ; attempt++ {
		_, _, err := call(ctx, s, s.client.TransactWriteItems, &dynamodb.TransactWriteItemsInput{TransactItems: actions, ClientRequestToken: token()})
		var canceled *types.TransactionCanceledException
		if !errors.As(err, &canceled) {
			return s.translate(ctx, err, 1)
		}
		refused := false
		for _, reason := range canceled.CancellationReasons {
			refused = refused || aws.ToString(reason.Code) == "ConditionalCheckFailed"
		}
		if refused {
			return nil
		}
		if attempt >= s.opt.MaxRetries {
			return audit.Unavailable(s.name()+" canceled a change again and again", err)
		}
		if err := pause(ctx, attempt); err != nil {
			return s.interrupted(ctx)
		}
	}
}

func (s *Store) updateOf(key string, c change) *types.Update {
	u := &types.Update{
		TableName: aws.String(s.opt.TableName), Key: keyOf(key),
		UpdateExpression: aws.String(c.update), ConditionExpression: aws.String(c.condition),
		ExpressionAttributeNames: map[string]string{"#held": attrHeld}, ExpressionAttributeValues: c.values,
	}
	return u
}
