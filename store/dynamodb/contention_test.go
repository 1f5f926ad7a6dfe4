package dynamodb

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
)

func init() { children["append"] = appendAsChild }

// Four processes with four writers each, and the batches that each writes.
const (
	contenders     = 4
	contendWriters = 4
	contendBatches = 6
	contendRecords = 25
)

// appendAsChild is the work of one process; it prints when it began and ended.
func appendAsChild() {
	s, err := Open(context.Background(), Options{URL: os.Getenv("ANNALS_TEST_URL"), TableName: os.Getenv("ANNALS_TEST_TABLE")})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	batches, _ := strconv.Atoi(os.Getenv("ANNALS_TEST_BATCHES"))
	began := time.Now()
	if err := writeChain(context.Background(), s, contendWriters, batches); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(began.UnixNano(), time.Now().UnixNano())
	if err := s.Close(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// writeChain has writers append batches to one chain.
func writeChain(ctx context.Context, s *Store, writers, batches int) error {
	failed := make(chan error, writers)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			gen := benchdata.New(contendRecords*batches, time.Hour)
			for range batches {
				recs := gen.Batch(contendRecords)
				for _, r := range recs {
					r.Namespace, r.Tenant = scopeA.Namespace, scopeA.Tenant
				}
				results, err := s.AppendChained(ctx, recs)
				for _, r := range results {
					if err == nil && (r.Err != nil || r.Duplicate) {
						err = fmt.Errorf("%+v", r)
					}
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// contend has the processes write and gives the records a second from the first
// beginning to the last end.
func contend(tb testing.TB, opt Options, batches int) float64 {
	tb.Helper()
	var mu sync.Mutex
	var first, last int64
	var wg sync.WaitGroup
	for range contenders {
		wg.Go(func() {
			cmd := exec.CommandContext(tb.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"=append", "ANNALS_TEST_URL="+opt.URL, "ANNALS_TEST_TABLE="+opt.TableName, fmt.Sprint("ANNALS_TEST_BATCHES=", batches))
			out, err := cmd.CombinedOutput()
			var began, ended int64
			if _, scan := fmt.Sscan(string(out), &began, &ended); err != nil || scan != nil {
				tb.Errorf("%v: %s", err, strings.TrimSpace(string(out)))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first == 0 || began < first {
				first = began
			}
			last = max(last, ended)
		})
	}
	wg.Wait()
	return float64(contenders*contendWriters*batches*contendRecords) / time.Duration(last-first).Seconds()
}

// Sixteen writers in four processes on one chain lose nothing and leave no gap.
func TestContention(t *testing.T) {
	inFullRuns(t)
	opt := newTable(t)
	s := open(t, opt)
	rate := contend(t, opt, contendBatches)
	const want = contenders * contendWriters * contendBatches * contendRecords
	if n := verifyAll(t, s); n != want {
		t.Errorf("%d records in the chain, want %d", n, want)
	}
	if n := len(all(t, s)); n != want {
		t.Errorf("%d records, want %d", n, want)
	}
	if n, err := s.Unchained(t.Context(), audit.Scope(scopeA)); n != 0 || err != nil {
		t.Errorf("%d records outside the chain: %v", n, err)
	}
	t.Logf("%.0f records/s", rate)
}

// BenchmarkContention compares the rate of four processes with that of one writer.
func BenchmarkContention(b *testing.B) {
	for b.Loop() {
		alone := newTable(b)
		s := open(b, alone)
		began := time.Now()
		if err := writeChain(b.Context(), s, 1, 4*contendBatches); err != nil {
			b.Fatal(err)
		}
		one := float64(4*contendBatches*contendRecords) / time.Since(began).Seconds()
		together := newTable(b)
		open(b, together)
		many := contend(b, together, contendBatches)
		b.ReportMetric(one, "one/s")
		b.ReportMetric(many, "together/s")
		b.ReportMetric(many/one, "ratio")
	}
	b.ReportMetric(0, "ns/op")
}
