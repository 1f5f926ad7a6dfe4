package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Heads implements chain.Reader. A chain whose head was removed, and one whose
// names were, are given too: with the sequence 0, and by the name that its
// records then read with. So neither goes unnoticed.
func (s *Store) Heads(ctx context.Context, scope *audit.Scope) (heads []chain.Head, err error) {
	err = s.read(ctx, func(v *view) (err error) {
		c := v.conns[0]
		if scope != nil {
			number, known, err := scopeNumber(s, c, *scope)
			if err != nil || !known {
				return err
			}
			heads, err = v.heads(number)
			return err
		}
		numbers, err := v.chained()
		if err != nil {
			return err
		}
		for _, number := range numbers {
			some, err := v.heads(number)
			if err != nil {
				return err
			}
			heads = append(heads, some...)
		}
		return nil
	})
	sortHeads(heads)
	return heads, err
}

// heads gives the heads of a scope's chains.
func (v *view) heads(number int64) (heads []chain.Head, err error) {
	own, ok, err := v.head(number)
	if err != nil {
		return nil, err
	}
	if ok {
		heads = append(heads, own)
	}
	st, err := v.conns[0].stmt(v.s.sql("SELECT segment, sequence, hash FROM @segments WHERE scope = ?"))
	if err != nil {
		return nil, err
	}
	bind(st, 1, number)
	for {
		more, err := st.Step()
		if err != nil {
			return nil, err
		}
		if !more {
			return heads, nil
		}
		h := chain.Head{Key: chain.Key{Scope: own.Scope, Segment: st.ColumnText(0)}, Sequence: st.ColumnInt64(1)}
		if st.ColumnLen(2) == len(h.Hash) {
			st.ColumnBytes(2, h.Hash[:])
		}
		heads = append(heads, h)
	}
}

// inOwn leaves the records of a scope's own chain. A segment that nobody knows is
// none: a record that names one belongs here, and does not verify.
const inOwn = " AND (r.segment IS NULL OR NOT EXISTS(SELECT 1 FROM @segments g WHERE g.scope = r.scope AND g.segment = r.segment))"

// head gives the head of a scope's own chain; ok is false where it has none.
func (v *view) head(number int64) (h chain.Head, ok bool, err error) {
	c := v.conns[0]
	if h.Scope, err = v.scope(number); err != nil {
		return h, false, err
	}
	ok, err = c.one(v.s.sql("SELECT sequence, hash FROM @heads WHERE scope = ?"), func(st *z.Stmt) {
		h.Sequence = st.ColumnInt64(0)
		if st.ColumnLen(1) == len(h.Hash) {
			st.ColumnBytes(1, h.Hash[:])
		}
	}, number)
	if err != nil || ok {
		return h, ok, err
	}
	ok, err = c.one(v.s.sql("SELECT 1 FROM @records r WHERE scope = ? AND sequence >= 1"+inOwn+" LIMIT 1"), nil, number)
	return h, ok, err
}

// chained gives the numbers of all scopes that have a head or chained records,
// leaping from one to the next by the index of chains.
func (v *view) chained() (numbers []int64, err error) {
	c := v.conns[0]
	last := int64(math.MinInt64)
	for {
		var next any
		_, err := c.one(v.s.sql(`SELECT min(scope) FROM (
			SELECT min(scope) AS scope FROM @records WHERE scope > ?1 AND sequence >= 1
			UNION ALL SELECT min(scope) FROM @heads WHERE scope > ?1
			UNION ALL SELECT min(scope) FROM @segments WHERE scope > ?1)`), func(st *z.Stmt) {
			if !st.ColumnIsNull(0) {
				next = st.ColumnInt64(0)
			}
		}, last)
		if err != nil || next == nil {
			return numbers, err
		}
		last = next.(int64)
		numbers = append(numbers, last)
	}
}

// Walk implements chain.Reader. What is stored beside a record and is not part
// of its hash is checked here: a record that its block's bounds would hide from
// questions comes with an empty Hash, so that it does not verify.
func (s *Store) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	var mem memory
	recs := make([]audit.Record, pieceRecords)
	batch := make([]*audit.Record, 0, pieceRecords)
	place := struct{ sequence, n int64 }{max(from, 1), math.MinInt64} // to go on after
	if from > to {
		return nil
	}
	of := inOwn
	if key.Segment != "" {
		of = " AND r.segment = ?"
	}
	for {
		batch = batch[:0]
		mem.reset()
		ended := false
		err := s.read(ctx, func(v *view) error {
			number, known, err := scopeNumber(s, v.conns[0], key.Scope)
			if err != nil || !known {
				ended = true
				return err
			}
			if err := v.load(); err != nil {
				return err
			}
			bounds := make(map[int64]*block, len(v.blocks))
			for i := range v.blocks {
				bounds[v.blocks[i].number] = &v.blocks[i]
			}
			st, err := v.conns[0].Prepare(s.sql("SELECT " + rowColumns + selectRow +
				"r.scope = ? AND r.sequence BETWEEN ? AND ? AND (+r.sequence, +r.n) > (?, ?)" + of + " ORDER BY r.sequence, r.n LIMIT " + itoa(pieceRecords)))
			if err != nil {
				return err
			}
			for i, a := range []int64{number, place.sequence, to, place.sequence, place.n} {
				st.BindInt64(i+1, a)
			}
			if key.Segment != "" {
				st.BindText(6, key.Segment)
			}
			size := 0
			for size < pieceBytes {
				more, err := st.Step()
				if err != nil {
					return err
				}
				if !more {
					ended = len(batch) < pieceRecords
					break
				}
				r := &recs[len(batch)]
				if err := decode(st, r, &mem, v.scope); err != nil {
					return err
				}
				size += documents(r)
				batch = append(batch, r)
				place.sequence, place.n = r.Sequence, st.ColumnInt64(0)
				if !bounds[place.n>>blockBits].holds(r) {
					r.Hash = audit.Digest{}
				}
			}
			return st.Reset()
		})
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := fn(batch); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
	}
}

// holds reports whether a question that looks at the block's bounds finds the record.
func (b *block) holds(r *audit.Record) bool {
	if b == nil {
		return false
	}
	at := audit.Micros(r.OccurredAt)
	return b.minOccurred <= at && at <= b.maxOccurred && b.minRecorded <= audit.Micros(r.RecordedAt) &&
		(r.ExpiresAt.IsZero() || b.minExpires <= audit.Micros(r.ExpiresAt)) &&
		(b.escaped || !escaped(r.Metadata))
}

// Unchained implements chain.Reader.
func (s *Store) Unchained(ctx context.Context, scope audit.Scope) (n int64, err error) {
	err = s.read(ctx, func(v *view) error {
		c := v.conns[0]
		number, known, err := scopeNumber(s, c, scope)
		if err != nil || !known {
			return err
		}
		if err := v.load(); err != nil {
			return err
		}
		var all, chained int64
		for i := range v.blocks {
			if _, err := c.one(s.sql("SELECT count(*) FROM @records INDEXED BY @records_scope WHERE (n >> 14) = ? AND scope = ?"),
				func(st *z.Stmt) { all += st.ColumnInt64(0) }, v.blocks[i].number, number); err != nil {
				return err
			}
		}
		_, err = c.one(s.sql("SELECT count(*) FROM @records WHERE scope = ? AND sequence >= 1"),
			func(st *z.Stmt) { chained = st.ColumnInt64(0) }, number)
		n = all - chained
		return err
	})
	return n, err
}

func sortHeads(heads []chain.Head) {
	slices.SortFunc(heads, func(a, b chain.Head) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Segment, b.Segment))
	})
}
