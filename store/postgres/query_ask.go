package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// ask is one question under way: a read-only transaction that sees one state of
// the database. Statements are written for one way through the data, and the
// transaction's settings leave PostgreSQL no other: what it would choose by its
// statistics is wrong where they are old, and a plan is kept for as long as its
// connection.
type ask struct {
	s      *Store
	ctx    context.Context
	tx     pgx.Tx
	mode   mode
	blocks []block // once loaded
	parts  []part  // once loaded
}

// mode is how statements are planned.
type mode int

const (
	byOrder   mode = iota // by a B-tree, in its order
	byValue               // by a B-tree; planned anew each time, as without an order another would do where a partition is small
	byBitmap              // by the bitmap of an index that has no order
	byBitmaps             // so too, shared out among processes, for what is counted and not sorted
	byCost                // as PostgreSQL likes best, for what reads everything anyway
)

var modes = [...]string{
	byOrder:   "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_bitmapscan = off; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL max_parallel_workers_per_gather = 0",
	byValue:   "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_bitmapscan = off; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL max_parallel_workers_per_gather = 0",
	byBitmap:  "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = on; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL max_parallel_workers_per_gather = 0",
	byBitmaps: "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = on; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL max_parallel_workers_per_gather TO DEFAULT",
	byCost:    "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL max_parallel_workers_per_gather TO DEFAULT",
}

// askSettings end the beginning of a question's transaction, in the mode byOrder.
const askSettings = "; SET LOCAL datestyle = 'ISO'; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off" +
	"; SET LOCAL enable_material = off; SET LOCAL enable_memoize = off; "

// ask runs fn on a question's transaction, and again where a partition that it
// named was dropped meanwhile.
func (s *Store) ask(ctx context.Context, fn func(a *ask) error) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	begin := pgx.TxOptions{BeginQuery: s.beginRead + askSettings + modes[byOrder]}
	try := func() error {
		return pgx.BeginTxFunc(ctx, s.replica, begin, func(tx pgx.Tx) error {
			return fn(&ask{s: s, ctx: ctx, tx: tx})
		})
	}
	err := try()
	if state(err) == stateUndefinedTable {
		err = try()
	}
	return s.fail(ctx, err)
}

// plan sets how the statements from now on are planned.
func (a *ask) plan(m mode) error {
	if a.mode == m {
		return nil
	}
	a.mode = m
	_, err := a.tx.Exec(a.ctx, modes[m])
	return err
}

// allBlocks gives all blocks.
func (a *ask) allBlocks() (_ []block, err error) {
	if a.blocks == nil {
		a.blocks, err = a.s.loadBlocks(a.ctx, a.tx)
	}
	return a.blocks, err
}

// place is where a record is: its position, in microseconds, and its scope.
type place struct {
	at    int64
	id    audit.ID
	scope int32
}

// compare is the total order, oldest first.
func (p *place) compare(o *place) int {
	switch {
	case p.at < o.at:
		return -1
	case p.at > o.at:
		return 1
	}
	return bytes.Compare(p.id[:], o.id[:])
}

// hit is a record that a question selects; rec is nil where it is not read yet.
type hit struct {
	place
	rec *audit.Record
}

// placeColumns is the select list that places reads, of the table records as r.
const placeColumns = "r.occurred_at, r.id, r.scope"

// places runs a statement whose select list is placeColumns.
func (a *ask) places(sql string, args []any) (hits []hit, err error) {
	err = a.rows(sql, args, func(raw [][]byte) error {
		h := hit{place: place{at: microsOf(raw[0]), scope: int32(binary.BigEndian.Uint32(raw[2]))}}
		copy(h.id[:], raw[1])
		hits = append(hits, h)
		return nil
	})
	return hits, err
}

// read runs a statement whose select list is rowColumns. The records' scopes
// are filled in by name.
func (a *ask) read(sql string, args []any) (hits []hit, err error) {
	err = a.rows(sql, args, func(raw [][]byte) error {
		rec := new(audit.Record)
		scope, err := decodeRow(raw, rec)
		hits = append(hits, hit{place{audit.Micros(rec.OccurredAt), rec.ID, scope}, rec})
		return err
	})
	return hits, err
}

// rows runs a statement and calls fn with each row in binary form, which is
// fn's until it returns.
func (a *ask) rows(sql string, args []any, fn func(raw [][]byte) error) error {
	rows, err := a.tx.Query(a.ctx, sql, append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.RawValues()); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// selectByPlace reads records by their primary key.
const selectByPlace = " FROM unnest($1::timestamptz[], $2::uuid[], $3::int[]) AS k(at, id, scope)" +
	" JOIN @records r ON r.occurred_at = k.at AND r.id = k.id AND r.scope = k.scope"

// fetch reads the records of those hits that have none yet, in their order.
func (a *ask) fetch(hits []hit) error {
	var missing []int
	var at []time.Time
	var ids [][16]byte
	var scopes []int32
	for i := range hits {
		if hits[i].rec == nil {
			missing = append(missing, i)
			at = append(at, timeOf(hits[i].at))
			ids = append(ids, hits[i].id)
			scopes = append(scopes, hits[i].scope)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := a.plan(byOrder); err != nil {
		return err
	}
	got, err := a.read(a.s.sql("SELECT "+rowColumns+selectByPlace), []any{at, ids, scopes})
	if err != nil {
		return err
	}
	byPlace := make(map[place]*audit.Record, len(got))
	for _, h := range got {
		byPlace[h.place] = h.rec
	}
	for _, i := range missing {
		if hits[i].rec = byPlace[hits[i].place]; hits[i].rec == nil {
			return &audit.Error{Code: audit.CodeInternal, Message: "a record is in an index and not in the table"}
		}
	}
	return nil
}

// name fills in namespace and tenant.
func (a *ask) name(hits []hit) error {
	var unknown []int32
	for i := range hits {
		if _, ok := a.s.scopes.nameOf(hits[i].scope); !ok {
			unknown = append(unknown, hits[i].scope)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		if err := a.s.loadScopes(a.ctx, a.tx, slices.Compact(unknown)); err != nil {
			return err
		}
	}
	for i := range hits {
		name, err := a.s.scopeName(a.ctx, a.tx, hits[i].scope)
		if err != nil {
			return err
		}
		hits[i].rec.Namespace, hits[i].rec.Tenant = name.Namespace, name.Tenant
	}
	return nil
}

// loadScopes remembers the names of the scopes.
func (s *Store) loadScopes(ctx context.Context, db querier, numbers []int32) error {
	rows, err := db.Query(ctx, s.sql(`SELECT scope, namespace, tenant FROM @scopes WHERE scope = ANY($1)`), numbers)
	if err != nil {
		return err
	}
	var number int32
	var name audit.Scope
	_, err = pgx.ForEachRow(rows, []any{&number, &name.Namespace, &name.Tenant}, func() error {
		s.scopes.remember(number, name)
		return nil
	})
	return err
}
