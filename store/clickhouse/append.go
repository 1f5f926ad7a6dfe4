package clickhouse

import (
	"cmp"
	"context"
	"sync"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

// Append implements audit.Store. One INSERT stores what is new. A record that
// another process stores at the same moment is found after it: the one that was
// committed second takes its own back.
func (s *Store) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return s.append(ctx, recs, false)
}

// AppendFresh implements audit.FreshAppender: nothing is looked for before the
// INSERT, nor after it.
func (s *Store) AppendFresh(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return s.append(ctx, recs, true)
}

func (s *Store) append(ctx context.Context, recs []*audit.Record, unsent bool) ([]audit.Result, error) {
	b, err := s.begin(ctx, recs, false, unsent)
	if err != nil {
		return nil, err
	}
	defer b.end()
	if err := b.admit(ctx, func() error { return nil }); err != nil {
		return nil, err
	}
	if len(b.fresh) > 0 {
		if err := s.send(ctx, s.records, b.laid, b.insert); err != nil {
			return nil, err
		}
		lost, err := b.rivals(ctx, b.fresh, b.insert)
		if err != nil {
			return nil, err
		}
		if len(lost) > 0 {
			if err := s.erase(ctx, rowsOf(lost, b.insert)); err != nil {
				return nil, err
			}
			if err := b.yield(ctx, lost); err != nil {
				return nil, err
			}
		}
	}
	b.repeat()
	return b.results, nil
}

// batch is what becomes of the records of one call.
type batch struct {
	s       *Store
	unsent  bool // nobody has sent any of the records before
	recs    []*audit.Record
	results []audit.Result
	fresh   []*audit.Record       // those that are new, in their order
	at      []int                 // the place of each in recs
	repeats map[int]int           // a record and the earlier one of the batch that it repeats
	old     map[int]*audit.Record // what was stored before under the id of a record
	insert  uint64                // the number of the INSERT that stores them
	laid    *block                // the content of fresh by columns, for that INSERT
	leave   func()
	release func()
}

// begin enters a call with records.
func (s *Store) begin(ctx context.Context, recs []*audit.Record, chained, unsent bool) (*batch, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	b := &batch{s: s, unsent: unsent, recs: recs, results: make([]audit.Result, len(recs)), leave: leave}
	if b.release, err = s.claims.take(ctx, recs); err != nil {
		leave()
		return nil, err
	}
	for i, r := range recs {
		b.results[i].Err = intake.Check(r, chained)
	}
	return b, nil
}

func (b *batch) end() {
	b.release()
	b.leave()
}

// admit finds what is new, and lays it out by columns. While the server looks
// for the ids, all is taken for new, as it mostly is, and prepare has its time.
func (b *batch) admit(ctx context.Context, prepare func() error) error {
	b.distinct()
	if len(b.fresh) == 0 {
		return nil
	}
	b.insert = newInsert()
	known := &stored{}
	err := together(func() error { b.layOut(); return nil }, prepare, func() (err error) {
		if b.unsent {
			return nil
		}
		if err = b.s.settleDoubts(ctx); err == nil {
			known, err = b.s.known(ctx, b.fresh)
		}
		return err
	})
	if err == nil {
		err = b.s.takeBack(ctx, known.extras, known.rows)
	}
	if err != nil || len(known.first) == 0 {
		return err
	}
	fresh, at := b.fresh[:0], b.at[:0]
	for i, r := range b.fresh {
		if old := known.first[r.Ref()]; old != nil {
			b.judge(b.at[i], old)
			continue
		}
		fresh, at = append(fresh, r), append(at, b.at[i])
	}
	if len(fresh) < len(b.fresh) {
		b.fresh, b.at = fresh, at
		b.layOut()
	}
	return nil
}

// distinct takes the first record of each name that is not refused already.
func (b *batch) distinct() {
	first := make(map[audit.Ref]int, len(b.recs))
	for i, r := range b.recs {
		if b.results[i].Err != nil {
			continue
		}
		ref := r.Ref()
		if at, ok := first[ref]; ok {
			if b.repeats == nil {
				b.repeats = map[int]int{}
			}
			b.repeats[i] = at
			continue
		}
		first[ref] = i
		b.fresh, b.at = append(b.fresh, r), append(b.at, i)
	}
}

func (b *batch) layOut() { b.laid = contentBlock(b.fresh, b.insert, b.s.text) }

// rivals looks whether another process stored one of the records before insert.
func (b *batch) rivals(ctx context.Context, recs []*audit.Record, insert uint64) ([]*audit.Record, error) {
	if b.unsent {
		return nil, nil
	}
	return b.s.rivals(ctx, recs, insert)
}

// together runs functions at the same time, and gives the first error in their order.
func together(fns ...func() error) error {
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = fn() })
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// yield gives the records that lost against another process the verdict on
// those that won.
func (b *batch) yield(ctx context.Context, lost []*audit.Record) error {
	known, err := b.s.known(ctx, lost)
	if err != nil {
		return err
	}
	places := make(map[*audit.Record]int, len(b.fresh))
	for i, r := range b.fresh {
		places[r] = b.at[i]
	}
	for _, r := range lost {
		old := known.first[r.Ref()]
		if old == nil { // deleted in the meantime: the caller may try again
			b.results[places[r]].Err = audit.Unavailable("another process stored the record and deleted it", nil)
			continue
		}
		b.judge(places[r], old)
	}
	return nil
}

// judge gives the verdict on a record whose id stands for another one.
func (b *batch) judge(at int, old *audit.Record) {
	if b.old == nil {
		b.old = map[int]*audit.Record{}
	}
	b.old[at] = old
	b.results[at] = intake.Verdict(old, b.recs[at])
}

// repeat gives the records that repeat another of the batch their verdict, now
// that it is known what their id stands for.
func (b *batch) repeat() {
	for i, first := range b.repeats {
		if old := b.old[first]; old != nil {
			b.results[i] = intake.Verdict(old, b.recs[i])
		} else if b.results[i].Err = b.results[first].Err; b.results[i].Err == nil {
			b.results[i] = intake.Verdict(b.recs[first], b.recs[i])
		}
	}
}
