package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// Distinct implements analytics.Analyzer.
func (s *Store) Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error) {
	f, err := analytics.CheckColumn("column", column)
	if err != nil {
		return nil, err
	}
	values := map[string]struct{}{}
	err = s.everything(ctx, q, func(st *statistic) error {
		if done, err := st.skip(ctx, q, f, values); done || err != nil {
			return err
		}
		value := st.textOf(f)
		return st.rows(ctx, func(w *where, from string) string {
			return `SELECT ` + value + from + ` AND ` + value + ` <> '' GROUP BY 1 LIMIT ` + w.arg(analytics.MaxDistinct+1)
		}, func(raw [][]byte) error {
			values[string(raw[0])] = struct{}{}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if len(values) > analytics.MaxDistinct {
		return nil, analytics.TooManyValues(f)
	}
	list := slices.AppendSeq(make([]string, 0, len(values)), maps.Keys(values))
	slices.Sort(list)
	return list, nil
}

// DistinctPairs implements analytics.Analyzer.
func (s *Store) DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	fa, err := analytics.CheckColumn("a", a)
	if err != nil {
		return nil, err
	}
	fb, err := analytics.CheckColumn("b", b)
	if err != nil {
		return nil, err
	}
	pairs := map[string]string{}
	err = s.everything(ctx, q, func(st *statistic) error {
		va, vb := st.textOf(fa), st.textOf(fb)
		return st.rows(ctx, func(w *where, from string) string {
			// The time of the newest record of each a, then among those of that time the last.
			limit := w.arg(analytics.MaxDistinct + 1)
			both := from + ` AND ` + va + ` <> '' AND ` + vb + ` <> ''`
			return `WITH newest AS MATERIALIZED (SELECT ` + va + ` AS a, max(r.occurred_at) AS at` + both + ` GROUP BY 1 LIMIT ` + limit + `)
				SELECT DISTINCT ON (n.a) n.a, l.b FROM newest n CROSS JOIN LATERAL (SELECT r.id, ` + vb + ` AS b` + both + `
					AND r.occurred_at = n.at AND ` + va + ` = n.a) l ORDER BY n.a, l.id DESC, l.b DESC`
		}, func(raw [][]byte) error {
			pairs[string(raw[0])] = string(raw[1])
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if len(pairs) > analytics.MaxDistinct {
		return nil, analytics.TooManyValues(fa)
	}
	return pairs, nil
}

// everything runs fn for a question about records of every kind.
func (s *Store) everything(ctx context.Context, q *audit.Query, fn func(*statistic) error) error {
	records, err := analytics.Records(q)
	if err != nil {
		return err
	}
	if err := s.canAnswer(records); err != nil {
		return err
	}
	return s.snapshot(ctx, records, func(st *statistic) error {
		if st.window.empty() || !st.all && len(st.scopes) == 0 {
			return nil
		}
		st.parts = fromRows(st.window)
		return fn(st)
	})
}

// textOf gives the expression for a text field.
func (st *statistic) textOf(f *audit.Field) string {
	switch f.Name {
	case "namespace":
		st.join = joinScopes
		return "coalesce(s.namespace, '" + lostScope + "')"
	case "tenant":
		st.join = joinScopes
		return "coalesce(s.tenant, r.scope::text)"
	}
	return "r." + f.Name
}

const joinScopes = " LEFT JOIN @scopes s ON s.scope = r.scope"

const (
	// skipBlocks is how many blocks a question must be about for values to be
	// looked up one after another: what is less is read faster than that.
	skipBlocks = 4
	// skipLimit is how many look-ups that may take, at some 10 µs each.
	skipLimit = 20_000
)

// skipSQL goes from each value of a block's index to the next one. A block's
// own bounds are there to leave out the partitions that have nothing of it.
func skipSQL(column string) string {
	return `SELECT DISTINCT x.v FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS b(block, first, last) CROSS JOIN LATERAL (
		WITH RECURSIVE t AS (
			(SELECT r.` + column + ` AS v FROM @records r WHERE r.block = b.block AND r.` + column + ` IS NOT NULL
				AND r.occurred_at >= b.first AND r.occurred_at <= b.last ORDER BY r.block, r.` + column + ` LIMIT 1)
			UNION ALL
			SELECT (SELECT r.` + column + ` FROM @records r WHERE r.block = b.block AND r.` + column + ` > t.v
				AND r.occurred_at >= b.first AND r.occurred_at <= b.last ORDER BY r.block, r.` + column + ` LIMIT 1)
			FROM t WHERE t.v IS NOT NULL)
		SELECT v FROM t WHERE v IS NOT NULL LIMIT $4) x`
}

// skip finds the values of a column that has an index by going from one to the
// next in each block; done is false where that does not pay or is not possible.
func (st *statistic) skip(ctx context.Context, q *audit.Query, f *audit.Field, values map[string]struct{}) (done bool, err error) {
	column := f.Name
	byScope := column == "namespace" || column == "tenant"
	if byScope {
		column = columnScope
	} else if !slices.Contains(indexed, column) || !st.all {
		return false, nil
	}
	for i := range q.Filters {
		if name := q.Filters[i].Field; name != "namespace" && name != "tenant" {
			return false, nil
		}
	}
	if q.Open || q.Text != "" {
		return false, nil
	}
	blocks, err := st.s.loadBlocks(ctx, st.tx)
	if err != nil {
		return false, err
	}
	blocks = slices.DeleteFunc(blocks, func(b block) bool { return b.min > b.max || b.max < st.window.from || b.min >= st.window.to })
	if len(blocks) < skipBlocks {
		return false, nil
	}
	// By the order of the index, and by a plan for these tables as they are now.
	if _, err := st.tx.Exec(ctx, modes[byOrder]+"; SET LOCAL plan_cache_mode = force_custom_plan"); err != nil {
		return false, err
	}
	found := map[string]struct{}{}
	scopes := map[int32]struct{}{}
	most := skipLimit / len(blocks) // values a block
	for done := 0; done < len(blocks); {
		some := blocks[done:min(done+max(1, done), len(blocks))]
		done += len(some)
		var numbers []int32
		var first, last []int64
		for _, b := range some {
			numbers = append(numbers, b.number)
			first = append(first, max(b.min, st.window.from))
			last = append(last, min(b.max, st.window.to-1))
		}
		n := 0
		err := st.each(ctx, skipSQL(column), []any{numbers, timesOf(first), timesOf(last), most + 1}, func(raw [][]byte) error {
			n++
			if byScope {
				scope, _ := octets(raw[0])
				scopes[int32(scope)] = struct{}{}
			} else {
				found[string(raw[0])] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return false, err
		}
		if n > most { // a block has that many, or nearly as many
			_, err := st.tx.Exec(ctx, modes[byCost])
			return false, err
		}
	}
	for scope := range scopes {
		if !st.all && !slices.Contains(st.scopes, scope) {
			continue
		}
		name, err := st.s.scopeName(ctx, st.tx, scope)
		if err != nil {
			return false, err
		}
		found[f.Text(&audit.Record{Event: audit.Event{Namespace: name.Namespace, Tenant: name.Tenant}})] = struct{}{}
	}
	delete(found, "")
	maps.Copy(values, found)
	return true, nil
}
