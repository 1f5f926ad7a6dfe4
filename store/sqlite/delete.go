package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// DeleteExpired implements audit.Store: one transaction, which also leaves the
// anchors of chained records.
func (s *Store) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (deleted int, err error) {
	sel, err := s.expired(&cut)
	if err != nil {
		return 0, err
	}
	// Most sweeps find nothing, and need not hold up writers to see that.
	some := false
	err = s.read(ctx, func(v *view) (err error) {
		if sel != nil && limit > 0 {
			some, err = sel.any(v)
		}
		return err
	})
	if err != nil || !some {
		return 0, err
	}
	err = s.write(ctx, func(w *writer) error {
		b, err := w.batch()
		if err != nil {
			return err
		}
		d := &deletion{batch: b, cut: &cut, links: map[int64][]chain.Link{}}
		if err := d.run(sel, limit); err != nil {
			return err
		}
		deleted = d.deleted
		return d.anchors(s.opt.Now())
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// expiry finds the records that a Cut selects.
type expiry struct {
	statement
	expiredAt, before int64          // microseconds; math.MinInt64 where there is none
	read              []*audit.Query // holds that only the whole record can answer
}

// expired translates a Cut; nil when it selects nothing.
func (s *Store) expired(cut *audit.Cut) (*expiry, error) {
	e := &expiry{expiredAt: math.MinInt64, before: math.MinInt64}
	var w where
	w.add("SELECT r.n, r.scope, ifnull(r.sequence, 0), b.prev_hash, b.hash"+selectRow+"r.n BETWEEN ? AND ? AND r.kind = 'event' AND (0", slotFirst, slotLast)
	if !cut.ExpiredAt.IsZero() {
		e.expiredAt = cut.ExpiredAt.UnixMicro()
		w.add(" OR r.expires_at <> 0 AND r.expires_at <= ?", e.expiredAt)
	}
	if !cut.RecordedBefore.IsZero() {
		e.before = ceilMicros(cut.RecordedBefore)
		w.add(" OR ifnull(r.recorded_at, ?) < ?", audit.Micros(time.Time{}), e.before)
	}
	w.add(")")
	if e.expiredAt == math.MinInt64 && e.before == math.MinInt64 {
		return nil, nil
	}
	var holds []*audit.Query
	for _, h := range cut.Holds {
		if h.Text != "" || h.Open {
			e.read = append(e.read, h)
		} else {
			holds = append(holds, h)
		}
	}
	// In groups, as SQLite takes expressions that are at most 1,000 deep.
	for group := range slices.Chunk(holds, holdGroup) {
		w.add(" AND NOT (0")
		for _, h := range group {
			if err := w.hold(h); err != nil {
				return nil, err
			}
		}
		w.add(")")
	}
	w.add(" LIMIT ?", slotLimit)
	e.statement = statement{sql: s.sql(w.sql.String()), args: w.args}
	return e, nil
}

const holdGroup = 50

// ceilMicros rounds up: records hold whole microseconds, so what is before t is before that.
func ceilMicros(t time.Time) int64 {
	us := t.UnixMicro()
	if time.UnixMicro(us).Before(t) {
		us++
	}
	return us
}

// hold adds the condition that a legal hold protects the record as one more of a list.
func (w *where) hold(q *audit.Query) error {
	var h where
	h.add("1")
	if !q.From.IsZero() {
		h.add(" AND r.occurred_at >= ?", ceilMicros(q.From))
	}
	if !q.To.IsZero() {
		h.add(" AND r.occurred_at < ?", ceilMicros(q.To))
	}
	var names where
	for i := range q.Filters {
		f := &q.Filters[i]
		if f.Field == "namespace" || f.Field == "tenant" {
			names.and()
			names.text("s."+f.Field, f)
			continue
		}
		if err := h.filter(f); err != nil {
			return err
		}
	}
	if names.sql.Len() > 0 {
		h.add(" AND r.scope IN (SELECT s.scope FROM @scopes s WHERE "+names.sql.String()+")", names.args...)
	}
	// A condition on a NULL is neither true nor false; it does not hold the record.
	w.add(" OR ifnull("+h.sql.String()+", 0)", h.args...)
	return nil
}

// any reports whether there is something to delete, as far as SQL can tell.
func (e *expiry) any(v *view) (some bool, err error) {
	if err := v.load(); err != nil {
		return false, err
	}
	for i := range v.blocks {
		b := &v.blocks[i]
		if !e.touches(*b) {
			continue
		}
		st, err := e.prepare(v.conns[0], &slotValues{slotFirst: b.first(), slotLast: b.end() - 1, slotLimit: 1})
		if err != nil {
			return false, err
		}
		if some, err = st.Step(); some || err != nil {
			return some, err
		}
	}
	return false, nil
}

// touches reports whether the block may hold something to delete.
func (e *expiry) touches(b block) bool {
	return b.minExpires <= e.expiredAt || b.minRecorded < e.before
}

// deletion is one transaction that deletes.
type deletion struct {
	*batch
	cut     *audit.Cut
	deleted int
	links   map[int64][]chain.Link
}

// doomed is one record to delete.
type doomed struct {
	n, scope int64
	link     chain.Link
}

func (d *deletion) run(sel *expiry, limit int) error {
	blocks, err := loadBlocks(d.conn, d.s.sql(selectBlocks))
	if err != nil {
		return err
	}
	for i := range blocks {
		b := &blocks[i]
		if !sel.touches(*b) {
			continue
		}
		list, err := d.find(sel, b, limit-d.deleted)
		if err != nil {
			return err
		}
		for _, r := range list {
			if err := d.delete(r); err != nil {
				return err
			}
		}
		if err := d.narrow(b, i == len(blocks)-1); err != nil {
			return err
		}
		if d.deleted += len(list); d.deleted >= limit {
			return nil
		}
	}
	return nil
}

func (d *deletion) find(sel *expiry, b *block, limit int) ([]doomed, error) {
	values := slotValues{slotFirst: b.first(), slotLast: b.end() - 1, slotLimit: limit}
	if sel.read != nil {
		values[slotLimit] = blockSize // some of them may be held
	}
	st, err := sel.prepare(d.conn, &values)
	if err != nil {
		return nil, err
	}
	var list []doomed
	for {
		more, err := st.Step()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		r := doomed{n: st.ColumnInt64(0), scope: st.ColumnInt64(1), link: chain.Link{Sequence: st.ColumnInt64(2)}}
		st.ColumnBytes(3, r.link.PrevHash[:])
		st.ColumnBytes(4, r.link.Hash[:])
		list = append(list, r)
	}
	if sel.read == nil {
		return list, nil
	}
	var bad error
	list = slices.DeleteFunc(list, func(r doomed) bool {
		var rec *audit.Record
		_, err := d.one(d.s.selectByN, func(st *z.Stmt) { rec, bad = decodeNew(st, d.name) }, r.n)
		bad = cmp.Or(bad, err)
		return bad != nil || !d.cut.Selects(rec)
	})
	return list[:min(len(list), limit)], bad
}

func (d *deletion) delete(r doomed) error {
	tables := []string{"DELETE FROM @records WHERE n = ?", "DELETE FROM @bodies WHERE n = ?", "DELETE FROM @text WHERE rowid = ?"}
	if !d.s.text {
		tables = tables[:2]
	}
	for _, sql := range tables {
		if err := d.conn.run(d.s.sql(sql), r.n); err != nil {
			return err
		}
	}
	if r.link.Sequence > 0 {
		d.links[r.scope] = append(d.links[r.scope], r.link)
	}
	return nil
}

// narrow writes what the block holds now, so that later sweeps pass it over.
// An empty block is removed, but for the last: it remembers the last place given out.
func (d *deletion) narrow(b *block, last bool) error {
	var set [4]any
	_, err := d.one(d.s.sql("SELECT min(occurred_at), max(occurred_at), min(ifnull(recorded_at, 0)), min(nullif(expires_at, 0)) FROM @records WHERE n BETWEEN ? AND ?"),
		func(st *z.Stmt) {
			for i := range set {
				if !st.ColumnIsNull(i) {
					set[i] = st.ColumnInt64(i)
				}
			}
		}, b.first(), b.end()-1)
	switch {
	case err != nil:
		return err
	case set[0] != nil:
		return d.conn.run(d.s.sql("UPDATE @blocks SET min_occurred = ?, max_occurred = ?, min_recorded = ?, min_expires = ? WHERE block = ?"),
			set[0], set[1], set[2], set[3], b.number)
	case last:
		// Bounds that hold nothing and that the next record widens to its own.
		return d.conn.run(d.s.sql("UPDATE @blocks SET min_occurred = ?, max_occurred = ?, min_recorded = ?, min_expires = NULL WHERE block = ?"),
			int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64), b.number)
	}
	return d.conn.run(d.s.sql("DELETE FROM @blocks WHERE block = ?"), b.number)
}

// anchors stores the records that stand for the links that were deleted.
func (d *deletion) anchors(now time.Time) error {
	scopes := make([]int64, 0, len(d.links))
	for scope := range d.links {
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	for _, scope := range scopes {
		name, err := d.name(scope)
		if err != nil {
			return err
		}
		links := d.links[scope]
		slices.SortFunc(links, func(a, b chain.Link) int { return cmp.Compare(a.Sequence, b.Sequence) })
		var recs []*audit.Record
		for runs := range slices.Chunk(chain.Runs(links), chain.MaxRuns) {
			recs = append(recs, chain.Anchor(chain.Key{Scope: name}, runs, d.cut.Reason, now))
		}
		if err := d.seal(scope, name, recs); err != nil {
			return err
		}
		for _, r := range recs {
			if _, err := d.insert(scope, r); err != nil {
				return headMisfit(err, name)
			}
		}
	}
	return d.flush()
}
