package memory

import (
	"context"
	"slices"
	"sort"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// walkBatch is how many records a walk hands out at a time.
const walkBatch = 256

// Heads implements chain.Reader.
func (s *Store) Heads(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	var heads []chain.Head
	for key, c := range s.chains {
		if scope == nil || key.Scope == *scope {
			heads = append(heads, c.head)
		}
	}
	slices.SortFunc(heads, func(a, b chain.Head) int {
		for _, c := range []int{
			strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Segment, b.Segment),
		} {
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return heads, nil
}

// Walk implements chain.Reader over one snapshot of the chain.
func (s *Store) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	recs, err := s.stretch(ctx, key, from, to)
	if err != nil {
		return err
	}
	rooms := make([]scratch, min(len(recs), walkBatch))
	batch := make([]*audit.Record, 0, len(rooms))
	for some := range slices.Chunk(recs, walkBatch) {
		if err := interrupted(ctx); err != nil {
			return err
		}
		batch = batch[:0]
		for i, r := range some {
			batch = append(batch, rooms[i].copy(r))
		}
		if err := fn(batch); err != nil {
			return err
		}
	}
	return nil
}

// stretch gives the chain's records in [from, to], which never change again.
func (s *Store) stretch(ctx context.Context, key chain.Key, from, to int64) ([]*audit.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	c, ok := s.chains[key]
	if !ok || to < from {
		return nil, nil
	}
	recs := c.recs
	recs = recs[sort.Search(len(recs), func(i int) bool { return recs[i].Sequence >= from }):]
	return recs[:sort.Search(len(recs), func(i int) bool { return recs[i].Sequence > to })], nil
}

// Unchained implements chain.Reader.
func (s *Store) Unchained(ctx context.Context, scope audit.Scope) (int64, error) {
	all, err := s.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, r := range all {
		if r.Sequence == 0 && r.Scope() == scope {
			n++
		}
	}
	return n, nil
}
