package elasticsearch

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

// entry is one record on its way into an index.
type entry struct {
	*intake.Entry
	id   string
	op   *operation
	look bool // it may be in an older generation, whatever its id says
}

func newEntry(e *intake.Entry) *entry { return &entry{Entry: e, id: documentID(e.Rec.Ref())} }

func newEntries(of []*intake.Entry) []*entry {
	entries := make([]*entry, len(of))
	for i, e := range of {
		entries[i] = newEntry(e)
	}
	return entries
}

// Append implements audit.Store by bulk requests whose every item is a create,
// which does nothing where the id is taken. A record is stored or not by itself.
func (s *Store) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	within, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	b := intake.NewBatch(recs, false)
	if err := s.create(within, newEntries(b.Entries)); err != nil {
		return nil, err
	}
	results, err := b.Results()
	if err == nil {
		s.rollSometimes()
	}
	return results, err
}

// create stores the entries that are new, in the generation of the moment and
// after a look at the older ones, and gives each its verdict.
func (s *Store) create(ctx context.Context, entries []*entry) error {
	for _, e := range entries {
		if e.op == nil {
			e.op = &operation{line: createLine(e.id), doc: appendDocument(make([]byte, 0, 2048), e.Rec, !s.opt.NoFullText)}
		}
	}
	for len(entries) > 0 {
		l, err := s.known(ctx)
		if err != nil {
			return err
		}
		if err := s.lookBack(ctx, l, entries); err != nil {
			return err
		}
		var fresh []*entry
		for _, e := range entries {
			if !e.Settled() {
				fresh = append(fresh, e)
			}
		}
		err = s.createIn(ctx, l.writing(), fresh)
		if !errors.Is(err, errSealed) {
			return err
		}
		s.forget(l)
		// What was stored before the alias went has its verdict; the rest is looked
		// for in the closed generation.
		entries = nil
		for _, e := range fresh {
			if !e.Settled() {
				e.op.status, e.look = 0, true
				entries = append(entries, e)
			}
		}
	}
	return nil
}

// createIn stores entries in one generation and reads what is there in the place of
// those whose ids are taken.
func (s *Store) createIn(ctx context.Context, g int, entries []*entry) error {
	if len(entries) == 0 {
		return nil
	}
	ops := make([]*operation, len(entries))
	for i, e := range entries {
		ops[i] = e.op
	}
	err := s.bulk(ctx, s.writeAlias(g), true, ops)
	var taken []*entry
	for _, e := range entries {
		switch op := e.op; {
		case op.status == http.StatusCreated:
			e.Put()
		case op.status == http.StatusConflict:
			taken = append(taken, e)
		case err == nil:
			e.Result.Err = op.err()
		}
	}
	if err != nil {
		return err
	}
	return s.readTaken(ctx, s.generation(g), taken)
}

// readTaken gives the verdict on entries whose ids are taken in an index.
func (s *Store) readTaken(ctx context.Context, index string, taken []*entry) error {
	if len(taken) == 0 {
		return nil
	}
	ids := make([]string, len(taken))
	for i, e := range taken {
		ids[i] = e.id
	}
	found, err := s.get(ctx, index, ids)
	if err != nil {
		return err
	}
	for i, e := range taken {
		if found[i] == nil {
			// It was deleted in between: the id is free again, and a retry stores it.
			e.Result.Err = audit.Unavailable("the id was taken and is free again", nil)
			continue
		}
		e.Found(found[i], e.op.again)
	}
	return nil
}

// rollCheck is how often the size of the index is looked at.
const rollCheck = time.Minute

// rollSometimes looks after the size of the index that is written to.
func (s *Store) rollSometimes() {
	now := s.opt.Now().UnixNano()
	last := s.rolled.Load()
	if now-last < int64(rollCheck) || !s.rolled.CompareAndSwap(last, now) {
		return
	}
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(s.life, s.opt.Timeout)
		defer cancel()
		_ = s.Rollover(ctx, false) // the next look tries again
	})
}
