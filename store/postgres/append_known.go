package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// itemName is the name of a record by numbers.
type itemName struct {
	scope int32
	id    audit.ID
}

func (it *item) name() itemName { return itemName{it.scope, it.rec.ID} }

// known finds which items are there already, in the tables or earlier in the
// batch itself.
type known struct {
	items  []*item
	firsts map[itemName]*item // nil while ids grow, as ids of our own making do

	timed, others []string // ids of version 7, which lie together in the index, and the rest
	low, high     audit.ID
	limit         int
	hits          map[itemName]bool          // what the index has
	full          bool                       // it has more than the limit in the range
	old           map[itemName]*audit.Record // the records of hits
}

func newKnown(items []*item) *known {
	k := &known{items: items}
	growing := true
	for i := 1; i < len(items) && growing; i++ {
		growing = items[i-1].rec.ID.Compare(items[i].rec.ID) < 0
	}
	if !growing {
		k.firsts = make(map[itemName]*item, len(items))
	}
	for _, it := range items {
		id := it.rec.ID
		if k.firsts != nil {
			if _, again := k.firsts[it.name()]; again {
				continue
			}
			k.firsts[it.name()] = it
		}
		if id[6]>>4 != 7 {
			k.others = append(k.others, id.String())
			continue
		}
		if k.low.IsZero() || id.Compare(k.low) < 0 {
			k.low = id
		}
		if id.Compare(k.high) > 0 {
			k.high = id
		}
		k.limit++
	}
	// In the range lie the ids that other writers made meanwhile, too.
	k.limit = 4*k.limit + 1000
	return k
}

const (
	idsBetween = `SELECT id, scope FROM @records WHERE id BETWEEN $1::text::uuid AND $2::text::uuid LIMIT $3`
	idsAmong   = `SELECT id, scope FROM @records WHERE id = ANY($1::text[]::uuid[])`
)

// queue asks for the ids.
func (k *known) queue(s *Store, b *pgx.Batch) {
	if !k.low.IsZero() {
		b.Queue(s.sql(idsBetween), k.low.String(), k.high.String(), k.limit).Query(func(rows pgx.Rows) error {
			n := 0
			err := k.note(rows, &n)
			k.full = n == k.limit
			return err
		})
	}
	if len(k.others) > 0 {
		b.Queue(s.sql(idsAmong), k.others).Query(func(rows pgx.Rows) error { return k.note(rows, new(int)) })
	}
}

// note reads ids that the tables have.
func (k *known) note(rows pgx.Rows, n *int) error {
	for rows.Next() {
		var p itemName
		if err := rows.Scan((*[16]byte)(&p.id), &p.scope); err != nil {
			return err
		}
		if k.hits == nil {
			k.hits = map[itemName]bool{}
		}
		k.hits[p] = true
		*n++
	}
	return rows.Err()
}

// load reads the records that the tables have of the batch.
func (k *known) load(ctx context.Context, w *writing) error {
	if k.full {
		for _, it := range k.items {
			if it.rec.ID[6]>>4 == 7 && k.first(it) {
				k.timed = append(k.timed, it.rec.ID.String())
			}
		}
		rows, err := w.conn.Query(ctx, w.s.sql(idsAmong), k.timed)
		if err != nil {
			return err
		}
		err = k.note(rows, new(int))
		rows.Close()
		if err != nil {
			return err
		}
	}
	if len(k.hits) == 0 {
		return nil
	}
	var ids []string
	for _, it := range k.items {
		if k.hits[it.name()] && k.first(it) {
			ids = append(ids, it.rec.ID.String())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	names := make(map[audit.Scope]int32, 4)
	for _, it := range k.items {
		names[it.rec.Scope()] = it.scope
	}
	k.old = make(map[itemName]*audit.Record, len(ids))
	return w.s.records(ctx, w.conn, w.s.sql(`SELECT `+rowColumns+` FROM @records r WHERE r.id = ANY($1::text[]::uuid[])`), []any{ids}, func(r *audit.Record) error {
		if scope, ok := names[r.Scope()]; ok {
			k.old[itemName{scope, r.ID}] = r
		}
		return nil
	})
}

// stored gives the record that the tables have by the item's name, or nil.
func (k *known) stored(it *item) *audit.Record { return k.old[it.name()] }

// first reports whether no earlier item of the batch has the item's name.
func (k *known) first(it *item) bool { return k.firsts == nil || k.firsts[it.name()] == it }

// firstOf gives the record of the first item with the item's name.
func (k *known) firstOf(it *item) *audit.Record { return k.firsts[it.name()].rec }
