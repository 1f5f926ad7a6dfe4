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
// index of chains alone, but for tables with segments: of each run the first and
// the last record are looked up afterwards.
func (d *dropping) runs(ctx context.Context, tx pgx.Tx) (anchors, error) {
	var some bool
	if err := tx.QueryRow(ctx, d.s.sql(anySegment)).Scan(&some); err != nil {
		return nil, err
	}
	segment, segments := `''`, make([]string, len(d.kept.segments))
	if some {
		segment, segments = `coalesce(r.segment, '')`, d.kept.segments
	}
	rows, err := tx.Query(ctx, `SELECT scope, segment, min(sequence), max(sequence) FROM (
		SELECT scope, segment, sequence, sequence - dense_rank() OVER (PARTITION BY scope, segment ORDER BY sequence) AS run FROM (
			SELECT scope, `+segment+`::text COLLATE "C" AS segment, sequence
			FROM ONLY `+d.p.name+` r WHERE sequence IS NOT NULL AND sequence > 0) l
		WHERE (scope, segment, sequence) NOT IN (SELECT k.scope, k.segment, k.sequence FROM unnest($1::int[], $2::text[], $3::bigint[]) AS k(scope, segment, sequence))) s
		GROUP BY scope, segment, run ORDER BY scope, segment, min(sequence) LIMIT $4`, d.kept.scopes, segments, d.kept.sequences, maxDropRuns+1)
	if err != nil {
		return nil, err
	}
	var scopes []int32
	var names []string
	var firsts, lasts []int64
	var key ofChain
	var first, last int64
	if _, err := pgx.ForEachRow(rows, []any{&key.scope, &key.segment, &first, &last}, func() error {
		scopes, names, firsts, lasts = append(scopes, key.scope), append(names, key.segment), append(firsts, first), append(lasts, last)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(scopes) > maxDropRuns {
		return nil, errCrowded
	}
	of := func(sequence string) string {
		cond := `r.scope = k.scope AND r.sequence = ` + sequence + ` AND r.sequence IS NOT NULL`
		if some {
			cond += ` AND ` + segment + ` = k.segment`
		}
		return ` FROM ONLY ` + d.p.name + ` r WHERE ` + cond + ` LIMIT 1`
	}
	rows, err = tx.Query(ctx, `SELECT k.scope, k.segment, k.first, k.last, (SELECT prev_hash`+of("k.first")+`), (SELECT hash`+of("k.last")+`)
		FROM unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS k(scope, segment, first, last, n) ORDER BY k.n`, scopes, names, firsts, lasts)
	if err != nil {
		return nil, err
	}
	out := anchors{}
	var prev, hash []byte
	_, err = pgx.ForEachRow(rows, []any{&key.scope, &key.segment, &first, &last, &prev, &hash}, func() error {
		out[key] = append(out[key], chain.Run{First: first, Last: last, PrevHash: digest(prev), Hash: digest(hash)})
		return nil
	})
	return out, err
}
