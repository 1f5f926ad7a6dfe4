package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// DeleteExpired implements audit.Store: one transaction, in which the oldest go
// first. Writers do not notice it but for its end, where the anchors of chained
// records join their chains: those of the same scopes then wait for its commit.
func (s *Store) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	n, err := s.sweep(ctx, s.sql("@records"), &cut, limit)
	return n, s.fail(ctx, err)
}

// sweep is DeleteExpired for one table: all records, or those of a partition.
func (s *Store) sweep(ctx context.Context, table string, cut *audit.Cut, limit int) (int, error) {
	list := dueOf(cut)
	if s.closing.Err() != nil {
		return 0, audit.ErrClosed
	}
	if limit <= 0 || len(list) == 0 {
		return 0, ctx.Err()
	}
	var d deletion
	err := s.exclusively(ctx, func(tx pgx.Tx) error {
		// In the order of the index, so that the limit ends it: whatever the planner
		// believes of the table, to read all that is due and sort it takes too long.
		if _, err := tx.Exec(ctx, `SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off`); err != nil {
			return err
		}
		d = deletion{s: s, tx: tx, anchors: anchors{}}
		for i := range list {
			if err := d.find(ctx, &list[i], table, limit-len(d.list)); err != nil {
				return err
			}
		}
		if len(d.list) == 0 {
			return nil
		}
		if err := d.remove(ctx); err != nil {
			return err
		}
		return d.anchors.store(ctx, s, tx, cut.Reason)
	})
	if err != nil {
		return 0, err
	}
	return len(d.list), nil
}

// deletion is one transaction that deletes.
type deletion struct {
	s       *Store
	tx      pgx.Tx
	list    []doomed
	anchors anchors
}

// doomed is one record to delete.
type doomed struct {
	table uint32 // the partition
	tid   string // the place in it
	chain ofChain
	hour  int64 // in which it occurred, in seconds since 1970
	link  chain.Link
}

// find adds at most limit records to the list and locks them, so that nobody
// else can delete one and give its place to another.
func (d *deletion) find(ctx context.Context, due *due, table string, limit int) error {
	if limit <= 0 {
		return nil
	}
	var w where
	if err := d.s.due(&w, due); err != nil {
		return err
	}
	sql := `SELECT r.tableoid, r.ctid::text, r.scope, coalesce(r.segment, ''), r.occurred_at, coalesce(r.sequence, 0), r.prev_hash, r.hash FROM ` + table +
		` r WHERE ` + w.text() + ` ORDER BY ` + due.order + ` LIMIT ` + w.arg(limit) + ` FOR UPDATE OF r`
	rows, err := d.tx.Query(ctx, sql, w.args...)
	if err != nil {
		return err
	}
	var r doomed
	var at time.Time
	var prev, hash []byte
	_, err = pgx.ForEachRow(rows, []any{&r.table, &r.tid, &r.chain.scope, &r.chain.segment, &at, &r.link.Sequence, &prev, &hash}, func() error {
		r.hour = at.Truncate(time.Hour).Unix()
		r.link.PrevHash, r.link.Hash = digest(prev), digest(hash)
		d.list = append(d.list, r)
		return nil
	})
	return err
}

// digest reads a hash; one of another length is none of ours.
func digest(b []byte) (d audit.Digest) {
	if len(b) == len(d) {
		copy(d[:], b)
	}
	return d
}

// remove deletes what is on the list, and says in which hours that changes the sums.
func (d *deletion) remove(ctx context.Context) error {
	tids := map[uint32][]string{}
	links := map[ofChain][]chain.Link{}
	var tables []uint32
	var hours []int64
	for i := range d.list {
		r := &d.list[i]
		if tids[r.table] == nil {
			tables = append(tables, r.table)
		}
		tids[r.table] = append(tids[r.table], r.tid)
		hours = append(hours, r.hour)
		if r.link.Sequence > 0 {
			links[r.chain] = append(links[r.chain], r.link)
		}
	}
	for key, l := range links {
		slices.SortFunc(l, func(a, b chain.Link) int { return cmp.Compare(a.Sequence, b.Sequence) })
		d.anchors[key] = chain.Runs(l)
	}
	slices.Sort(tables)
	for _, oid := range tables {
		var name string
		if err := d.tx.QueryRow(ctx, `SELECT $1::oid::regclass::text`, oid).Scan(&name); err != nil {
			return err
		}
		tag, err := d.tx.Exec(ctx, `DELETE FROM ONLY `+name+` WHERE ctid = ANY($1::text[]::tid[])`, tids[oid])
		if err != nil {
			return err
		}
		if tag.RowsAffected() != int64(len(tids[oid])) {
			return &audit.Error{Code: audit.CodeInternal, Message: "records that were locked are not there any more: nothing was deleted"}
		}
	}
	slices.Sort(hours)
	_, err := d.tx.Exec(ctx, d.s.sql(insertStale), slices.Compact(hours))
	return err
}
