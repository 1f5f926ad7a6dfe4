package memory

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// Append implements audit.Store. A batch is atomic.
func (s *Store) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	results, fresh := s.admit(recs, false)
	s.keep(fresh)
	return results, nil
}

// AppendChained implements chain.Appender. A batch is atomic.
func (s *Store) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	results, fresh := s.admit(recs, true)
	for i, r := range fresh {
		if r == nil {
			continue
		}
		s.seal(chain.Key{Scope: r.Scope()}, r)
		recs[i].Segment, recs[i].Sequence, recs[i].PrevHash, recs[i].Hash = r.Segment, r.Sequence, r.PrevHash, r.Hash
		results[i].Sequence, results[i].Hash = r.Sequence, r.Hash
	}
	for i := range results {
		if results[i].Duplicate {
			// The record it repeats may stand in this batch and have its place only now.
			r := s.byRef[recs[i].Ref()]
			results[i].Sequence, results[i].Hash = r.Sequence, r.Hash
		}
	}
	s.keep(fresh)
	return results, nil
}

// admit gives the verdict on each record and enters copies of the new ones by
// their Ref; fresh holds those copies in their places and nil in the others.
func (s *Store) admit(recs []*audit.Record, chained bool) (results []audit.Result, fresh []*audit.Record) {
	results = make([]audit.Result, len(recs))
	fresh = make([]*audit.Record, len(recs))
	for i, r := range recs {
		if results[i].Err = intake.Check(r, chained); results[i].Err != nil {
			continue
		}
		if old := s.byRef[r.Ref()]; old != nil {
			results[i] = intake.Verdict(old, r)
			continue
		}
		fresh[i] = intake.Clone(r)
		s.byRef[r.Ref()] = fresh[i]
	}
	return results, fresh
}

// keep puts the new records into the order; nils are passed over.
func (s *Store) keep(fresh []*audit.Record) {
	recs := make([]*audit.Record, 0, len(fresh))
	for _, r := range fresh {
		if r != nil {
			recs = append(recs, r)
		}
	}
	s.order = s.order.insert(recs)
}

// seal makes the record, a copy of our own, the next link of the chain.
func (s *Store) seal(key chain.Key, r *audit.Record) {
	c, ok := s.chains[key]
	if !ok {
		c = &links{head: chain.Head{Key: key}}
		s.chains[key] = c
	}
	c.head = chain.Seal(c.head, []*audit.Record{r})
	c.recs = append(c.recs, r)
}
