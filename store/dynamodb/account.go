package dynamodb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// TTL deletes without a word. The fence of a chained record outlives it and
// holds what an anchor needs: sequence, both hashes, and the time from which the
// record may be gone. So what is gone is found by the fences that are due, gets
// its anchors, and only then the fences go too.
//
// This happens when retention runs, and before a chain is read, so that a
// verification has no cause for alarm.

// ReasonTTL is the reason in anchors for what DynamoDB's TTL has deleted.
const ReasonTTL = "expired (DynamoDB TTL)"

const (
	maxAccount  = 20_000 // fences looked at by one call for one chain
	stillThere  = 3      // batches, all of whose records are there, after which no more are looked at
	accountRest = lag    // how long a chain that is read is not looked at again
	maxTurns    = 4096   // chains whose last look is remembered
)

// accounts says when chains were accounted for last, before they were read.
type accounts struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// accountAll writes the anchors that are missing in all chains.
func (s *Store) accountAll(ctx context.Context, d *directory) error {
	parts := d.partitions(chained)
	return s.each(ctx, len(parts), func(ctx context.Context, i int) error { return s.account(ctx, parts[i]) })
}

// accountBeforeReading does so for one chain, unless it was just done. Who may
// only read cannot; then it is left to retention.
func (s *Store) accountBeforeReading(ctx context.Context, part string) error {
	if s.opt.Sweep || !s.accounts.turn(part) {
		return nil
	}
	if err := s.account(ctx, part); err != nil {
		return s.interrupted(ctx)
	}
	return nil
}

// turn reports whether it is time to look at a chain again.
func (a *accounts) turn(part string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.last[part]) < accountRest {
		return false
	}
	if a.last == nil || len(a.last) > maxTurns {
		a.last = map[string]time.Time{}
	}
	a.last[part] = time.Now()
	return true
}

// fence is what the fence of a record tells.
type fence struct {
	key     string
	record  string
	segment string // that of the chain
	link    chain.Link
}

// account writes the anchors for what TTL has deleted from one chain.
func (s *Store) account(ctx context.Context, part string) error {
	scope, ok := scopeOf(part)
	if !ok {
		return nil
	}
	gone, err := s.goneFences(ctx, part)
	if err != nil || len(gone) == 0 {
		return err
	}
	bySegment := map[string][]fence{}
	for _, f := range gone {
		bySegment[f.segment] = append(bySegment[f.segment], f)
	}
	for _, segment := range slices.Sorted(maps.Keys(bySegment)) {
		key := chain.Key{Scope: scope, Segment: segment}
		links, err := s.unanchored(ctx, key, bySegment[segment])
		if err != nil {
			return err
		}
		if len(links) > 0 {
			if err := s.anchor(ctx, key, links, ReasonTTL); err != nil {
				return err
			}
		}
	}
	chunks := slices.Collect(slices.Chunk(gone, maxBatchWrite))
	return s.each(ctx, len(chunks), func(ctx context.Context, i int) error {
		var writes []types.WriteRequest
		for _, f := range chunks[i] {
			writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: keyOf(f.key)}})
		}
		return s.writeBatch(ctx, writes)
	})
}

// unanchored gives, in order, the links that no anchor names yet: fences may be
// left of an earlier account that was cut off, or that may not delete.
func (s *Store) unanchored(ctx context.Context, key chain.Key, gone []fence) ([]chain.Link, error) {
	q := &audit.Query{Order: audit.OldestFirst, Filters: []audit.Filter{audit.Is("kind", string(audit.KindPrune))}}
	sources, err := s.byNotes(ctx, q, []string{partition(key.Scope)})
	if err != nil {
		return nil, err
	}
	var runs []chain.Run
	for {
		r, err := sources[0].next(ctx)
		if err != nil {
			return nil, err
		}
		if r == nil {
			break
		}
		var payload struct {
			Segment string      `json:"segment"`
			Runs    []chain.Run `json:"runs"`
		}
		if json.Unmarshal(r.Payload, &payload) == nil && payload.Segment == key.Segment { // else it is no anchor of ours
			runs = append(runs, payload.Runs...)
		}
	}
	slices.SortFunc(runs, func(a, b chain.Run) int { return cmp.Compare(a.First, b.First) })
	slices.SortFunc(gone, func(a, b fence) int { return cmp.Compare(a.link.Sequence, b.link.Sequence) })
	var links []chain.Link
	covered := int64(0)
	for _, f := range gone {
		for len(runs) > 0 && runs[0].First <= f.link.Sequence {
			covered, runs = max(covered, runs[0].Last), runs[1:]
		}
		if f.link.Sequence > covered {
			links = append(links, f.link)
		}
	}
	return links, nil
}

// goneFences gives the due fences whose records are gone.
func (s *Store) goneFences(ctx context.Context, part string) (gone []fence, err error) {
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.opt.TableName), IndexName: aws.String(indexDispatched),
		KeyConditionExpression:    aws.String(attrPartition + " = :p AND " + attrDispatched + " <= :now"),
		ExpressionAttributeValues: item{":p": text(duePartition(part)), ":now": number(s.opt.Now().UnixMilli())},
		Limit:                     aws.Int32(maxBatchGet),
	}
	looked, full := 0, 0
	err = s.pages(ctx, in, func(items []item) error {
		fences := make([]fence, 0, len(items))
		keys := make([]string, 0, len(items))
		for _, m := range items {
			f, ok := readFence(m)
			if !ok {
				continue
			}
			fences, keys = append(fences, f), append(keys, f.record)
		}
		records, err := s.getItems(ctx, keys)
		if err != nil {
			return err
		}
		before := len(gone)
		for _, f := range fences {
			// The id may have been given to another record since.
			if digestOf(records[f.record][attrHash]) != f.link.Hash {
				gone = append(gone, f)
			}
		}
		if looked += len(items); len(gone) == before {
			full++ // TTL deletes about in the order of time
		}
		if looked >= maxAccount || full >= stillThere {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return gone, err
}

func readFence(m item) (fence, bool) {
	f := fence{key: textOf(m[attrID]), record: textOf(m[attrRecord])}
	segment, sequence, ok := splitFenceKey(f.key)
	if !ok || f.record == "" {
		return fence{}, false
	}
	f.segment = segment
	f.link = chain.Link{Sequence: sequence, PrevHash: digestOf(m[attrPrev]), Hash: digestOf(m[attrHash])}
	return f, true
}

// writeBatch makes one BatchWriteItem and repeats what it leaves undone.
func (s *Store) writeBatch(ctx context.Context, writes []types.WriteRequest) error {
	for attempt := 0; len(writes) > 0; {
		out, err := ask(ctx, s, s.client.BatchWriteItem, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{s.opt.TableName: writes},
		})
		if err != nil {
			return err
		}
		left := out.UnprocessedItems[s.opt.TableName]
		if len(left) == 0 {
			return nil
		}
		if attempt++; len(left) < len(writes) {
			attempt = 1 // it goes on
		}
		if writes = left; attempt > s.opt.MaxRetries {
			return audit.Unavailable(s.name()+" is throttled: it leaves items unwritten, after "+strconv.Itoa(attempt)+" attempts", nil)
		}
		if err := pause(ctx, attempt-1); err != nil {
			return s.interrupted(ctx)
		}
	}
	return nil
}
