package elasticsearch

import (
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
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
		n := intake.Fit(slices.Values(recs), newRoom())
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
	l.Tidy()
	s.rollSometimes()
	return nil
}

// takeIn stores one batch.
func (l *lane) takeIn(ctx context.Context, to chain.Head, recs []*audit.Record) error {
	ctx, cancel := context.WithTimeout(ctx, l.s.opt.Timeout)
	defer cancel()
	entries := make([]*entry, len(recs))
	for i, r := range recs {
		entries[i] = newEntry(&intake.Entry{Rec: r})
	}
	if err := l.s.leaveOut(ctx, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Settled() {
			return chain.TakenID(e.Rec)
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
