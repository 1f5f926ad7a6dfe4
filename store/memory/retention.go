package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// DeleteExpired implements audit.Store; the oldest records go first. The
// anchors join their chains in the same critical section.
func (s *Store) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	gone := map[*audit.Record]bool{}
	torn := map[chain.Key][]chain.Link{}
	for _, r := range s.order {
		if len(gone) >= limit {
			break
		}
		if !cut.Selects(r) {
			continue
		}
		gone[r] = true
		if r.Sequence != 0 {
			key := chain.KeyOf(r)
			torn[key] = append(torn[key], chain.Link{Sequence: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	for r := range gone {
		delete(s.byRef, r.Ref())
	}
	s.order = s.order.without(gone)
	for key, removed := range torn {
		c := s.chains[key]
		c.recs = index(c.recs).without(gone)
		s.anchor(key, removed, cut.Reason)
	}
	return len(gone), nil
}

// anchor writes the removed links of one chain down, in the scope's own chain where
// it is a segment, which nobody adds to here.
func (s *Store) anchor(key chain.Key, removed []chain.Link, reason string) {
	slices.SortFunc(removed, func(a, b chain.Link) int { return cmp.Compare(a.Sequence, b.Sequence) })
	now := s.now()
	var anchors []*audit.Record
	for runs := range slices.Chunk(chain.Runs(removed), chain.MaxRuns) {
		a := chain.Anchor(key, runs, reason, now)
		s.seal(chain.Key{Scope: key.Scope}, a)
		s.byRef[a.Ref()] = a
		anchors = append(anchors, a)
	}
	s.order = s.order.insert(anchors)
}
