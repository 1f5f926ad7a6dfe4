package elasticsearch

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/annals-dev/annals/audit"
)

// entry is one record on its way into an index.
type entry struct {
	rec    *audit.Record
	at     []int // its places in the batch, the first one that of the record itself
	id     string
	op     *operation
	look   bool // it may be in an older generation, whatever its id says
	result audit.Result
	stored *audit.Record // what the id stands for afterwards; nil where that is not known
}

// settled reports whether the entry has its verdict.
func (e *entry) settled() bool { return e.stored != nil || e.result != (audit.Result{}) }

// gather makes entries of a batch: one for each id, in the order of the first
// record with it. What can never be stored has its verdict in results at once.
func gather(recs []*audit.Record, chained bool, results []audit.Result) []*entry {
	entries := make([]*entry, 0, len(recs))
	byRef := make(map[audit.Ref]*entry, len(recs))
	for i, r := range recs {
		switch {
		case r.ID.IsZero():
			results[i].Err = audit.Invalid("id", "is required")
			continue
		case !chained && (r.Sequence != 0 || !r.Hash.IsZero()):
			// A position that no chain gave would be one that no verification can explain.
			results[i].Err = audit.Invalid("sequence", "is set: a record with a place in a chain cannot be appended outside it")
			continue
		}
		e, ok := byRef[r.Ref()]
		if !ok {
			e = &entry{rec: r, id: documentID(r.Ref())}
			byRef[r.Ref()] = e
			entries = append(entries, e)
		}
		e.at = append(e.at, i)
	}
	return entries
}

// tell writes the verdicts on an entry into the results of its batch: the first
// record has that of the entry, those that repeat it are compared with what is
// stored now.
func (e *entry) tell(recs []*audit.Record, results []audit.Result) {
	results[e.at[0]] = e.result
	for _, i := range e.at[1:] {
		switch {
		case e.stored == nil:
			results[i].Err = e.result.Err
		case audit.SameContent(e.stored, recs[i]):
			results[i] = audit.Result{Duplicate: true, Sequence: e.stored.Sequence, Hash: e.stored.Hash}
		default:
			results[i].Err = audit.ErrConflict
		}
	}
}

// found gives the verdict on an entry whose id is taken. again is whether an
// attempt of our own, whose answer was lost, may have taken it.
func (e *entry) found(stored *audit.Record, again bool) {
	e.stored = stored
	switch {
	case again && identical(stored, e.rec):
		e.result = audit.Result{Sequence: stored.Sequence, Hash: stored.Hash}
	case audit.SameContent(stored, e.rec):
		e.result = audit.Result{Duplicate: true, Sequence: stored.Sequence, Hash: stored.Hash}
	default:
		e.result.Err = audit.ErrConflict
	}
}

// identical reports whether two records are the same in every field.
func identical(a, b *audit.Record) bool {
	for i := range columns {
		c := &columns[i]
		switch c.Kind {
		case audit.Text, audit.Document:
			if c.Text(a) != c.Text(b) {
				return false
			}
		case audit.Identity, audit.Hash:
			if string(c.Bytes(a)) != string(c.Bytes(b)) {
				return false
			}
		default:
			if c.Int(a) != c.Int(b) {
				return false
			}
		}
	}
	return true
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
	results := make([]audit.Result, len(recs))
	entries := gather(recs, false, results)
	if err := s.create(within, entries); err != nil {
		return nil, err
	}
	if err := conclude(entries, recs, results); err != nil {
		return nil, err
	}
	s.rollSometimes()
	return results, nil
}

// conclude fills in the results. Where not one record was stored and all failed
// alike, nothing is known of any: that is an error of the batch.
func conclude(entries []*entry, recs []*audit.Record, results []audit.Result) error {
	waiting := 0
	var last error
	for _, e := range entries {
		if e.result.Err != nil && audit.Retryable(e.result.Err) {
			waiting, last = waiting+1, e.result.Err
		}
		e.tell(recs, results)
	}
	if waiting > 0 && waiting == len(entries) {
		return last
	}
	return nil
}

// create stores the entries that are new, in the generation of the moment and
// after a look at the older ones, and gives each its verdict.
func (s *Store) create(ctx context.Context, entries []*entry) error {
	for _, e := range entries {
		if e.op == nil {
			e.op = &operation{line: createLine(e.id), doc: appendDocument(make([]byte, 0, 2048), e.rec, !s.opt.NoFullText)}
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
			if !e.settled() {
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
			if !e.settled() {
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
			e.stored = e.rec
			e.result = audit.Result{Sequence: e.rec.Sequence, Hash: e.rec.Hash}
		case op.status == http.StatusConflict:
			taken = append(taken, e)
		case err == nil:
			e.result.Err = op.err()
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
			e.result.Err = audit.Unavailable("the id was taken and is free again", nil)
			continue
		}
		e.found(found[i], e.op.again)
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
