package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var _ chain.Reader = (*Store)(nil)

const (
	headOf = `SELECT last_sequence, hash FROM @batches WHERE scope = $1 ORDER BY first_sequence DESC LIMIT 1`
	linked = `SELECT 1 FROM @records r WHERE scope = $1 AND sequence >= 1` + inOwn + ` LIMIT 1`
	// chainedScopes leaps from one scope to the next by the indexes of chains.
	chainedScopes = `WITH RECURSIVE leap(scope) AS (
		SELECT least((SELECT min(scope) FROM @records WHERE sequence >= 1), (SELECT min(scope) FROM @batches), (SELECT min(scope) FROM @segments))
		UNION ALL
		SELECT least((SELECT min(scope) FROM @records WHERE scope > leap.scope AND sequence >= 1),
			(SELECT min(scope) FROM @batches WHERE scope > leap.scope), (SELECT min(scope) FROM @segments WHERE scope > leap.scope))
		FROM leap WHERE leap.scope IS NOT NULL)
		SELECT scope FROM leap WHERE scope IS NOT NULL`
)

// Heads implements chain.Reader. A chain whose head was removed, and one whose
// names were, are given too: with the sequence 0, and by the name that its
// records then read with. So neither goes unnoticed.
func (s *Store) Heads(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	var heads []chain.Head
	err := s.read(ctx, true, func(tx pgx.Tx) error {
		numbers, err := s.chains(ctx, tx, scope)
		if err != nil {
			return err
		}
		for _, number := range numbers {
			h, ok, err := s.head(ctx, tx, number)
			if err != nil {
				return err
			}
			if ok {
				heads = append(heads, h)
			}
		}
		var of *int32
		if scope != nil {
			if len(numbers) == 0 {
				return nil
			}
			of = &numbers[0]
		}
		segments, err := s.segments(ctx, tx, of)
		heads = append(heads, segments...)
		return err
	})
	slices.SortFunc(heads, func(a, b chain.Head) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Segment, b.Segment))
	})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return heads, nil
}

// chains gives the numbers of the scope, or of every one that has a head or
// chained records.
func (s *Store) chains(ctx context.Context, tx pgx.Tx, scope *audit.Scope) ([]int32, error) {
	if scope != nil {
		number, ok, err := s.scopeNumber(ctx, tx, *scope)
		if refused(err) || err == nil && !ok {
			return nil, nil
		}
		return []int32{number}, err
	}
	rows, err := tx.Query(ctx, s.sql(chainedScopes))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}

// head gives the head of a scope's own chain; ok is false where it has none.
func (s *Store) head(ctx context.Context, tx pgx.Tx, number int32) (h chain.Head, ok bool, err error) {
	if h.Scope, err = s.scopeName(ctx, tx, number); err != nil {
		return h, false, err
	}
	var hash []byte
	err = tx.QueryRow(ctx, s.sql(headOf), number).Scan(&h.Sequence, &hash)
	if err == nil {
		if len(hash) == len(h.Hash) {
			copy(h.Hash[:], hash)
		}
		return h, true, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return h, false, err
	}
	var one int
	err = tx.QueryRow(ctx, s.sql(linked), number).Scan(&one)
	if errors.Is(err, pgx.ErrNoRows) {
		return h, false, nil
	}
	return h, err == nil, err
}

// Unchained implements chain.Reader. It reads the index of scopes, so its cost
// grows with the records of all.
func (s *Store) Unchained(ctx context.Context, scope audit.Scope) (n int64, err error) {
	err = s.read(ctx, true, func(tx pgx.Tx) error {
		number, ok, err := s.scopeNumber(ctx, tx, scope)
		if err != nil || !ok {
			if refused(err) {
				err = nil
			}
			return err
		}
		// What no chain gave is not of a chain: 0 and less.
		return tx.QueryRow(ctx, s.sql(`SELECT count(*) FROM @records WHERE scope = $1 AND (sequence IS NULL OR sequence < 1)`), number).Scan(&n)
	})
	return n, s.fail(ctx, err)
}
