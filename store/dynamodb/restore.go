package dynamodb

import (
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

var _ chain.Restorer = (*Store)(nil)

// Restore implements chain.Restorer by the transactions of AppendChained, each of
// which moves the head to its last record.
func (s *Store) Restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	if err := chain.CheckRestore(from, to, recs); err != nil {
		return err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	part := partition(from.Scope)
	head, err := s.readHead(ctx, part, from.Key)
	if err != nil {
		return err
	}
	if head != from {
		return chain.ErrHeadMoved
	}
	if to == from {
		return nil
	}
	entries := make([]*entry, len(recs))
	for i, r := range recs {
		if n := bytesOf(r); n > recordBytes {
			return tooLarge(n + overhead)
		}
		entries[i] = &entry{Rec: r}
	}
	if err := s.noteLeads(ctx, entries); err != nil {
		return err
	}
	if err := s.enter(ctx, chained, []string{part}); err != nil {
		return err
	}
	if err := s.noteSegment(ctx, part, from); err != nil {
		return err
	}
	for at := from; at != to; {
		n := intake.Fit(slices.Values(recs), newRoom())
		next := to
		if n < len(recs) {
			next = chain.HeadAt(recs[n-1])
		}
		if err := s.take(ctx, part, at, next, entries[:n]); err != nil {
			return err
		}
		at, entries, recs = next, entries[n:], recs[n:]
	}
	return nil
}

// take takes in what fits into one transaction.
func (s *Store) take(ctx context.Context, part string, from, to chain.Head, entries []*entry) error {
	within, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		holds, err := s.holdsInForce(within)
		if err != nil {
			return err
		}
		t := &transaction{mark: newMark(), head: to}
		s.fill(t, part, from, entries, holds)
		v, err := s.send(within, t)
		switch v {
		case done:
			return nil
		case behind:
			return chain.ErrHeadMoved
		case taken:
			for _, e := range entries {
				if e.Settled() {
					return chain.TakenID(e.Rec)
				}
			}
			return err
		case blocked:
			if err := pause(within, attempt); err != nil {
				return s.busy(within, err)
			}
		default:
			return err
		}
	}
}
