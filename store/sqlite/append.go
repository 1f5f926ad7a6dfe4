package sqlite

import (
	"context"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// Append implements audit.Store. A batch is atomic: one transaction.
func (s *Store) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	var results []audit.Result
	err := s.write(ctx, func(w *writer) error {
		b, err := w.batch()
		if err != nil {
			return err
		}
		results, err = b.plain(recs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// plain stores the records outside any chain.
func (b *batch) plain(recs []*audit.Record) ([]audit.Result, error) {
	results := make([]audit.Result, len(recs))
	for i, r := range recs {
		if results[i].Err = intake.Check(r, false); results[i].Err != nil {
			continue
		}
		scope, err := b.scope(r.Scope())
		if err != nil {
			return nil, err
		}
		stored, err := b.insert(scope, r)
		if err != nil {
			return nil, err
		}
		if !stored {
			if results[i], err = b.repeated(scope, r); err != nil {
				return nil, err
			}
		}
	}
	return results, b.flush()
}

// repeated is the verdict on a record whose id is taken.
func (b *batch) repeated(scope int64, r *audit.Record) (audit.Result, error) {
	old, err := stored(b.s, b.conn, scope, r.ID, b.name)
	if err != nil {
		return audit.Result{}, err
	}
	if old == nil {
		return audit.Result{Err: audit.ErrConflict}, nil
	}
	return intake.Verdict(old, r), nil
}

// AppendChained implements chain.Appender. A batch is atomic: one transaction
// takes the heads, links what is new and stores it with the new heads.
func (s *Store) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	var results []audit.Result
	var sealed []*audit.Record
	err := s.write(ctx, func(w *writer) error {
		b, err := w.batch()
		if err != nil {
			return err
		}
		c := b.chained(recs)
		err = c.append(recs)
		results, sealed = c.results, c.fresh
		return err
	})
	if err != nil {
		// Nothing was stored, so nothing has a place.
		for _, r := range sealed {
			r.Segment, r.Sequence, r.PrevHash, r.Hash = "", 0, audit.Digest{}, audit.Digest{}
		}
		return nil, err
	}
	return results, nil
}

// chained is a batch that is linked.
type chained struct {
	*batch
	results []audit.Result
	fresh   []*audit.Record // the new ones, in their order
	scopeOf []int64         // of each of them
	at      []int           // its place in the caller's list
	links   map[int64][]*audit.Record
	order   []int64 // the scopes, in the order in which they come up
}

// chained begins one.
func (b *batch) chained(recs []*audit.Record) *chained {
	return &chained{batch: b, results: make([]audit.Result, len(recs))}
}

func (c *chained) append(recs []*audit.Record) error {
	repeats, err := c.admit(recs)
	if err != nil {
		return err
	}
	for _, scope := range c.order {
		name, err := c.name(scope)
		if err != nil {
			return err
		}
		if err := c.seal(scope, name, c.links[scope]); err != nil {
			return err
		}
	}
	for i, r := range c.fresh {
		stored, err := c.insert(c.scopeOf[i], r)
		if err != nil {
			return headMisfit(err, r.Scope())
		}
		if !stored {
			return &audit.Error{Code: audit.CodeInternal, Message: "a record that was not there a moment ago is there now"}
		}
		c.results[c.at[i]] = audit.Result{Sequence: r.Sequence, Hash: r.Hash}
	}
	for i, first := range repeats { // within the batch, once the first one has its place
		c.results[i] = intake.Verdict(recs[first], recs[i])
	}
	return c.flush()
}

// seal links records of one scope after its head and stores the new head.
func (b *batch) seal(scope int64, name audit.Scope, recs []*audit.Record) error {
	head, err := b.head(scope, chain.Key{Scope: name})
	if err != nil {
		return err
	}
	return b.setHead(scope, chain.Seal(head, recs))
}

// head reads the head of a chain; that of a new one has the sequence 0.
func (b *batch) head(scope int64, key chain.Key) (chain.Head, error) {
	head := chain.Head{Key: key}
	sql, args := "SELECT sequence, hash FROM @heads WHERE scope = ?", []any{scope}
	if key.Segment != "" {
		sql, args = "SELECT sequence, hash FROM @segments WHERE scope = ? AND segment = ?", append(args, key.Segment)
	}
	_, err := b.one(b.s.sql(sql), func(st *z.Stmt) {
		head.Sequence = st.ColumnInt64(0)
		st.ColumnBytes(1, head.Hash[:])
	}, args...)
	return head, err
}

func (b *batch) setHead(scope int64, head chain.Head) error {
	if head.Segment != "" {
		return b.run(b.s.sql("INSERT INTO @segments(scope, segment, sequence, hash) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(scope, segment) DO UPDATE SET sequence = ?3, hash = ?4"),
			scope, head.Segment, head.Sequence, head.Hash[:])
	}
	return b.run(b.s.sql("INSERT INTO @heads(scope, sequence, hash) VALUES(?1, ?2, ?3) ON CONFLICT(scope) DO UPDATE SET sequence = ?2, hash = ?3"),
		scope, head.Sequence, head.Hash[:])
}

// headMisfit explains a constraint that a new link broke: as the head is read
// in the same transaction, only somebody else's change can be the reason.
func headMisfit(err error, scope audit.Scope) error {
	if z.ErrCode(err).ToPrimary() != z.ResultConstraint {
		return err
	}
	return &audit.Error{
		Code:    audit.CodeInternal,
		Message: "the chain of namespace \"" + scope.Namespace + "\", tenant \"" + scope.Tenant + "\" goes on after its head, so somebody changed the file: verify it",
		Cause:   err,
	}
}

// admit finds what is new. repeats maps records to an earlier one of the same
// batch that has their id.
func (c *chained) admit(recs []*audit.Record) (repeats map[int]int, err error) {
	c.links = map[int64][]*audit.Record{}
	unseen, err := c.unseen(recs)
	if err != nil {
		return nil, err
	}
	type key struct {
		scope int64
		id    audit.ID
	}
	var first map[key]int // nil while ids grow, as ids of our own making do
	growing := true
	for i := 1; i < len(recs) && growing; i++ {
		growing = recs[i-1].ID.Compare(recs[i].ID) < 0
	}
	if !growing {
		first = make(map[key]int, len(recs))
	}
	for i, r := range recs {
		if c.results[i].Err = intake.Check(r, true); c.results[i].Err != nil {
			continue
		}
		scope, err := c.scope(r.Scope())
		if err != nil {
			return nil, err
		}
		if !growing {
			if at, ok := first[key{scope, r.ID}]; ok {
				if c.results[at].Duplicate || c.results[at].Err != nil { // it repeats a stored one itself
					if c.results[i], err = c.repeated(scope, r); err != nil {
						return nil, err
					}
					continue
				}
				if repeats == nil {
					repeats = map[int]int{}
				}
				repeats[i] = at
				continue
			}
			first[key{scope, r.ID}] = i
		}
		if !unseen(r.ID) {
			taken, err := c.one(c.s.sql("SELECT 1 FROM @records WHERE id = ? AND scope = ?"), nil, r.ID, scope)
			if err != nil {
				return nil, err
			}
			if taken {
				if c.results[i], err = c.repeated(scope, r); err != nil {
					return nil, err
				}
				continue
			}
		}
		if _, ok := c.links[scope]; !ok {
			c.order = append(c.order, scope)
		}
		c.links[scope] = append(c.links[scope], r)
		c.fresh, c.scopeOf, c.at = append(c.fresh, r), append(c.scopeOf, scope), append(c.at, i)
	}
	return repeats, nil
}

// unseen gives a test that is true only of ids that are certainly not stored.
// Ids of our own making grow with time (UUID version 7), so one look at the
// range of a batch mostly spares one look a record.
func (b *batch) unseen(recs []*audit.Record) (func(audit.ID) bool, error) {
	var low, high audit.ID
	for _, r := range recs {
		if !timed(r.ID) {
			continue
		}
		if low.IsZero() || r.ID.Compare(low) < 0 {
			low = r.ID
		}
		if r.ID.Compare(high) > 0 {
			high = r.ID
		}
	}
	if low.IsZero() {
		return func(audit.ID) bool { return false }, nil
	}
	some, err := b.one(b.s.sql("SELECT 1 FROM @records WHERE id BETWEEN ? AND ? LIMIT 1"), nil, low, high)
	return func(id audit.ID) bool { return !some && timed(id) }, err
}

// timed reports whether the id is a UUID version 7.
func timed(id audit.ID) bool { return id[6]>>4 == 7 }
