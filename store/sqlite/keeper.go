package sqlite

import (
	"context"
	"math"
	"math/rand/v2"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// Load implements audit.Keeper.
func (s *Store) Load(ctx context.Context, key string) (value []byte, version int64, err error) {
	err = s.read(ctx, func(v *view) error {
		found, err := v.conns[0].one(s.sql("SELECT value, version FROM @documents WHERE key = ?"), func(st *z.Stmt) {
			value = make([]byte, st.ColumnLen(0))
			st.ColumnBytes(0, value)
			version = st.ColumnInt64(1)
		}, key)
		if err == nil && !found {
			err = audit.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return value, version, nil
}

// Save implements audit.Keeper. Versions are random, so that none comes twice.
func (s *Store) Save(ctx context.Context, key string, value []byte, version int64) error {
	if err := audit.CheckKept(key, value, version); err != nil {
		return err
	}
	next := 1 + rand.Int64N(math.MaxInt64)
	return s.write(ctx, func(w *writer) error {
		var err error
		switch {
		case version == 0:
			err = w.run(s.sql("INSERT INTO @documents(key, value, version) VALUES(?, ?, ?) ON CONFLICT(key) DO NOTHING"), key, value, next)
		case value == nil:
			err = w.run(s.sql("DELETE FROM @documents WHERE key = ? AND version = ?"), key, version)
		default:
			err = w.run(s.sql("UPDATE @documents SET value = ?, version = ? WHERE key = ? AND version = ?"), value, next, key, version)
		}
		if err == nil && w.Changes() == 0 {
			err = audit.ErrMoved
		}
		return err
	})
}
