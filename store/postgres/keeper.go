package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

var _ audit.Keeper = (*Store)(nil)

// Load implements audit.Keeper.
func (s *Store) Load(ctx context.Context, key string) ([]byte, int64, error) {
	if s.closing.Err() != nil {
		return nil, 0, audit.ErrClosed
	}
	var value []byte
	var version int64
	err := s.main.QueryRow(ctx, s.sql(`SELECT value, version FROM @documents WHERE key = $1 ORDER BY version DESC LIMIT 1`), key).Scan(&value, &version)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && value == nil || refused(err) {
		return nil, 0, audit.ErrNotFound
	}
	if err != nil {
		return nil, 0, s.fail(ctx, err)
	}
	return value, version, nil
}

// Save implements audit.Keeper. A version is a row that is only ever inserted:
// the next number, so of two that save over the same one the primary key lets
// one through. Deleting inserts a row without a value.
func (s *Store) Save(ctx context.Context, key string, value []byte, version int64) error {
	if err := audit.CheckKept(key, value, version); err != nil {
		return err
	}
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	// A new document goes on after the version that one of its name was deleted at.
	var saved int64
	err := s.write(ctx, s.main, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, s.sql(`WITH newest AS (
			SELECT version, value IS NULL AS deleted FROM @documents WHERE key = $1 ORDER BY version DESC LIMIT 1)
			INSERT INTO @documents(key, version, value)
			SELECT $1, coalesce((SELECT version FROM newest), 0) + 1, $2::bytea
			WHERE CASE WHEN $3::bigint = 0 THEN coalesce((SELECT deleted FROM newest), true)
				ELSE EXISTS(SELECT 1 FROM newest WHERE version = $3 AND NOT deleted) END
			ON CONFLICT DO NOTHING`), key, value, version)
		saved = tag.RowsAffected()
		return err
	})
	if err == nil && saved == 0 {
		return audit.ErrMoved
	}
	return s.fail(ctx, err)
}
