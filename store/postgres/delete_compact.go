package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// keptBatches is how many of a chain's batches stay, and keptVersions how many
// of a document's. The newest is what counts. The others keep their numbers
// taken for a writer that has seen an older state and is still under way.
const (
	keptBatches  = 100
	keptVersions = 10
)

// compactLimit is how many rows one transaction removes at most.
const compactLimit = 10_000

const (
	compactBatches = `DELETE FROM @batches d USING (
		SELECT b.scope, b.first_sequence FROM @scopes s
		CROSS JOIN LATERAL (SELECT first_sequence FROM @batches WHERE scope = s.scope ORDER BY first_sequence DESC OFFSET $1 LIMIT 1) edge
		JOIN @batches b ON b.scope = s.scope AND b.first_sequence <= edge.first_sequence LIMIT $2) old
		WHERE d.scope = old.scope AND d.first_sequence = old.first_sequence`
	compactDocuments = `DELETE FROM @documents d USING (
		SELECT o.key, o.version FROM (SELECT key, max(version) AS version FROM @documents GROUP BY key HAVING count(*) > $1) newest
		JOIN @documents o ON o.key = newest.key AND o.version <= newest.version - $1 LIMIT $2) old
		WHERE d.key = old.key AND d.version = old.version`
)

// compact removes what a newer row has replaced: chains' older batches, and
// earlier versions of documents.
func (s *Store) compact(ctx context.Context) error {
	for _, c := range []struct {
		sql  string
		args []any
	}{{compactBatches, []any{keptBatches, compactLimit}}, {compactDocuments, []any{keptVersions, compactLimit}}} {
		for {
			var n int64
			err := s.exclusively(ctx, func(tx pgx.Tx) error {
				tag, err := tx.Exec(ctx, s.sql(c.sql), c.args...)
				n = tag.RowsAffected()
				return err
			})
			if err != nil {
				return err
			}
			if n < compactLimit {
				break
			}
		}
	}
	return nil
}
