package memory

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

var _ chain.Restorer = (*Store)(nil)

// Restore implements chain.Restorer. A call is atomic.
func (s *Store) Restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	if err := chain.CheckRestore(from, to, recs); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	head := chain.Head{Key: from.Key}
	c, ok := s.chains[from.Key]
	if ok {
		head = c.head
	}
	if head != from {
		return chain.ErrHeadMoved
	}
	seen := make(map[audit.ID]bool, len(recs))
	for _, r := range recs {
		if _, taken := s.byRef[r.Ref()]; taken || seen[r.ID] {
			return chain.TakenID(r)
		}
		seen[r.ID] = true
	}
	if from == to {
		return nil
	}
	if !ok {
		c = &links{}
		s.chains[from.Key] = c
	}
	c.head = to
	fresh := make([]*audit.Record, len(recs))
	for i, r := range recs {
		fresh[i] = intake.Clone(r)
		s.byRef[r.Ref()] = fresh[i]
	}
	c.recs = append(c.recs, fresh...)
	s.keep(fresh)
	return nil
}
