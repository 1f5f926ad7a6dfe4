package elasticsearch

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// walkPage is how many records of a chain are read at a time at most.
const walkPage = 1000

// Walk implements chain.Reader. It makes visible what was written before, so that
// it sees every record that a head covers.
func (s *Store) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if to < from {
		return nil
	}
	if err := s.refresh(ctx, s.readAlias()); err != nil {
		return err
	}
	w := &where{}
	w.ofScope(key.Scope)
	segment := audit.Is("segment", key.Segment)
	w.filter(&segment)
	w.must = append(w.must, object{"range": object{"sequence": object{"gte": max(from, 1), "lte": to}}})
	pages := pager{s: s}
	var after []any
	var last *audit.Record
	index := "" // of the last
	for {
		body := object{
			"query": w.query(), "track_total_hits": false,
			// Where a tampered store holds a sequence twice, both.
			"sort": []any{object{"sequence": "asc"}, object{"id": "asc"}, object{"occurred_at": "asc"}},
		}
		if after != nil {
			body["search_after"] = after
		}
		f, n, err := pages.read(ctx, "/"+s.readAlias(), body, walkPage)
		if err != nil {
			return err
		}
		hits := f.Hits.Hits
		if len(hits) == 0 {
			return nil
		}
		recs := make([]*audit.Record, 0, len(hits))
		for i := range hits {
			r, err := decode(hits[i].Source)
			if err != nil {
				return err
			}
			// One that moves from a generation to another is there twice for a moment.
			if last != nil && index != hits[i].Index && last.Hash == r.Hash && intake.Identical(last, r) {
				continue
			}
			last, index = r, hits[i].Index
			recs = append(recs, r)
		}
		after = nil
		for _, v := range hits[len(hits)-1].Sort {
			after = append(after, v)
		}
		if len(recs) > 0 {
			if err := fn(recs); err != nil {
				return err
			}
		}
		if len(hits) < n {
			return nil
		}
		if err := s.interrupted(ctx); err != nil {
			return err
		}
	}
}

// Unchained implements chain.Reader.
func (s *Store) Unchained(ctx context.Context, scope audit.Scope) (int64, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	w := &where{must: []any{absent("sequence")}}
	w.ofScope(scope)
	return s.count(ctx, s.readAlias(), w)
}
