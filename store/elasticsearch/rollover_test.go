package elasticsearch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// An id is stored once, also over a change of the index, by a process that does
// not know of the change, and whether or not its id tells when it was made.
func TestIdsAreUniqueOverGenerations(t *testing.T) {
	opt := serverOptions(t)
	s, late := openStore(t, opt), openStore(t, opt)
	recs := events("a", 5)
	recs[1].ID[6] = 0x40 | recs[1].ID[6]&15 // a UUID of version 4
	ahead := time.Now().Add(1000 * time.Hour).UnixMilli()
	for i := range 6 {
		recs[2].ID[i] = byte(ahead >> (40 - 8*i)) // dated ahead
	}
	results, err := s.Append(t.Context(), recs)
	stored(t, results, err)
	// The next index was opened long after these ids were made, as far as the store knows.
	if err := s.Rollover(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]*Store{"the same process": s, "a late one": late, "a new one": openStore(t, opt)} {
		fresh := event("a", start, nil)
		batch := append(storetest.CloneAll(recs), storetest.Clone(fresh))
		batch[4].Error = "changed"
		results, err := store.Append(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			switch {
			case i < 4 && !r.Duplicate, i == 4 && audit.CodeOf(r.Err) != audit.CodeConflict, i == 5 && r != (audit.Result{}):
				t.Errorf("%s: record %d: %+v", name, i, r)
			}
		}
		for _, r := range append(slices.Clone(recs), fresh) {
			if got, err := store.Get(t.Context(), r.Ref()); err != nil || storetest.Diff(r, got) != "" {
				t.Errorf("%s: Get: %v", name, err)
			}
		}
	}
	refreshed(t, s)
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 8 {
		t.Errorf("%d records, %v, want 8", n, err)
	}
}

