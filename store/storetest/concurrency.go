package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

func testConcurrency(t *testing.T, h *Harness) {
	t.Run("readers during writers", func(t *testing.T) { testReadersAndWriters(t, h) })
	t.Run("one batch delivered by many", func(t *testing.T) { testSameBatch(t, h) })
	t.Run("deleting during writers", func(t *testing.T) { testDeleteDuringWriters(t, h) })
}

// testReadersAndWriters lets readers see only whole records, in order, none
// twice, while writers add to them.
func testReadersAndWriters(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(111, 600)
	known := map[audit.Ref]*audit.Record{}
	for _, r := range recs {
		known[r.Ref()] = r
	}
	ctx, done := context.WithCancel(t.Context())
	defer done()
	var writing, reading sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			for i := w * 150; i < (w+1)*150; i += 15 {
				results, err := s.Append(t.Context(), CloneAll(recs[i:i+15]))
				if err != nil {
					t.Errorf("Append: %v", err)
					return
				}
				for _, r := range results {
					if r != (audit.Result{}) {
						t.Errorf("Append: got %+v", r)
					}
				}
			}
		})
	}
	for i := range 4 {
		q := valid(t, audit.Query{Order: orders[i%2], Limit: 20 + 30*i})
		reading.Go(func() {
			for ctx.Err() == nil {
				if !readersWalk(t, s, q, known) {
					return
				}
			}
		})
	}
	writing.Wait()
	done()
	reading.Wait()
	h.settle(t, s)
	ask(t, s, recs, valid(t, audit.Query{Limit: 100}))
}

// readersWalk walks once, while others write; false ends the reader.
func readersWalk(t *testing.T, s audit.Store, q *audit.Query, known map[audit.Ref]*audit.Record) bool {
	page := *q
	seen := map[audit.Ref]bool{}
	for {
		p, err := s.Query(t.Context(), &page)
		if err != nil {
			t.Errorf("Query: %v", err)
			return false
		}
		for _, r := range p.Records {
			w := known[r.Ref()]
			if w == nil || seen[r.Ref()] || Diff(w, r) != "" {
				t.Errorf("a reader sees %v twice, half written or out of nothing", r.Ref())
				return false
			}
			seen[r.Ref()] = true
		}
		if p.Next.IsZero() {
			return true
		}
		if !advances(&page, p.Next) {
			t.Errorf("Query: the cursor %+v does not move on", p.Next)
			return false
		}
		page.After = p.Next
	}
}

// testSameBatch has many callers deliver the same records, as after a time-out
// whose call went on: each record is stored by exactly one of them.
func testSameBatch(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(112, 60)
	var fresh atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			results, err := s.Append(t.Context(), CloneAll(recs))
			if err != nil {
				t.Errorf("Append: %v", err)
				return
			}
			for _, r := range results {
				switch {
				case r.Err != nil:
					t.Errorf("Append: %v", r.Err)
				case !r.Duplicate:
					fresh.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := fresh.Load(); n != int64(len(recs)) {
		t.Errorf("%d records were acknowledged as new, want %d", n, len(recs))
	}
	h.settle(t, s)
	ask(t, s, recs, valid(t, audit.Query{Limit: 100}))
}

// testDeleteDuringWriters deletes expired records while others arrive: those
// that have not expired all stay.
func testDeleteDuringWriters(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(113, 400)
	cut := audit.Cut{ExpiredAt: CorpusStart.Add(72 * time.Hour)}
	var kept []*audit.Record
	for _, r := range recs {
		if !cut.Selects(r) {
			kept = append(kept, r)
		}
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w * 100; i < (w+1)*100; i += 10 {
				if _, err := s.Append(t.Context(), CloneAll(recs[i:i+10])); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	var deleted atomic.Int64
	for range 2 {
		wg.Go(func() {
			for range 20 {
				n, err := s.DeleteExpired(t.Context(), cut, 10)
				if err != nil {
					t.Errorf("DeleteExpired: %v", err)
				}
				deleted.Add(int64(n))
			}
		})
	}
	wg.Wait()
	h.settle(t, s)
	h.deleteAll(t, s, cut, 100, len(recs)-len(kept)-int(deleted.Load()))
	ask(t, s, kept, valid(t, audit.Query{Limit: 100}))
}
