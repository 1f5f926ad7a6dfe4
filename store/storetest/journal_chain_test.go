package storetest_test

import (
	"context"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// What the journal can do besides: chains, and the documents of the keeper.
var (
	_ audit.Store    = (*journal)(nil)
	_ audit.Keeper   = (*journal)(nil)
	_ chain.Appender = (*journal)(nil)
	_ chain.Reader   = (*journal)(nil)
)

func (s *journal) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	results := make([]audit.Result, len(recs))
	heads := map[chain.Key]chain.Head{} // as they will be
	var put []*audit.Record
	for i, r := range recs {
		if !s.isNew(r, recs[:i], &results[i]) {
			continue
		}
		key := chain.Key{Scope: r.Scope()}
		head, ok := heads[key]
		if !ok {
			head = s.heads[key]
			head.Key = key // of a chain that begins here
		}
		heads[key] = chain.Seal(head, recs[i:i+1])
		results[i].Sequence, results[i].Hash = r.Sequence, r.Hash
		put = append(put, r)
	}
	if len(put) == 0 {
		return results, nil
	}
	return results, s.commit(change{Put: put})
}

func (s *journal) Heads(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	var heads []chain.Head
	for key, h := range s.heads {
		if h.Sequence > 0 && (scope == nil || key.Scope == *scope) {
			heads = append(heads, h)
		}
	}
	slices.SortFunc(heads, func(a, b chain.Head) int {
		return slices.Compare([]string{a.Namespace, a.Tenant, a.Segment}, []string{b.Namespace, b.Tenant, b.Segment})
	})
	return heads, nil
}

func (s *journal) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	recs, err := s.stretch(ctx, key, from, to)
	if err != nil || len(recs) == 0 {
		return err
	}
	return fn(recs) // not under the lock: fn may ask the store
}

func (s *journal) stretch(ctx context.Context, key chain.Key, from, to int64) (recs []*audit.Record, err error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	for _, r := range s.recs {
		if r.Sequence > 0 && chain.KeyOf(r) == key && from <= r.Sequence && r.Sequence <= to {
			recs = append(recs, clone(r))
		}
	}
	slices.SortFunc(recs, func(a, b *audit.Record) int { return int(a.Sequence - b.Sequence) })
	return recs, nil
}

func (s *journal) Unchained(ctx context.Context, scope audit.Scope) (int64, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	n := int64(0)
	for _, r := range s.recs {
		if r.Sequence == 0 && r.Scope() == scope {
			n++
		}
	}
	return n, nil
}

// document is one of those that audit.Keeper keeps.
type document struct {
	Value   []byte `json:"value,omitempty"` // nil: deleted
	Version int64  `json:"version"`
}

func (s *journal) Load(ctx context.Context, key string) ([]byte, int64, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, 0, err
	}
	d := s.documents[key]
	if d.Value == nil {
		return nil, 0, audit.ErrNotFound
	}
	return slices.Clone(d.Value), d.Version, nil
}

func (s *journal) Save(ctx context.Context, key string, value []byte, version int64) error {
	if err := audit.CheckKept(key, value, version); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return err
	}
	have := s.documents[key]
	if have.Value == nil {
		have.Version = 0
	}
	if have.Version != version {
		return audit.ErrMoved
	}
	return s.commit(change{Documents: map[string]document{strings.Clone(key): {value, s.versions + 1}}})
}
