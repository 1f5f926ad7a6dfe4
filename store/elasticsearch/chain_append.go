package elasticsearch

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// AppendChained implements chain.Appender. The records of each chain go, in their
// order, through the lane of that chain, which writes what has gathered one batch
// after the other: see [intake.Lanes] and [head].
func (s *Store) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	b := intake.NewBatch(recs, true)
	if !s.lanes.Deliver(ctx, b.Entries) {
		return nil, s.interrupted(ctx)
	}
	results, err := b.Results()
	if err == nil {
		s.rollSometimes()
	}
	return results, err
}

// Commit implements [intake.Writer].
func (l *lane) Commit(of []*intake.Entry) {
	entries := newEntries(of)
	ctx, cancel := context.WithTimeout(l.s.life, l.s.opt.Timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		moved, err := l.attempt(ctx, entries)
		if err == nil && !moved {
			return
		}
		l.known = false
		if err == nil {
			// Another process was first.
			if err = sleep(ctx, backoff(attempt)/4); err == nil {
				continue
			}
			err = audit.Unavailable("others write the same chain all the time", err)
			if l.s.closed() {
				err = audit.ErrClosed
			}
		}
		for _, e := range entries {
			if !e.Settled() {
				e.Result.Err = err
			}
		}
		return
	}
}

// attempt makes one batch; moved says that the head was another one.
func (l *lane) attempt(ctx context.Context, entries []*entry) (moved bool, err error) {
	if !l.known {
		if l.head, l.seat, err = l.s.readHead(ctx, l.key()); err != nil {
			return false, err
		}
		// Whoever wrote it may have written to a generation that is not known here.
		if err := l.s.lookAgain(ctx); err != nil {
			return false, err
		}
		l.known = true
	}
	if err := l.s.leaveOut(ctx, entries); err != nil {
		return false, err
	}
	var fresh []*entry
	var recs []*audit.Record
	for _, e := range entries {
		if !e.Settled() {
			fresh, recs = append(fresh, e), append(recs, e.Rec)
		}
	}
	if len(fresh) == 0 {
		return false, nil
	}
	last := chain.Seal(l.head.chain(), recs)
	next := headOf(last)
	next.Batch, next.Mark = pack(recs), newMark()
	if moved, err = l.write(ctx, next); moved || err != nil {
		return moved, err
	}
	if err := l.s.place(ctx, fresh); err != nil {
		// The batch stays in the head, and is completed by whoever comes next.
		return false, err
	}
	return false, nil
}

// write puts a head in the place of the one that was read.
func (l *lane) write(ctx context.Context, next head) (moved bool, err error) {
	at, moved, err := l.s.writeMeta(ctx, headID(l.key()), &metaDoc{Type: "head", Head: &next}, l.seat)
	if err != nil && audit.Retryable(err) && ctx.Err() == nil {
		// No answer came: what is there tells whether it was written.
		doc, now, e := l.s.getMeta(ctx, headID(l.key()))
		switch {
		case e != nil:
			return false, errors.Join(err, e)
		case doc != nil && doc.Head != nil && bytes.Equal(doc.Head.Mark, next.Mark):
			at, err = now, nil
		default:
			return true, nil
		}
	}
	if moved || err != nil {
		return moved, err
	}
	l.head, l.seat = next, at
	return false, nil
}

const tidyPatience = 2 * time.Second

// Tidy implements [intake.Writer]: it takes the batch out of the head when its
// records are stored.
func (l *lane) Tidy() {
	if !l.known || l.head.Batch == nil {
		return
	}
	// Also when the store closes, which waits for it.
	ctx, cancel := context.WithTimeout(context.Background(), tidyPatience)
	defer cancel()
	bare := l.head
	bare.Batch, bare.Mark = nil, nil
	at, moved, err := l.s.writeMeta(ctx, headID(l.key()), &metaDoc{Type: "head", Head: &bare}, l.seat)
	if moved || err != nil {
		l.known = false // the next batch reads it again
		return
	}
	l.head, l.seat = bare, at
}

// leaveOut gives the verdict on entries that are stored already, wherever.
func (s *Store) leaveOut(ctx context.Context, entries []*entry) error {
	l, err := s.known(ctx)
	if err != nil {
		return err
	}
	var open []*entry
	for _, e := range entries {
		if !e.Settled() {
			open = append(open, e)
		}
	}
	if err := s.readOld(ctx, s.generation(l.writing()), open); err != nil {
		return err
	}
	return s.lookBack(ctx, l, entries)
}

// place stores sealed records whose places in the chain are theirs. What is there
// already was put there by an attempt before, or by whoever completed the batch.
//
// One race is left: between the look for the ids of a batch and its writing,
// somebody may have stored a record with one of them outside the chain. Then the
// place in the chain has the sealed record all the same, under an id that its
// sequence makes another one.
func (s *Store) place(ctx context.Context, entries []*entry) error {
	for round := 0; len(entries) > 0; round++ {
		for _, e := range entries {
			e.op, e.Stored, e.Result = nil, nil, audit.Result{}
			if round > 0 {
				e.id = documentID(e.Rec.Ref()) + "." + number(e.Rec.Sequence)
			}
		}
		err := s.create(ctx, entries)
		var other []*entry
		for _, e := range entries {
			switch {
			case e.Stored != nil && e.Stored.Hash == e.Rec.Hash:
				e.Result = audit.Result{Sequence: e.Rec.Sequence, Hash: e.Rec.Hash}
				continue
			case e.Stored != nil && round == 0:
				other = append(other, e)
			case e.Stored != nil && err == nil:
				err = &audit.Error{Code: audit.CodeInternal, Message: "a place in a chain is taken by another record"}
			case err == nil:
				err = e.Result.Err
			}
			e.Stored, e.Result = nil, audit.Result{}
		}
		if err != nil {
			return err
		}
		entries = other
	}
	return nil
}
