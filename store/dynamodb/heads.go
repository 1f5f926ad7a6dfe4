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
		return s.headsOf(ctx, []string{partition(*scope)})
	}
	d, err := s.readDirectory(ctx)
	if err != nil {
		return nil, err
	}
	return s.headsOf(ctx, d.partitions(chained))
}

// headsOf reads the heads of all chains of the partitions, those of segments too.
func (s *Store) headsOf(ctx context.Context, parts []string) ([]chain.Head, error) {
	var keys []string
	for _, part := range parts {
		keys = append(keys, headKey(part, ""), segmentsKey(part))
	}
	items, err := s.getItems(ctx, keys)
	if err != nil {
		return nil, err
	}
	keys = nil
	for _, part := range parts {
		for _, segment := range segmentsOf(items[segmentsKey(part)]) {
			keys = append(keys, headKey(part, segment))
		}
	}
	more, err := s.getItems(ctx, keys)
	if err != nil {
		return nil, err
	}
	var heads []chain.Head
	for _, part := range parts {
		scope, ok := scopeOf(part)
		if !ok {
			continue
		}
		if head := headOf(chain.Key{Scope: scope}, items[headKey(part, "")]); head != nil {
			heads = append(heads, *head)
		}
		for _, segment := range segmentsOf(items[segmentsKey(part)]) {
			if head := headOf(chain.Key{Scope: scope, Segment: segment}, more[headKey(part, segment)]); head != nil {
				heads = append(heads, *head)
			}
		}
	}
	slices.SortFunc(heads, func(a, b chain.Head) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Segment, b.Segment))
	})
	return heads, nil
}

// headOf reads a head; nil is none.
func headOf(key chain.Key, m item) *chain.Head {
	if numberOf(m[attrLast]) <= 0 {
		return nil
	}
	return &chain.Head{Key: key, Sequence: numberOf(m[attrLast]), Hash: digestOf(m[attrHash])}
}

// readHead reads the head of a chain, strongly consistent.
func (s *Store) readHead(ctx context.Context, part string, key chain.Key) (chain.Head, error) {
	m, err := s.getItem(ctx, headKey(part, key.Segment))
	if err != nil {
		return chain.Head{}, err
	}
	if head := headOf(key, m); head != nil {
		return *head, nil
	}
	return chain.Head{Key: key}, nil
}
