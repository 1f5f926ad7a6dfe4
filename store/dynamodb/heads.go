package dynamodb

import (
	"cmp"
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Heads implements chain.Reader, strongly consistent.
func (s *Store) Heads(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if scope != nil {
		head, err := s.readHead(ctx, partition(*scope), *scope)
		if err != nil || head.Sequence == 0 {
			return nil, err
		}
		return []chain.Head{head}, nil
	}
	d, err := s.readDirectory(ctx)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, part := range d.partitions(chained) {
		keys = append(keys, headKey(part))
	}
	items, err := s.getItems(ctx, keys)
	if err != nil {
		return nil, err
	}
	var heads []chain.Head
	for _, part := range d.partitions(chained) {
		scope, ok := scopeOf(part)
		if !ok {
			continue
		}
		if head := headOf(scope, items[headKey(part)]); head != nil {
			heads = append(heads, *head)
		}
	}
	slices.SortFunc(heads, func(a, b chain.Head) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant))
	})
	return heads, nil
}

// headOf reads a head; nil is none.
func headOf(scope audit.Scope, m item) *chain.Head {
	if numberOf(m[attrLast]) <= 0 {
		return nil
	}
	return &chain.Head{Key: chain.Key{Scope: scope}, Sequence: numberOf(m[attrLast]), Hash: digestOf(m[attrHash])}
}

// readHead reads the head of a chain, strongly consistent.
func (s *Store) readHead(ctx context.Context, part string, scope audit.Scope) (chain.Head, error) {
	m, err := s.getItem(ctx, headKey(part))
	if err != nil {
		return chain.Head{}, err
	}
	if head := headOf(scope, m); head != nil {
		return *head, nil
	}
	return chain.Head{Key: chain.Key{Scope: scope}}, nil
}
