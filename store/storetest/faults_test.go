package storetest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/memory"
)

// faulty is an engine with one mistake, of the kind that engines make.
type faulty struct {
	*memory.Store
	fault string
}

// faults are the mistakes, each with the category that must notice it.
var faults = map[string]Category{
	"none":                         "",
	"payload is reordered":         Roundtrip,
	"append changes its records":   Roundtrip,
	"repeated records are new":     Idempotency,
	"conflicts pass as duplicates": Idempotency,
	"get forgets the tenant":       Isolation,
	"prefix ignores case":          Filters,
	"not hides absent values":      Filters,
	"the end is included":          Windows,
	"the last page is announced":   Paging,
	"the cursor holds a time only": Paging,
	"count heeds the limit":        Scanning,
	"holds are forgotten":          Retention,
	"the limit is exceeded":        Retention,
	"anchors lose their reason":    ChainRetention,
	"walks leave the last out":     Chain,
	"a cancelled call goes on":     Lifecycle,
	"a late save wins":             Keeper,
}

const faultEnv = "ANNALS_STORETEST_FAULT"

// TestFaulty is run by TestSuiteFindsFaults in a process of its own.
func TestFaulty(t *testing.T) {
	fault, ok := os.LookupEnv(faultEnv)
	if !ok {
		return
	}
	Run(t, Harness{
		New:  func(testing.TB) audit.Store { return &faulty{memory.New(memory.Options{}), fault} },
		Skip: map[Category]string{Durability: "memory", Analytics: "memory"},
	})
}

// A suite that lets mistakes pass defines nothing.
func TestSuiteFindsFaults(t *testing.T) {
	for fault, category := range faults {
		t.Run(fault, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaulty$/^"+strings.ReplaceAll(string(category), " ", "_")+"$")
			if category == "" {
				cmd.Args[1] = "-test.run=^TestFaulty$"
			}
			cmd.Args = append(cmd.Args, "-test.timeout=2m") // also where the suite forgets to end
			cmd.Env = append(os.Environ(), faultEnv+"="+fault)
			out, err := cmd.CombinedOutput()
			if found := bytes.Contains(out, []byte("--- FAIL: TestFaulty/")); found != (category != "") || found != (err != nil) {
				t.Errorf("found: %v, %v\n%.2000s", found, err, out)
			}
		})
	}
}

func (f *faulty) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	if f.fault == "append changes its records" {
		defer func() {
			for _, r := range recs {
				r.Level = "changed"
			}
		}()
	}
	if f.fault == "payload is reordered" {
		recs = CloneAll(recs)
		for _, r := range recs {
			r.Payload = bytes.ReplaceAll(r.Payload, []byte("1.0"), []byte("1"))
		}
	}
	results, err := f.Store.Append(ctx, recs)
	for i := range results {
		switch {
		case f.fault == "repeated records are new" && results[i].Duplicate:
			results[i].Duplicate = false
		case f.fault == "conflicts pass as duplicates" && results[i].Err != nil:
			results[i] = audit.Result{Duplicate: true}
		}
	}
	return results, err
}

func (f *faulty) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	if f.fault == "get forgets the tenant" {
		page, err := f.Store.Query(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("id", ref.ID.String())}, Limit: 1})
		if err != nil || len(page.Records) == 0 {
			return nil, audit.ErrNotFound
		}
		return page.Records[0], nil
	}
	return f.Store.Get(ctx, ref)
}

func (f *faulty) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	changed := *q
	changed.Filters = slices.Clone(q.Filters)
	switch f.fault {
	case "a cancelled call goes on":
		ctx = context.WithoutCancel(ctx)
	case "the end is included":
		if !q.To.IsZero() {
			changed.To = q.To.Add(time.Microsecond)
		}
	case "the cursor holds a time only":
		if !q.After.IsZero() && q.Order == audit.NewestFirst {
			changed.After.ID = audit.ID{}
		}
	case "prefix ignores case", "not hides absent values":
		for i, c := range q.Filters {
			switch {
			case c.Op == audit.OpPrefix && f.fault == "prefix ignores case":
				changed.Filters[i].Values = append(slices.Clone(c.Values), strings.ToUpper(c.Values[0]))
			case c.Op == audit.OpNot && f.fault == "not hides absent values":
				changed.Filters[i].Values = append(slices.Clone(c.Values), "")
			}
		}
	}
	page, err := f.Store.Query(ctx, &changed)
	if err == nil && f.fault == "the last page is announced" && len(page.Records) > 0 {
		page.Next = page.Records[len(page.Records)-1].Position()
	}
	return page, err
}

func (f *faulty) Count(ctx context.Context, q *audit.Query) (int64, error) {
	n, err := f.Store.Count(ctx, q)
	if f.fault == "count heeds the limit" {
		n = min(n, int64(q.Limit))
	}
	return n, err
}

func (f *faulty) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	switch f.fault {
	case "holds are forgotten":
		cut.Holds = nil
	case "the limit is exceeded":
		limit++
	case "anchors lose their reason":
		cut.Reason = ""
	}
	return f.Store.DeleteExpired(ctx, cut, limit)
}

func (f *faulty) Walk(ctx context.Context, key chain.Key, from, to int64, fn func([]*audit.Record) error) error {
	if f.fault == "walks leave the last out" {
		to--
	}
	return f.Store.Walk(ctx, key, from, to, fn)
}

func (f *faulty) Save(ctx context.Context, key string, value []byte, version int64) error {
	err := f.Store.Save(ctx, key, value, version)
	if f.fault == "a late save wins" && audit.CodeOf(err) == audit.CodeConflict {
		if _, last, e := f.Store.Load(ctx, key); e == nil {
			return f.Store.Save(ctx, key, value, last)
		}
	}
	return err
}
