package postgres

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

var (
	_ audit.Store    = (*Store)(nil)
	_ chain.Appender = (*Store)(nil)
)

// item is a record on its way into the tables.
type item struct {
	rec   *audit.Record
	scope int32
	at    int // its place in the caller's list
}

// Append implements audit.Store. A batch of one scope, and a small one of
// several, is one transaction; a large one is shared out among Options.Writers
// of them, each with whole scopes. Records that PostgreSQL refuses are found by
// halving, so then a batch may be several transactions too.
func (s *Store) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return s.append(ctx, recs, false)
}

// AppendChained implements chain.Appender, in the transactions of Append: each
// locks its scopes, takes their heads, links what is new and stores it with
// the new heads.
func (s *Store) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return s.append(ctx, recs, true)
}

func (s *Store) append(ctx context.Context, recs []*audit.Record, chained bool) ([]audit.Result, error) {
	results := make([]audit.Result, len(recs))
	items, err := s.admit(ctx, recs, results, chained)
	if err == nil && len(items) > 0 {
		err = s.share(ctx, items, results, chained)
	}
	if err != nil {
		if chained { // what was stored all the same is found by the next attempt
			for _, it := range items {
				unlink(it.rec)
			}
		}
		return nil, s.fail(ctx, err)
	}
	return results, nil
}

// admit judges what needs no database, and gives the rest the numbers of their
// scopes, which are made where there are none.
func (s *Store) admit(ctx context.Context, recs []*audit.Record, results []audit.Result, chained bool) ([]*item, error) {
	if s.closing.Err() != nil {
		return nil, audit.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make([]item, len(recs))
	items := make([]*item, 0, len(recs))
	for i, r := range recs {
		if results[i].Err = intake.Check(r, chained); results[i].Err != nil {
			continue
		}
		number, err := s.makeScope(ctx, r.Scope())
		if refused(err) {
			results[i].Err = translate(ctx, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		all[i] = item{r, number, i}
		items = append(items, &all[i])
	}
	return items, nil
}

// unlink takes back a place in a chain that nothing was stored at.
func unlink(r *audit.Record) {
	r.Segment, r.Sequence, r.PrevHash, r.Hash = "", 0, audit.Digest{}, audit.Digest{}
}

// fail is translate for a call that Close may have ended.
func (s *Store) fail(ctx context.Context, err error) error {
	if err != nil && s.closing.Err() != nil && ctx.Err() == nil {
		return audit.ErrClosed
	}
	return translate(ctx, err)
}
