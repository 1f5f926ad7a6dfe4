package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/chain"
)

// maxDropRuns bounds what the anchors of one dropped partition have to name, so
// that they stay some hundred megabytes at the very worst.
const maxDropRuns = 200_000

// runs gives the runs of chained records that the drop removes. It reads the
// index of chains alone: of each run the first and the last record are looked
// up afterwards.
func (d *dropping) runs(ctx context.Context, tx pgx.Tx) (anchors, error) {
	rows, err := tx.Query(ctx, `SELECT scope, min(sequence), max(sequence) FROM (
		SELECT scope, sequence, sequence - dense_rank() OVER (PARTITION BY scope ORDER BY sequence) AS run
		FROM ONLY `+d.p.name+` r WHERE sequence IS NOT NULL AND sequence > 0
			AND (scope, sequence) NOT IN (SELECT k.scope, k.sequence FROM unnest($1::int[], $2::bigint[]) AS k(scope, sequence))) s
		GROUP BY scope, run ORDER BY scope, min(sequence) LIMIT $3`, d.kept.scopes, d.kept.sequences, maxDropRuns+1)
	if err != nil {
		return nil, err
	}
	var scopes []int32
	var firsts, lasts []int64
	var scope int32
	var first, last int64
	if _, err := pgx.ForEachRow(rows, []any{&scope, &first, &last}, func() error {
		scopes, firsts, lasts = append(scopes, scope), append(firsts, first), append(lasts, last)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(scopes) > maxDropRuns {
		return nil, errCrowded
	}
	rows, err = tx.Query(ctx, `SELECT k.scope, k.first, k.last,
			(SELECT prev_hash FROM ONLY `+d.p.name+` r WHERE r.scope = k.scope AND r.sequence = k.first AND r.sequence IS NOT NULL LIMIT 1),
			(SELECT hash FROM ONLY `+d.p.name+` r WHERE r.scope = k.scope AND r.sequence = k.last AND r.sequence IS NOT NULL LIMIT 1)
		FROM unnest($1::int[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS k(scope, first, last, n) ORDER BY k.n`, scopes, firsts, lasts)
	if err != nil {
		return nil, err
	}
	out := anchors{}
	var prev, hash []byte
	_, err = pgx.ForEachRow(rows, []any{&scope, &first, &last, &prev, &hash}, func() error {
		out[scope] = append(out[scope], chain.Run{First: first, Last: last, PrevHash: digest(prev), Hash: digest(hash)})
		return nil
	})
	return out, err
}
