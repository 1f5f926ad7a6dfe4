package dynamodb

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// openFaulty opens a store with faults to be set.
func openFaulty(t *testing.T, opt Options) (*Store, *faulty) {
	t.Helper()
	f := newFaulty(t)
	opt.transport = f
	return open(t, opt), f
}

// One fault at each kind of write: the caller does not notice.
func TestOneFault(t *testing.T) {
	inFullRuns(t)
	s, f := openFaulty(t, newTable(t))
	everywhere := []fault{lose, cut, refuse, slow, overLimit, broken}
	for i, c := range []struct {
		op     string
		faults []fault
	}{
		{"PutItem", everywhere},
		{"BatchWriteItem", append([]fault{unprocessed}, everywhere...)},
		{"TransactWriteItems", append([]fault{conflict, exhausted, inProgress}, everywhere...)},
		{"UpdateItem", everywhere},
		{"BatchGetItem", append([]fault{unprocessed}, everywhere...)},
		{"GetItem", everywhere},
		{"Query", everywhere},
	} {
		for _, what := range c.faults {
			t.Run(fmt.Sprintf("%s %d", c.op, what), func(t *testing.T) {
				scope := audit.Scope{Namespace: "one", Tenant: fmt.Sprintf("%d.%d", i, what)}
				var met atomic.Bool
				f.set(func(op string) fault {
					if op == c.op && !met.Swap(true) {
						return what
					}
					return pass
				})
				defer f.set(nil)
				// Enters the scope anew, so that there is an update.
				plain := events(scope, start, 5, nil)
				results, err := s.Append(t.Context(), plain)
				wantFresh(t, results, err)
				fresh := events(scope, start.Add(time.Minute), 30, nil)
				results, err = s.AppendFresh(t.Context(), fresh)
				wantFresh(t, results, err)
				linked := events(scope, start.Add(time.Hour), 60, nil)
				appendChained(t, s, linked)
				if report := verify(t, s, scope); !report.Valid || report.RecordsChecked != 60 || report.Unchained != 35 {
					t.Errorf("verified: %+v", report)
				}
				if err := s.Save(t.Context(), fmt.Sprintf("k%d.%d", i, what), []byte("v"), 0); err != nil {
					t.Errorf("Save: %v", err)
				}
				q := &audit.Query{Filters: []audit.Filter{audit.Is("namespace", "one"), audit.Is("tenant", scope.Tenant)}, Limit: 1000}
				page, err := s.Query(t.Context(), q)
				if err != nil || len(page.Records) != 95 {
					t.Fatalf("Query: %v", err)
				}
				if heads, err := s.Heads(t.Context(), nil); err != nil || len(heads) == 0 {
					t.Errorf("Heads: %d, %v", len(heads), err)
				}
				if !met.Load() {
					t.Errorf("there was no %s", c.op)
				}
			})
		}
	}
}

func wantFresh(t *testing.T, results []audit.Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r != (audit.Result{}) {
			t.Fatalf("record %d: %+v", i, r)
		}
	}
}

