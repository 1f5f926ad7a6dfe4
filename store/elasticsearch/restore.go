package elasticsearch

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var _ chain.Restorer = (*Store)(nil)

// Restore implements chain.Restorer in the way of AppendChained: each batch is
// written into the head first, by comparison, and then into the index.
func (s *Store) Restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	if err := chain.CheckRestore(from, to, recs); err != nil {
		return err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	// A lane of our own, which nobody else knows.
	l := &lane{s: s, scope: from.Scope, segment: from.Segment}
	if l.head, l.seat, err = s.readHead(ctx, l.key()); err != nil {
		return err
	}
	if l.head.chain() != from {
		return chain.ErrHeadMoved
	}
	if to == from {
		return nil
	}
	if err := s.noteSegment(ctx, from); err != nil {
		return err
	}
	if err := s.lookAgain(ctx); err != nil {
		return err
	}
	for l.head.chain() != to {
		n := fitting(len(recs), func(i int) *audit.Record { return recs[i] })
		next := to
		if n < len(recs) {
			next = chain.HeadAt(recs[n-1])
		}
		if err := l.takeIn(ctx, next, recs[:n]); err != nil {
			return err
		}
		recs = recs[n:]
	}
	l.known = true
	l.tidy()
	s.rollSometimes()
	return nil
}

// takeIn stores one batch.
func (l *lane) takeIn(ctx context.Context, to chain.Head, recs []*audit.Record) error {
	ctx, cancel := context.WithTimeout(ctx, l.s.opt.Timeout)
	defer cancel()
	entries := make([]*entry, len(recs))
	for i, r := range recs {
		entries[i] = &entry{rec: r, id: documentID(r.Ref())}
	}
	if err := l.s.leaveOut(ctx, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if e.settled() {
			return chain.TakenID(e.rec)
		}
	}
	next := headOf(to)
	next.Mark = newMark()
	if len(recs) > 0 {
		next.Batch = pack(recs)
	}
	moved, err := l.write(ctx, next)
	if err != nil {
		return err
	}
	if moved {
		return chain.ErrHeadMoved
	}
	// From here on the batch is in the head, and whoever comes next completes it.
	return l.s.place(ctx, entries)
}
