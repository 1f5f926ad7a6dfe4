package sqlite

import (
	"cmp"
	"math"
	"slices"
	"time"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// expiry finds the records that a Cut selects.
type expiry struct {
	statement
	cut               *audit.Cut
	expiredAt, before int64 // microseconds; math.MinInt64 where there is none
	read              bool  // some hold can only be answered by the whole record
}

// expired translates a Cut; nil when it selects nothing.
func (s *Store) expired(cut *audit.Cut) (*expiry, error) {
	e := &expiry{cut: cut, expiredAt: math.MinInt64, before: math.MinInt64}
	var w where
	w.add("SELECT r.n, r.scope, ifnull(r.sequence, 0), b.prev_hash, b.hash, ifnull(r.segment, '')"+selectRow+"r.n BETWEEN ? AND ? AND r.kind = 'event' AND (0", slotFirst, slotLast)
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
			e.read = true
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
	w.add(" ORDER BY r.n LIMIT ?", slotLimit)
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

// doomed is one record to delete.
type doomed struct {
	n, scope int64
	link     chain.Link // its place in a chain; sequence 0 outside
	segment  string     // that of the chain
}

// find gives up to limit records, in the order of arrival, and the blocks that
// were looked into. Records never change, so what a snapshot selects stays
// selected, unless another process deletes it first.
func (e *expiry) find(v *view, limit int) (list []doomed, blocks []int64, err error) {
	if err := v.load(); err != nil {
		return nil, nil, err
	}
	for i := range v.blocks {
		b := &v.blocks[i]
		if b.minExpires > e.expiredAt && b.minRecorded >= e.before {
			continue
		}
		blocks = append(blocks, b.number)
		if list, err = e.append(list, v, b, limit); err != nil || len(list) >= limit {
			return list, blocks, err
		}
	}
	return list, blocks, nil
}

// append adds what the block holds, until the list has limit records.
func (e *expiry) append(list []doomed, v *view, b *block, limit int) ([]doomed, error) {
	values := slotValues{slotFirst: b.first(), slotLast: b.end() - 1, slotLimit: limit - len(list)}
	if e.read {
		values[slotLimit] = blockSize // some of them may be held
	}
	c := v.conns[0]
	st, err := e.prepare(c, &values)
	if err != nil {
		return nil, err
	}
	for len(list) < limit {
		more, err := st.Step()
		if err != nil {
			return nil, err
		}
		if !more {
			return list, nil
		}
		r := doomed{n: st.ColumnInt64(0), scope: st.ColumnInt64(1), link: chain.Link{Sequence: st.ColumnInt64(2)}}
		st.ColumnBytes(3, r.link.PrevHash[:])
		st.ColumnBytes(4, r.link.Hash[:])
		r.segment = st.ColumnText(5)
		if e.read {
			held, err := e.held(v, r.n)
			if err != nil {
				return nil, err
			}
			if held {
				continue
			}
		}
		list = append(list, r)
	}
	return list, st.Reset()
}

// held reads the whole record and asks the reference.
func (e *expiry) held(v *view, n int64) (bool, error) {
	var rec *audit.Record
	var bad error
	_, err := v.conns[0].one(v.s.selectByN, func(st *z.Stmt) { rec, bad = decodeNew(st, v.scope) }, n)
	if err = cmp.Or(bad, err); err != nil {
		return false, err
	}
	return !e.cut.Selects(rec), nil
}
