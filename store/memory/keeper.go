package memory

import (
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// document is one of those that audit.Keeper keeps.
type document struct {
	value   []byte
	version int64
}

// Load implements audit.Keeper.
func (s *Store) Load(ctx context.Context, key string) (value []byte, version int64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(ctx); err != nil {
		return nil, 0, err
	}
	d, ok := s.documents[key]
	if !ok {
		return nil, 0, audit.ErrNotFound
	}
	return slices.Clone(d.value), d.version, nil
}

// Save implements audit.Keeper.
func (s *Store) Save(ctx context.Context, key string, value []byte, version int64) error {
	if err := audit.CheckKept(key, value, version); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if s.documents[key].version != version {
		return audit.ErrMoved
	}
	if value == nil {
		delete(s.documents, key)
		return nil
	}
	s.saves++
	s.documents[key] = document{slices.Clone(value), s.saves}
	return nil
}
