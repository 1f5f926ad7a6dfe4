package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// A chain that was copied from an engine whose writers have segments stands
// beside the own chain of its scope, to which alone records are appended. Its
// heads are in a table of their own, which is to it what batches is to the own
// chain: the last row of a segment is its head.

// segmentSchema makes the table of the heads of segments.
func segmentSchema() []string {
	return []string{`CREATE TABLE @segments(
		scope integer NOT NULL,
		segment text COLLATE "C" NOT NULL,
		first_sequence bigint NOT NULL,
		last_sequence bigint NOT NULL,
		hash bytea NOT NULL,
		PRIMARY KEY(scope, segment, first_sequence))`}
}

const (
	// inOwn leaves the records of a scope's own chain. A segment that nobody knows
	// is none: a record that names one belongs here, and does not verify.
	inOwn = ` AND (r.segment IS NULL OR NOT EXISTS(SELECT 1 FROM @segments g WHERE g.scope = r.scope AND g.segment = r.segment))`

	headOfSegment = `SELECT scope, last_sequence, hash FROM @segments WHERE scope = ANY($1::int[]) AND segment = $2 ORDER BY first_sequence DESC LIMIT 1`
	insertSegment = `INSERT INTO @segments(scope, segment, first_sequence, last_sequence, hash) VALUES($1, $2, $3, $4, $5)`
	headsOfAll    = `SELECT DISTINCT ON (scope, segment) scope, segment, last_sequence, hash FROM @segments
		WHERE $1::int IS NULL OR scope = $1 ORDER BY scope, segment, first_sequence DESC`
	anySegment = `SELECT EXISTS(SELECT 1 FROM @segments)`
)

// segments gives the heads of the segments of a scope, or of all where number is nil.
func (s *Store) segments(ctx context.Context, tx pgx.Tx, number *int32) (heads []chain.Head, err error) {
	rows, err := tx.Query(ctx, s.sql(headsOfAll), number)
	if err != nil {
		return nil, err
	}
	var scopes []int32
	var scope int32
	var h chain.Head
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&scope, &h.Segment, &h.Sequence, &hash}, func() error {
		h.Hash = digest(hash)
		scopes, heads = append(scopes, scope), append(heads, h)
		return nil
	})
	for i := 0; i < len(heads) && err == nil; i++ {
		var name audit.Scope
		name, err = s.scopeName(ctx, tx, scopes[i])
		heads[i].Scope = name
	}
	return heads, err
}
