package postgres

import (
	"context"
	"errors"

	"github.com/annals-dev/annals/audit"
)

// legalHolds gives the legal holds in force, for those deletions that nobody
// gives them to. Holds that cannot be read are an error: nothing is deleted then.
func (s *Store) legalHolds(ctx context.Context) ([]*audit.Query, error) {
	doc, _, err := s.Load(ctx, audit.HoldsKey)
	if errors.Is(err, audit.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return audit.ParseHolds(doc)
}