// Writers go on while the index changes under them: nothing is lost or doubled.
func TestRolloverDuringWriters(t *testing.T) {
	opt := serverOptions(t)
	stores := []*Store{openStore(t, opt), openStore(t, opt)}
	var wg sync.WaitGroup
	var fresh atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			for b := range 8 {
				recs := events("a", 20)
				for range 2 { // every batch is delivered twice
					results, err := stores[(w+b)%2].Append(t.Context(), storetest.CloneAll(recs))
					if err != nil {
						t.Error(err)
						return
					}
					for _, r := range results {
						if r.Err != nil {
							t.Error(r.Err)
						}
						if !r.Duplicate {
							fresh.Add(1)
						}
					}
				}
				chained := events("b", 10)
				results, err := stores[w%2].AppendChained(t.Context(), chained)
				if err != nil {
					t.Error(err)
				}
				for _, r := range results {
					if r.Err != nil || r.Duplicate {
						t.Errorf("chained: %+v", r)
					}
				}
			}
		})
	}
	for range 3 {
		for _, s := range stores {
			wg.Go(func() {
				if err := s.Rollover(t.Context(), true); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	refreshed(t, stores[0])
	n, err := stores[0].Count(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("tenant", "a")}})
	if err != nil || n != 4*8*20 || fresh.Load() != n {
		t.Errorf("%d records, %d were told as new, %v, want %d", n, fresh.Load(), err, 4*8*20)
	}
	verified(t, stores[0], "b", 4*8*10)
	if names, err := stores[1].Generations(t.Context()); err != nil || len(names) < 2 {
		t.Errorf("%v, %v", names, err)
	}
}

type source struct {
	audit.Store
	chain.Reader
}

// verified wants the chain of a tenant to be whole and to have that many records.
func verified(t *testing.T, s *Store, tenant string, n int64) *chain.Report {
	t.Helper()
	key := chain.Key{Scope: audit.Scope{Namespace: "ns", Tenant: tenant}}
	report, err := chain.Verify(t.Context(), source{s, s}, key, chain.VerifyOptions{})
	if err != nil || !report.Valid || report.RecordsChecked != n {
		t.Fatalf("%+v, %v, want %d records", report, err, n)
	}
	return report
}

// A rollover that stopped half way is finished by whoever comes next.
func TestRolloverHalfDone(t *testing.T) {
	opt := serverOptions(t)
	s := openStore(t, opt)
	results, err := s.Append(t.Context(), events("a", 3))
	stored(t, results, err)
	// The alias is gone, and then its process died.
	a, err := s.client.do(t.Context(), request{method: "POST", path: "/_aliases", body: encoded(object{"actions": []any{
		object{"remove": object{"index": s.generation(1), "alias": s.writeAlias(1)}},
	}})})
	if err != nil || a.status != 200 {
		t.Fatalf("%d, %v", a.status, err)
	}
	results, err = s.Append(t.Context(), events("a", 3))
	stored(t, results, err)
	if names, err := s.Generations(t.Context()); err != nil || len(names) != 2 {
		t.Errorf("%v, %v", names, err)
	}
}

// A whole generation goes where the cut leaves nothing of it, with its anchors;
// one with a held record stays.
func TestDropPartitions(t *testing.T) {
	opt := serverOptions(t)
	s := openStore(t, opt)
	append_ := func(recs []*audit.Record) {
		results, err := s.AppendChained(t.Context(), recs)
		stored(t, results, err)
		if err := s.Rollover(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	first, second := events("a", 50), events("a", 30)
	first = append(first, events("", 5)...)
	second[7].Resource.ID = "held"
	append_(first)
	append_(second)
	append_(events("a", 20))
	end := start.Add(time.Hour)
	hold, err := (&audit.Query{Filters: []audit.Filter{audit.Is("resource", "held")}}).Validate()
	if err != nil {
		t.Fatal(err)
	}
	cut := func(context.Context) (audit.Cut, error) {
		return audit.Cut{RecordedBefore: end, Holds: []*audit.Query{hold}, Reason: "by age"}, nil
	}
	if dropped, err := s.DropPartitions(t.Context(), start, cut); err != nil || len(dropped) != 0 {
		t.Fatalf("before their time: %v, %v", dropped, err)
	}
	dropped, err := s.DropPartitions(t.Context(), end, cut)
	if want := []string{s.generation(1), s.generation(3)}; err != nil || !slices.Equal(dropped, want) {
		t.Fatalf("%v, %v, want %v", dropped, err, want)
	}
	report := verified(t, s, "a", 30+2)
	if len(report.Pruned) != 2 || report.Pruned[0].First != 1 || report.Pruned[0].Last != 50 || report.Pruned[0].Reason != "by age" {
		t.Errorf("%+v", report.Pruned)
	}
	verified(t, s, "", 1)
	if _, err := s.Get(t.Context(), first[0].Ref()); audit.CodeOf(err) != audit.CodeNotFound {
		t.Errorf("Get of a dropped record: %v", err)
	}
	if got, err := s.Get(t.Context(), second[3].Ref()); err != nil || storetest.Diff(second[3], got) != "" {
		t.Errorf("Get of a kept record: %v", err)
	}
	n := 0
	err = s.EachPartition(t.Context(), func(name string, from, to time.Time, records, bytes int64) error {
		n++
		return nil
	})
	if err != nil || n != 2 {
		t.Errorf("%d partitions, %v", n, err)
	}
}

// A generation goes as a whole, with links of a segment in it that have the
// sequences of the scope's own chain.
func TestDropWithSegments(t *testing.T) {
	s := openStore(t, serverOptions(t))
	results, err := s.AppendChained(t.Context(), events("a", 20))
	stored(t, results, err)
	from := chain.Head{Key: chain.Key{Scope: audit.Scope{Namespace: "ns", Tenant: "a"}, Segment: "writer.1"}}
	recs := events("a", 30)
	if err := s.Restore(t.Context(), from, chain.Seal(from, recs), recs); err != nil {
		t.Fatal(err)
	}
	if err := s.Rollover(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	cut := func(context.Context) (audit.Cut, error) {
		return audit.Cut{RecordedBefore: start.Add(time.Hour), Reason: "by age"}, nil
	}
	dropped, err := s.DropPartitions(t.Context(), start.Add(time.Hour), cut)
	if err != nil || !slices.Equal(dropped, []string{s.generation(1)}) {
		t.Fatalf("%v, %v", dropped, err)
	}
	verified(t, s, "a", 2) // the anchors of both chains
	report, err := chain.Verify(t.Context(), source{s, s}, from.Key, chain.VerifyOptions{})
	if err != nil || !report.Valid || len(report.Pruned) != 1 || report.Pruned[0].Last != 30 {
		t.Errorf("%+v, %v", report, err)
	}
}
