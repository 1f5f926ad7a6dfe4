package dynamodb

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
)

// The driver alone and the store take turns, so that both have the same machine;
// the ratio says more than the rates.
const (
	benchCallers = 16
	benchRecords = 8000
	benchRounds  = 3
)

// pieces runs do on parts of n records by several callers, and gives records a second.
func pieces(b *testing.B, callers, n, size int, do func(ctx context.Context, from, to int) error) float64 {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range callers {
		wg.Go(func() {
			for {
				from := int(next.Add(int64(size))) - size
				if from >= n {
					return
				}
				if err := do(b.Context(), from, min(n, from+size)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// ratio alternates two ways to write and reports the rates and their ratio.
func ratio(b *testing.B, raw, ours func(opt Options) float64) {
	for b.Loop() {
		var rawSum, ourSum float64
		for range benchRounds {
			rawSum += 1 / raw(newTable(b))
			ourSum += 1 / ours(newTable(b))
		}
		b.ReportMetric(benchRounds/rawSum, "raw/s")
		b.ReportMetric(benchRounds/ourSum, "ours/s")
		b.ReportMetric(rawSum/ourSum, "ratio")
	}
	b.ReportMetric(0, "ns/op")
}

func benchItems(recs []*audit.Record) []item {
	items := make([]item, len(recs))
	for i, r := range recs {
		items[i] = encode(r)
	}
	return items
}

// BenchmarkIngest compares the ways to store records outside a chain with raw
// BatchWriteItem of the same items.
func BenchmarkIngest(b *testing.B) {
	raw := func(opt Options) float64 {
		s := open(b, opt)
		items := benchItems(benchdata.New(benchRecords, time.Hour).Batch(benchRecords))
		return pieces(b, benchCallers, benchRecords, maxBatchWrite, func(ctx context.Context, from, to int) error {
			var writes []types.WriteRequest
			for _, m := range items[from:to] {
				writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: m}})
			}
			_, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{opt.TableName: writes}})
			return err
		})
	}
	for name, do := range map[string]func(*Store) func(context.Context, []*audit.Record) ([]audit.Result, error){
		"Append":      func(s *Store) func(context.Context, []*audit.Record) ([]audit.Result, error) { return s.Append },
		"AppendFresh": func(s *Store) func(context.Context, []*audit.Record) ([]audit.Result, error) { return s.AppendFresh },
	} {
		b.Run(name, func(b *testing.B) {
			ratio(b, raw, func(opt Options) float64 {
				opt.Parallel = benchCallers
				s := open(b, opt)
				recs := benchdata.New(benchRecords, time.Hour).Batch(benchRecords)
				// One caller with batches of 2,000, of which the store has 16 calls under way.
				return pieces(b, 1, benchRecords, 2000, func(ctx context.Context, from, to int) error {
					return firstError(do(s)(ctx, recs[from:to]))
				})
			})
		})
	}
}

func firstError(results []audit.Result, err error) error {
	for _, r := range results {
		if err == nil {
			err = r.Err
		}
	}
	return err
}

// BenchmarkChained compares chained appends with raw TransactWriteItems of as
// many items of the same size.
func BenchmarkChained(b *testing.B) {
	const each = 2000
	for _, chains := range []int{1, 8} {
		b.Run(fmt.Sprintf("chains=%d", chains), func(b *testing.B) {
			records := func() [][]*audit.Record {
				gen := benchdata.New(each*chains, time.Hour)
				out := make([][]*audit.Record, chains)
				for i := range out {
					out[i] = gen.Batch(each)
					for _, r := range out[i] {
						r.Tenant = fmt.Sprint("tenant-", i)
					}
				}
				return out
			}
			ratio(b, func(opt Options) float64 {
				s := open(b, opt)
				var calls [][]types.TransactWriteItem
				for _, recs := range records() {
					l := &lane{s: s, part: partition(recs[0].Scope()), scope: recs[0].Scope()}
					l.head.Scope = l.scope
					for from := 0; from < each; from += 49 {
						var entries []*entry
						for _, r := range recs[from:min(each, from+49)] {
							entries = append(entries, &entry{Rec: r})
						}
						t := l.build(entries, nil)
						l.head = t.head
						calls = append(calls, t.in.TransactItems)
					}
				}
				return each * float64(chains) / float64(len(calls)) * pieces(b, chains, len(calls), 1, func(ctx context.Context, from, _ int) error {
					// Other conditions: these come in any order.
					for i := range calls[from] {
						p := calls[from][i].Put
						p.ExpressionAttributeNames, p.ExpressionAttributeValues, p.ConditionExpression = nil, nil, ifNew
						if i == 0 {
							p.Item[attrID] = text(fmt.Sprint("head-", from))
						}
						if p.Item[attrID] == nil {
							return fmt.Errorf("no key")
						}
					}
					_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: calls[from], ClientRequestToken: aws.String(audit.NewID().String())})
					return err
				})
			}, func(opt Options) float64 {
				s := open(b, opt)
				recs := records()
				return each * pieces(b, chains, chains, 1, func(ctx context.Context, from, _ int) error {
					for at := 0; at < each; at += 500 {
						if err := firstError(s.AppendChained(ctx, recs[from][at:at+500])); err != nil {
							return err
						}
					}
					return nil
				})
			})
		})
	}
}
