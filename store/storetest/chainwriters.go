package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

const (
	writers = 8
	batches = 6
	size    = 10
)

// testChainWriters has writers that race for the same chains, and that all
// deliver one record. Losing a race is the engine's own affair: nothing is lost, doubled or left out, and what each
// writer was told is what is stored.
func testChainWriters(t *testing.T, h *Harness) {
	s := h.openChained(t)
	scopes := []audit.Scope{scopeA, {Namespace: "ns", Tenant: "b"}, {Namespace: "other"}}
	shared := event(scopeA, CorpusStart, nil) // every writer delivers it
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		stored []*audit.Record
		fresh  int // how often the shared record was stored anew
	)
	for w := range writers {
		wg.Go(func() {
			for b := range batches {
				var recs []*audit.Record
				for i := range size {
					recs = append(recs, event(scopes[(w+i)%len(scopes)], CorpusStart.Add(time.Duration(i)*time.Second), func(r *audit.Record) {
						r.Resource.ID = fmt.Sprintf("%d/%d/%d", w, b, i)
					}))
				}
				recs = append(recs, Clone(shared))
				results, err := s.AppendChained(t.Context(), recs)
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				for i, r := range results {
					switch {
					case r.Err != nil:
						t.Errorf("writer %d: %v", w, r.Err)
					case i == size:
						if !r.Duplicate {
							fresh++
							stored = append(stored, recs[i])
						}
					default:
						stored = append(stored, recs[i])
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	h.settle(t, s.Store)
	if fresh != 1 {
		t.Errorf("the record that all writers delivered was stored %d times", fresh)
	}
	if n := writers*batches*size + 1; len(stored) != n {
		t.Fatalf("%d records were acknowledged, want %d", len(stored), n)
	}
	counts := map[audit.Scope]int64{}
	for _, r := range stored {
		counts[r.Scope()]++
	}
	for _, scope := range scopes {
		var sum int64
		for _, head := range s.heads(t, &scope) {
			sum += head.Sequence
		}
		if sum != counts[scope] {
			t.Errorf("%+v: the heads say %d, %d were acknowledged", scope, sum, counts[scope])
		}
	}
	s.verify(t, stored)
}
