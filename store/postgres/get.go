package postgres

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Get implements audit.Store. It reads where the records are written, so that
// what was acknowledged is found.
func (s *Store) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	if s.closing.Err() != nil {
		return nil, audit.ErrClosed
	}
	r, err := s.get(ctx, ref)
	return r, s.fail(ctx, err)
}

func (s *Store) get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	scope, ok, err := s.scopeNumber(ctx, s.main, audit.Scope{Namespace: ref.Namespace, Tenant: ref.Tenant})
	if refused(err) { // a name that cannot be stored names nothing
		return nil, audit.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, audit.ErrNotFound
	}
	var found *audit.Record
	err = s.records(ctx, s.main, s.sql(`SELECT `+rowColumns+` FROM @records r WHERE r.id = $1::text::uuid AND r.scope = $2 LIMIT 1`),
		[]any{ref.ID.String(), scope}, func(r *audit.Record) error {
			found = r
			return nil
		})
	if err == nil && found == nil {
		err = audit.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}
