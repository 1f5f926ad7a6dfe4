package clickhouse

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Get implements audit.Store.
func (s *Store) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var w where
	w.and("namespace=", text(ref.Namespace))
	w.and("tenant=", text(ref.Tenant))
	w.and("id=", identity(ref.ID))
	var rec *audit.Record
	d := newDecoder()
	err = s.rows(ctx, "SELECT "+rowColumns+" FROM "+s.records+" WHERE "+w.String()+" ORDER BY _block_number LIMIT 1", func(r *row) (err error) {
		rec, err = d.read(r)
		return err
	})
	if err == nil && rec == nil {
		err = audit.ErrNotFound
	}
	return rec, err
}
