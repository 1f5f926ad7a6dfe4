package dynamodb

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/annals-dev/annals/audit"
)

// wholeMillis reports whether a bound of a window is one of milliseconds, in
// which the indexes are kept; no bound is.
func wholeMillis(t time.Time) bool { return t.IsZero() || t.Nanosecond()%int(time.Millisecond) == 0 }

// stream gives the records of one partition of an index over time that a
// question selects, in the total order. The index is in the order of
// milliseconds; within one, records are put in order here.
type stream struct {
	s      *Store
	q      *audit.Query
	after  audit.Position // zero, or where the stream goes on
	input  dynamodb.QueryInput
	exact  bool  // whether input says all that the question does
	page   int32 // items to ask for, before filtering; 0 is as many as fit into 1 MB
	limit  int32 // how far page may grow; 0 is without limit
	most   int   // records of one millisecond that are kept in memory at a time
	ready  []*audit.Record
	group  []*audit.Record // of the millisecond that is being read
	millis int64           // of the group
	cut    bool            // records of the group were dropped, and must be read again
	start  item            // where the next page begins
	rest   []item          // of the page, not looked at yet
	ended  bool            // there is no further page
	life   context.Context // of the whole walk; set to read a page while the one before is looked at
	coming chan answer     // the page that is being read ahead
}

// answer is a page, or why there is none.
type answer struct {
	out *dynamodb.QueryOutput
	err error
}

// maxGroup bounds how many records of one millisecond are held.
const maxGroup = 5000

// newStream makes a stream over the partition of an index; want is how many
// records are likely to be taken from it, 0 is all.
func (s *Store) newStream(q *audit.Query, index, key, partition string, x *expression, want int) *stream {
	st := &stream{s: s, q: q, after: q.After, most: maxGroup}
	if want > 0 {
		st.most = max(want, 100)
		st.page = int32(want + 1)
		if len(x.conditions) > 0 {
			st.page *= 4
		}
	}
	st.input = dynamodb.QueryInput{
		TableName: aws.String(s.opt.TableName), IndexName: aws.String(index),
		KeyConditionExpression:    aws.String(key + " = :key AND " + attrDispatched + " BETWEEN :low AND :high"),
		ExpressionAttributeValues: item{":key": text(partition)},
		ScanIndexForward:          aws.Bool(q.Order == audit.OldestFirst),
	}
	x.apply(&st.input)
	st.exact = x.exact
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if !q.From.IsZero() {
		low = floorMillis(q.From)
	}
	if !q.To.IsZero() {
		high = floorMillis(q.To.Add(-time.Microsecond))
	}
	if !q.After.IsZero() {
		if at := floorMillis(q.After.OccurredAt); q.Order == audit.OldestFirst {
			low = max(low, at)
		} else {
			high = min(high, at)
		}
	}
	st.ended = low > high
	st.input.ExpressionAttributeValues[":low"], st.input.ExpressionAttributeValues[":high"] = number(low), number(high)
	return st
}

func floorMillis(t time.Time) int64 { return t.UnixMilli() }

// next gives the next record; nil at the end.
func (st *stream) next(ctx context.Context) (*audit.Record, error) {
	for len(st.ready) == 0 {
		more, err := st.advance(ctx)
		if err != nil || !more {
			return nil, err
		}
	}
	r := st.ready[0]
	st.ready = st.ready[1:]
	return r, nil
}

// advance reads until a millisecond is complete; false at the end.
func (st *stream) advance(ctx context.Context) (bool, error) {
	for {
		for len(st.rest) > 0 {
			m := st.rest[0]
			if at := numberOf(m[attrDispatched]); at != st.millis && len(st.group) > 0 {
				st.release()
				return true, nil
			} else {
				st.millis = at
			}
			st.rest = st.rest[1:]
			if err := st.take(m); err != nil {
				return false, err
			}
		}
		if st.ended {
			if len(st.group) == 0 {
				return false, nil
			}
			st.release()
			return true, nil
		}
		if err := st.read(ctx); err != nil {
			return false, err
		}
	}
}

// take adds a record to the group, if the question selects it.
func (st *stream) take(m item) error {
	r, err := decode(m)
	if err != nil {
		return err
	}
	if !st.past(r.Position()) || !st.q.Match(r) {
		return nil
	}
	st.group = append(st.group, r)
	if len(st.group) >= 2*st.most {
		st.trim()
	}
	return nil
}

// past reports whether a position lies after the one at which the stream goes on.
func (st *stream) past(p audit.Position) bool {
	return st.after.IsZero() || st.compare(p, st.after) > 0
}

func (st *stream) compare(a, b audit.Position) int {
	if st.q.Order == audit.OldestFirst {
		return a.Compare(b)
	}
	return b.Compare(a)
}

// trim keeps the records of a large group that come first, and those that share
// the position of the last of them.
func (st *stream) trim() {
	slices.SortFunc(st.group, func(a, b *audit.Record) int { return st.compare(a.Position(), b.Position()) })
	n := st.most
	for n < len(st.group) && st.group[n].Position() == st.group[n-1].Position() {
		n++
	}
	if n < len(st.group) {
		clear(st.group[n:])
		st.group, st.cut = st.group[:n], true
	}
}

// release makes the group ready. Where a part of it was dropped, the stream goes
// back to the beginning of its millisecond.
func (st *stream) release() {
	if st.cut {
		st.trim()
	}
	slices.SortFunc(st.group, func(a, b *audit.Record) int { return st.compare(a.Position(), b.Position()) })
	st.ready, st.group = st.group, nil
	if !st.cut {
		return
	}
	st.cut = false
	st.after = st.ready[len(st.ready)-1].Position()
	st.rest, st.start, st.ended, st.coming = nil, nil, false, nil
	bound := ":high"
	if st.q.Order == audit.OldestFirst {
		bound = ":low"
	}
	st.input.ExpressionAttributeValues[bound] = number(st.millis)
}

// read reads a page.
func (st *stream) read(ctx context.Context) error {
	var a answer
	if st.coming != nil {
		a = <-st.coming // it heeds the same context
		st.coming = nil
	} else {
		a = st.fetch(ctx, st.start)
	}
	if a.err != nil {
		return a.err
	}
	st.rest, st.start = a.out.Items, a.out.LastEvaluatedKey
	st.ended = len(st.start) == 0
	if st.life != nil && !st.ended {
		coming, start := make(chan answer, 1), st.start
		st.coming = coming
		in := st.ask(start)
		st.s.work.Go(func() {
			out, err := ask(st.life, st.s, st.s.client.Query, in)
			coming <- answer{out, err}
		})
	}
	return nil
}

func (st *stream) fetch(ctx context.Context, start item) answer {
	out, err := ask(ctx, st.s, st.s.client.Query, st.ask(start))
	return answer{out, err}
}

// ask makes the call for the page after start. Pages grow, as who reads on reads
// much.
func (st *stream) ask(start item) *dynamodb.QueryInput {
	in := st.input
	in.ExclusiveStartKey = start
	in.ExpressionAttributeValues = maps.Clone(in.ExpressionAttributeValues)
	if st.page > 0 {
		in.Limit = aws.Int32(st.page)
		st.page *= 4
		if st.limit > 0 {
			st.page = min(st.page, st.limit)
		} else if st.page > maxPage {
			st.page = 0
		}
	}
	return &in
}

// maxPage is a page that is likely to reach the megabyte that DynamoDB gives at a time.
const maxPage = 2000
