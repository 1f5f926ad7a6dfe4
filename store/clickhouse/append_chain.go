package clickhouse

import (
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// AppendChained implements chain.Appender. What is new is linked in this
// store's own segments and stored by one INSERT, which the server commits as a
// whole; then the new ends are.
func (s *Store) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	b, err := s.begin(ctx, recs)
	if err != nil {
		return nil, err
	}
	defer b.end()
	if err := b.admit(ctx); err != nil {
		return nil, err
	}
	if len(b.fresh) > 0 {
		if err := b.link(ctx); err != nil {
			for _, r := range b.fresh {
				unlink(r)
			}
			return nil, err
		}
	}
	b.repeat()
	return b.results, nil
}

func unlink(r *audit.Record) {
	r.Segment, r.Sequence, r.PrevHash, r.Hash = "", 0, audit.Digest{}, audit.Digest{}
}

// link gives the new records their places and stores them.
func (b *batch) link(ctx context.Context) error {
	s := b.s
	scopes := map[audit.Scope]bool{}
	for _, r := range b.fresh {
		scopes[r.Scope()] = true
	}
	held, release, err := s.hold(ctx, scopes)
	if err != nil {
		return err
	}
	defer release()
	stored, err := s.extend(ctx, held, b.fresh)
	if err != nil {
		return err
	}
	for i, r := range b.fresh {
		b.results[b.at[i]] = audit.Result{Sequence: r.Sequence, Hash: r.Hash}
	}
	var lost []*audit.Record
	var rows []place
	for _, part := range stored {
		some, err := s.rivals(ctx, part.recs, part.insert)
		if err != nil {
			return err
		}
		lost, rows = append(lost, some...), append(rows, rowsOf(some, part.insert)...)
	}
	if len(lost) == 0 {
		return nil
	}
	// They stay accounted for: their places are anchored like those of expired records.
	if err := s.prune(ctx, held, lost, rows, doubled); err != nil {
		return err
	}
	if err := b.yield(ctx, lost); err != nil {
		return err
	}
	for _, r := range lost {
		unlink(r)
	}
	return nil
}

// part is what one INSERT stored.
type part struct {
	recs   []*audit.Record
	insert uint64
}

// extend links the records after the ends of the lanes that are held, stores
// them and the new ends. An INSERT holds records of one month only, as the
// server commits each month by itself.
func (s *Store) extend(ctx context.Context, held map[audit.Scope]*lane, recs []*audit.Record) (stored []part, err error) {
	heads := make(map[audit.Scope]chain.Head, len(held))
	for scope, ln := range held {
		heads[scope] = ln.head
	}
	for scope, of := range byScope(recs) {
		heads[scope] = chain.Seal(heads[scope], of)
	}
	defer func() {
		if err != nil {
			// What is stored has to be read anew.
			for _, ln := range held {
				ln.known = false
			}
		}
	}()
	for _, of := range sameMonths(recs) {
		p := part{of, newInsert()}
		if err := s.send(ctx, s.records, newBlock(of, p.insert, s.text), p.insert); err != nil {
			return nil, err
		}
		stored = append(stored, p)
		var ends []chain.Head
		for _, scoped := range byScope(of) {
			r := scoped[len(scoped)-1]
			ends = append(ends, chain.Head{Key: chain.KeyOf(r), Sequence: r.Sequence, Hash: r.Hash})
		}
		if err := s.writeHeads(ctx, ends); err != nil {
			return nil, err
		}
	}
	for scope, ln := range held {
		ln.head = heads[scope]
	}
	return stored, nil
}

func byScope(recs []*audit.Record) map[audit.Scope][]*audit.Record {
	out := map[audit.Scope][]*audit.Record{}
	for _, r := range recs {
		out[r.Scope()] = append(out[r.Scope()], r)
	}
	return out
}

// sameMonths cuts the records where their month changes.
func sameMonths(recs []*audit.Record) (out [][]*audit.Record) {
	for len(recs) > 0 {
		n := slices.IndexFunc(recs, func(r *audit.Record) bool { return month(r) != month(recs[0]) })
		if n < 0 {
			n = len(recs)
		}
		out = append(out, recs[:n])
		recs = recs[n:]
	}
	return out
}
