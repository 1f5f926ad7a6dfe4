package clickhouse

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// Two servers on one ClickHouse each keep a segment of their own.
func TestTwoWriters(t *testing.T) {
	url := enginetest.ClickHouse(t)
	a, b := opened(t, url, nil), opened(t, url, nil)
	for range 3 {
		linked(t, a, made(t, 20))
		linked(t, b, made(t, 10))
	}
	for _, s := range []*Store{a, b} {
		if segments, n := verified(t, s); !slices.Equal(segments, []string{"annals.1", "annals.2"}) || n != 90 {
			t.Errorf("%v, %d records", segments, n)
		}
	}
}

// A writer goes on with a segment that was given back, never with one whose
// writer was killed.
func TestSegmentsAreGivenBack(t *testing.T) {
	url := enginetest.ClickHouse(t)
	killed := opened(t, url, nil)
	linked(t, killed, made(t, 5))
	a := opened(t, url, nil)
	linked(t, a, made(t, 5))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b := opened(t, url, func(o *Options) { o.Writer = "other" })
	linked(t, b, made(t, 5))
	c := opened(t, url, nil)
	linked(t, c, made(t, 5))
	if segments, n := verified(t, c); !slices.Equal(segments, []string{"annals.1", "annals.2", "other.3"}) || n != 20 {
		t.Errorf("%v, %d records", segments, n)
	}
	heads, err := c.Heads(t.Context(), &scope)
	if err != nil || heads[1].Sequence != 10 {
		t.Errorf("%+v, %v", heads, err)
	}
}

// Between the records and the end of their chain a process may be killed: the
// rest of that one batch is the end, and anything else is not.
func TestEndOfAKilledWriter(t *testing.T) {
	url := enginetest.ClickHouse(t)
	s := opened(t, url, nil)
	linked(t, s, made(t, 5))
	lost := made(t, 7)
	held, release, err := s.hold(t.Context(), map[audit.Scope]bool{scope: true})
	if err != nil {
		t.Fatal(err)
	}
	chain.Seal(held[scope].head, lost)
	insert := newInsert()
	if err := s.send(t.Context(), s.records, newBlock(lost, insert, s.text), insert); err != nil {
		t.Fatal(err)
	}
	held[scope].known = false
	release()

	other := opened(t, url, nil)
	if segments, n := verified(t, other); len(segments) != 1 || n != 12 {
		t.Errorf("%v, %d records", segments, n)
	}
	// The records are there: to deliver them again stores nothing, wherever.
	again := storetest.CloneAll(lost)
	for _, r := range again {
		unlink(r)
	}
	results, err := other.AppendChained(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !r.Duplicate || r.Hash != lost[i].Hash {
			t.Errorf("%+v", r)
		}
	}
	// The writer itself, had it lived on, goes on after them.
	more := made(t, 1)
	linked(t, s, more)
	if more[0].Sequence != 13 {
		t.Errorf("the next one is at %d", more[0].Sequence)
	}
	verified(t, other)

	// What somebody adds is no rest of a batch.
	added := made(t, 2)
	head, err := s.Heads(t.Context(), &scope)
	if err != nil {
		t.Fatal(err)
	}
	chain.Seal(head[0], added)
	for _, r := range added {
		insert := newInsert()
		if err := s.send(t.Context(), s.records, newBlock([]*audit.Record{r}, insert, s.text), insert); err != nil {
			t.Fatal(err)
		}
	}
	report, err := chain.Verify(t.Context(), s, head[0].Key, chain.VerifyOptions{})
	if err != nil || report.Valid || report.FirstBroken.Reason != chain.ReasonBeyond {
		t.Errorf("%+v, %v", report, err)
	}
}

// Two processes store one record at the same moment: the one that was committed
// second takes its own back, and its chain says so.
func TestRivals(t *testing.T) {
	url := enginetest.ClickHouse(t)
	a, b := opened(t, url, nil), opened(t, url, nil)
	recs := made(t, 10)
	linked(t, a, made(t, 1))
	// What b does when it has looked before a has stored.
	mine := storetest.CloneAll(recs)
	mine[3].Error = "other content"
	linked(t, a, recs)
	bt, err := b.begin(t.Context(), mine, true, false)
	if err != nil {
		t.Fatal(err)
	}
	bt.distinct()
	bt.insert = newInsert()
	bt.layOut()
	err = bt.link(t.Context())
	bt.end()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range bt.results {
		switch {
		case i == 3 && !errors.Is(r.Err, audit.ErrConflict):
			t.Errorf("other content: %+v", r)
		case i != 3 && (!r.Duplicate || r.Sequence != recs[i].Sequence || r.Hash != recs[i].Hash):
			t.Errorf("%d: %+v", i, r)
		}
	}
	if n, err := b.Count(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}); err != nil || n != 11 {
		t.Errorf("%d records, %v", n, err)
	}
	if segments, n := verified(t, a); len(segments) != 2 || n != 12 { // and the anchor
		t.Errorf("%v, %d records", segments, n)
	}
}

// Many stores deliver the same records at the same time: each is stored once,
// and by one of them.
func TestManyStoresDeliverTheSame(t *testing.T) {
	url := enginetest.ClickHouse(t)
	recs := made(t, 50)
	for _, chained := range []bool{false, true} {
		if chained {
			for _, r := range recs {
				r.ID = audit.NewID()
			}
		}
		stores := make([]*Store, 4)
		for i := range stores {
			stores[i] = opened(t, url, nil)
		}
		var mu sync.Mutex
		fresh := 0
		var wg sync.WaitGroup
		for _, s := range stores {
			wg.Go(func() {
				add := s.Append
				if chained {
					add = s.AppendChained
				}
				results, err := add(t.Context(), storetest.CloneAll(recs))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for _, r := range results {
					switch {
					case r.Err != nil:
						t.Error(r.Err)
					case !r.Duplicate:
						fresh++
					}
				}
			})
		}
		wg.Wait()
		if fresh != len(recs) {
			t.Errorf("chained %v: %d were acknowledged as new, want %d", chained, fresh, len(recs))
		}
	}
	if n, err := stores(t, url).Count(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}); err != nil || n != 100 {
		t.Errorf("%d records, %v", n, err)
	}
	verified(t, opened(t, url, nil))
}

func stores(t *testing.T, url string) *Store { return opened(t, url, nil) }