// Many faults at once, writers that repeat what failed, and at the end
// everything is there once.
func TestManyFaults(t *testing.T) {
	opt := newTable(t)
	opt.MaxRetries, opt.Timeout = 3, 5*time.Second
	s, f := openFaulty(t, opt)
	r := rand.New(rand.NewPCG(1, 2))
	faults := map[string][]fault{
		"PutItem":            {lose, cut, refuse, slow, overLimit, broken},
		"UpdateItem":         {lose, cut, refuse, slow, broken},
		"BatchWriteItem":     {unprocessed, unprocessed, lose, cut, refuse, slow},
		"TransactWriteItems": {conflict, exhausted, inProgress, lose, cut, refuse, slow, broken},
		"GetItem":            {cut, refuse, slow, broken},
	}
	f.set(func(op string) fault {
		if some := faults[op]; len(some) > 0 && r.IntN(3) == 0 {
			return some[r.IntN(len(some))]
		}
		return pass
	})
	var mu sync.Mutex
	var stored []*audit.Record
	var fresh atomic.Int64
	// deliver repeats a batch until all of it is stored.
	deliver := func(recs []*audit.Record, do func([]*audit.Record) ([]audit.Result, error)) {
		for len(recs) > 0 {
			results, err := do(recs)
			if err != nil {
				if !audit.Retryable(err) {
					t.Error(err)
					return
				}
				continue
			}
			var left []*audit.Record
			mu.Lock()
			for i, res := range results {
				switch {
				case res.Err == nil:
					if !res.Duplicate {
						fresh.Add(1)
					}
					stored = append(stored, recs[i])
				case audit.Retryable(res.Err):
					left = append(left, recs[i])
				default:
					t.Error(res.Err)
				}
			}
			mu.Unlock()
			recs = left
		}
	}
	var wg sync.WaitGroup
	for w := range 4 {
		scope := audit.Scope{Namespace: "many", Tenant: fmt.Sprint(w % 2)}
		at := start.Add(time.Duration(w) * time.Hour)
		wg.Go(func() {
			for range 3 {
				deliver(events(scope, at, 40, nil), func(recs []*audit.Record) ([]audit.Result, error) { return s.AppendChained(t.Context(), recs) })
				deliver(events(scope, at, 10, nil), func(recs []*audit.Record) ([]audit.Result, error) { return s.Append(t.Context(), recs) })
				deliver(events(scope, at, 40, nil), func(recs []*audit.Record) ([]audit.Result, error) { return s.AppendFresh(t.Context(), recs) })
			}
		})
	}
	wg.Wait()
	f.set(nil)
	if t.Failed() {
		return
	}
	want := map[audit.Ref]bool{}
	for _, rec := range stored {
		want[rec.Ref()] = true
	}
	got := all(t, s)
	if len(got) != len(want) || len(want) != 4*3*90 {
		t.Errorf("%d records, %d were acknowledged, want %d", len(got), len(want), 4*3*90)
	}
	for _, rec := range got {
		if !want[rec.Ref()] {
			t.Errorf("%v was never acknowledged", rec.Ref())
		}
	}
	if n := verifyAll(t, s); n != 4*3*40 {
		t.Errorf("%d records in chains, want %d", n, 4*3*40)
	}
	t.Logf("%d calls, %d records said to be new of %d", f.calls("PutItem")+f.calls("BatchWriteItem")+f.calls("TransactWriteItems"), fresh.Load(), len(want))
}

// What goes on failing is reported with the table's name, and is worth a retry.
func TestFaultsToTheEnd(t *testing.T) {
	inFullRuns(t)
	opt := newTable(t)
	opt.MaxRetries, opt.Timeout = 2, 2*time.Second
	s, f := openFaulty(t, opt)
	recs := events(scopeA, start, 60, nil)
	seed := events(scopeA, start, 1, nil)
	if _, err := s.Append(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	appendChained(t, s, events(scopeA, start, 1, nil))
	for _, c := range []struct {
		what fault
		says string
	}{
		{refuse, "throttled"}, {slow, "throttled"}, {overLimit, "throttled"}, {broken, "did not answer"}, {cut, "did not answer"},
		{conflict, "write the same chain"}, {unprocessed, "throttled"}, {inProgress, "did not answer"},
	} {
		t.Run(c.says, func(t *testing.T) {
			for name, do := range map[string]func() ([]audit.Result, error){
				"PutItem":            func() ([]audit.Result, error) { return s.Append(t.Context(), recs) },
				"BatchWriteItem":     func() ([]audit.Result, error) { return s.AppendFresh(t.Context(), recs) },
				"TransactWriteItems": func() ([]audit.Result, error) { return s.AppendChained(t.Context(), storetest.CloneAll(recs)) },
			} {
				if c.what == unprocessed && name != "BatchWriteItem" || (c.what == conflict || c.what == inProgress) && name != "TransactWriteItems" {
					continue
				}
				f.set(func(op string) fault {
					if op != name {
						return pass
					}
					return c.what
				})
				before := f.calls(name)
				_, err := do()
				calls := f.calls(name) - before
				if !errors.Is(err, audit.ErrUnavailable) || !audit.Retryable(err) || !strings.Contains(err.Error(), opt.TableName) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v", name, err)
				}
				if name == "PutItem" && calls > 3*s.opt.Parallel {
					t.Errorf("%d calls for what one would have told", calls)
				}
			}
			f.set(nil)
		})
	}
}
