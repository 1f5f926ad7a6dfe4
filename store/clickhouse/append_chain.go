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
	return s.appendChained(ctx, recs, false)
}

// AppendChainedFresh implements chain.FreshAppender: nothing is looked for before
// the INSERT, nor after it.
func (s *Store) AppendChainedFresh(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return s.appendChained(ctx, recs, true)
}

func (s *Store) appendChained(ctx context.Context, recs []*audit.Record, unsent bool) ([]audit.Result, error) {
	b, err := s.begin(ctx, recs, true, unsent)
	if err != nil {
		return nil, err
	}
	defer b.end()
	err = b.admit(ctx, func() error {
		// The ends of chains that were not written yet are read meanwhile.
		_, release, err := s.hold(ctx, scopesOf(b.fresh))
		if err == nil {
			release()
		}
		return err
	})
	if err != nil {
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
	held, release, err := s.hold(ctx, scopesOf(b.fresh))
	if err != nil {
		return err
	}
	defer release()
	parts := []*part{{recs: b.fresh, insert: b.insert, content: b.laid}}
	if months := sameMonths(b.fresh); len(months) > 1 {
		parts = s.parts(months)
	}
	err = s.extend(ctx, held, parts, func(p *part) (err error) {
		p.lost, err = b.rivals(ctx, p.recs, p.insert)
		return err
	})
	if err != nil {
		return err
	}
	for i, r := range b.fresh {
		b.results[b.at[i]] = audit.Result{Sequence: r.Sequence, Hash: r.Hash}
	}
	var lost []*audit.Record
	var rows []place
	for _, p := range parts {
		lost, rows = append(lost, p.lost...), append(rows, rowsOf(p.lost, p.insert)...)
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

// part is what one INSERT stores: records of one month, as the server commits
// each month by itself.
type part struct {
	recs    []*audit.Record
	insert  uint64
	content *block          // all of the records but their places in the chain
	lost    []*audit.Record // those whose name another INSERT took before
}

func (s *Store) parts(months [][]*audit.Record) []*part {
	out := make([]*part, len(months))
	for i, recs := range months {
		insert := newInsert()
		out[i] = &part{recs: recs, insert: insert, content: contentBlock(recs, insert, s.text)}
	}
	return out
}

// extend links the records after the ends of the lanes that are held, stores
// them and then the new ends, while the caller may look after what is stored.
// Linking takes one processor, and the way of the content to the driver another.
func (s *Store) extend(ctx context.Context, held map[audit.Scope]*lane, parts []*part, look func(*part) error) (err error) {
	heads := make(map[audit.Scope]chain.Head, len(held))
	for scope, ln := range held {
		heads[scope] = ln.head
	}
	for _, p := range parts {
		linked := make(chan struct{})
		go func() {
			defer close(linked)
			for scope, of := range byScope(p.recs) {
				heads[scope] = chain.Seal(heads[scope], of)
			}
		}()
		p.content.linkLater(linked)
		if err = s.send(ctx, s.records, p.content, p.insert); err == nil {
			err = together(func() error { return s.writeEnds(ctx, p) }, func() error { return look(p) })
		}
		<-linked
		if err != nil {
			// What is stored has to be read anew.
			for _, ln := range held {
				ln.known = false
			}
			return err
		}
	}
	for scope, ln := range held {
		ln.head = heads[scope]
	}
	return nil
}

// writeEnds stores the ends of the chains after a part.
func (s *Store) writeEnds(ctx context.Context, p *part) error {
	var ends []chain.Head
	for _, scoped := range byScope(p.recs) {
		r := scoped[len(scoped)-1]
		ends = append(ends, chain.Head{Key: chain.KeyOf(r), Sequence: r.Sequence, Hash: r.Hash})
	}
	return s.writeHeads(ctx, ends)
}

func scopesOf(recs []*audit.Record) map[audit.Scope]bool {
	out := map[audit.Scope]bool{}
	for _, r := range recs {
		out[r.Scope()] = true
	}
	return out
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
