package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// The methods of this file make generations the partitions of package retention:
// one of which a cut leaves nothing is deleted as a whole index, which costs the
// server nothing.

// EnsureMonthlyPartitions looks after the rollover. Generations are made when
// they are due, not beforehand.
func (s *Store) EnsureMonthlyPartitions(ctx context.Context, _ int) error {
	return s.Rollover(ctx, false)
}

// Maintain has nothing to do: the server merges and refreshes by itself.
func (s *Store) Maintain(context.Context) error { return nil }

// EachPartition gives the generations to fn, the oldest first. Their bounds are
// the times of their records; that which is written to has no end.
func (s *Store) EachPartition(ctx context.Context, fn func(name string, from, to time.Time, records, bytes int64) error) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	l, err := s.fresh(ctx)
	if err != nil {
		return err
	}
	for _, g := range l.generations {
		index := s.generation(g)
		records, bytes, err := s.sizeOfIndex(ctx, index)
		if err != nil {
			return err
		}
		from, to, err := s.boundsOf(ctx, index)
		if err != nil {
			return err
		}
		if g == l.writing() {
			to = time.Time{}
		}
		if err := fn(index, from, to, records, bytes); err != nil {
			return err
		}
	}
	return nil
}

// fresh gives the layout as it is at this moment.
func (s *Store) fresh(ctx context.Context) (*layout, error) {
	if err := s.lookAgain(ctx); err != nil {
		return nil, err
	}
	return s.known(ctx)
}

// boundsOf gives the first time of an index's records and the first after them:
// when they happened and when they were recorded both count.
func (s *Store) boundsOf(ctx context.Context, index string) (from, to time.Time, err error) {
	edge := func(field, way string) (int64, error) {
		f, err := s.search(ctx, "/"+index, object{
			"query": object{"match_all": object{}}, "sort": []any{object{field: way}}, "size": 1, "_source": false, "track_total_hits": false,
		})
		if err != nil || len(f.Hits.Hits) == 0 {
			return 0, err
		}
		var n int64
		return n, json.Unmarshal(f.Hits.Hits[0].Sort[0], &n)
	}
	first, err := edge("occurred_at", "asc")
	if err != nil || first == 0 {
		return time.Time{}, time.Time{}, err
	}
	last, err := edge("occurred_at", "desc")
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	recorded, err := edge("recorded_at", "desc")
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	return audit.FromMicros(first), audit.FromMicros(max(last, recorded) + 1), nil
}

// DropPartitions deletes the generations that ended at or before a time and of
// which the cut leaves nothing, and gives their names. One with a record that is
// held, or whose time has not come, stays whole, and DeleteExpired deletes from
// it. The anchors of its chains are stored first.
func (s *Store) DropPartitions(ctx context.Context, end time.Time, cut func(context.Context) (audit.Cut, error)) (dropped []string, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := s.fresh(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range l.older() {
		index := s.generation(g)
		_, to, err := s.boundsOf(ctx, index)
		if err != nil {
			return dropped, err
		}
		if to.After(end) {
			continue
		}
		c, err := cut(ctx)
		if err != nil {
			return dropped, err
		}
		gone, err := s.dropIndex(ctx, index, &c)
		if err != nil {
			return dropped, err
		}
		if gone {
			dropped = append(dropped, index)
		}
	}
	if len(dropped) > 0 {
		s.forget(l)
	}
	return dropped, nil
}

// dropIndex deletes an index when the cut selects all that it holds.
func (s *Store) dropIndex(ctx context.Context, index string, cut *audit.Cut) (bool, error) {
	if err := s.refresh(ctx, index); err != nil {
		return false, err
	}
	all, err := s.count(ctx, index, &where{must: []any{isEvent()}})
	if err != nil {
		return false, err
	}
	if all > 0 {
		if cut.ExpiredAt.IsZero() && cut.RecordedBefore.IsZero() {
			return false, nil
		}
		w, rest, err := due(cut)
		if err != nil {
			return false, err
		}
		selected, err := s.count(ctx, index, w)
		if err != nil || selected != all {
			return false, err
		}
		for len(rest) > 0 {
			// The holds that found no room in one question are asked for in others.
			some := &audit.Cut{ExpiredAt: cut.ExpiredAt, RecordedBefore: cut.RecordedBefore, Holds: rest}
			if w, rest, err = due(some); err != nil {
				return false, err
			}
			if selected, err = s.count(ctx, index, w); err != nil || selected != all {
				return false, err
			}
		}
		if err := s.anchorIndex(ctx, index, cut.Reason); err != nil {
			return false, err
		}
	}
	if err := s.moveOwn(ctx, index); err != nil {
		return false, err
	}
	a, err := s.client.do(ctx, request{method: "DELETE", path: "/" + index, long: true})
	if err != nil {
		return false, err
	}
	if a.status != http.StatusOK && a.status != http.StatusNotFound {
		return false, failed("delete an index", a)
	}
	return true, nil
}

// moveOwn copies the records that Annals wrote itself, which stay, to the
// generation of the moment.
func (s *Store) moveOwn(ctx context.Context, index string) error {
	var after []any
	for {
		body := object{
			"query": (&where{not: []any{isEvent()}}).query(), "size": maxHits, "track_total_hits": false,
			"sort": []any{object{"occurred_at": "asc"}, object{"id": "asc"}},
		}
		if after != nil {
			body["search_after"] = after
		}
		f, err := s.search(ctx, "/"+index, body)
		if err != nil || len(f.Hits.Hits) == 0 {
			return err
		}
		var ops []*operation
		for _, h := range f.Hits.Hits {
			r, err := decode(h.Source)
			if err != nil {
				return err
			}
			ops = append(ops, &operation{line: createLine(h.ID), doc: appendDocument(nil, r, !s.opt.NoFullText)})
			after = []any{h.Sort[0], h.Sort[1]}
		}
		for {
			l, err := s.known(ctx)
			if err != nil {
				return err
			}
			err = s.bulk(ctx, s.writeAlias(l.writing()), true, ops)
			if errors.Is(err, errSealed) {
				s.forget(l)
				continue
			}
			if err != nil {
				return err
			}
			break
		}
		for _, op := range ops {
			if op.status != http.StatusCreated && op.status != http.StatusConflict {
				return op.err()
			}
		}
	}
}

// anchorIndex stores the anchors of every chain that has records in an index.
func (s *Store) anchorIndex(ctx context.Context, index, reason string) error {
	var key chain.Key
	var runs []chain.Run
	flush := func() error {
		err := s.anchorRuns(ctx, key, runs, reason)
		runs = nil
		return err
	}
	order := []any{
		object{"namespace": object{"order": "asc", "missing": "_first"}}, object{"tenant": object{"order": "asc", "missing": "_first"}},
		object{"segment": object{"order": "asc", "missing": "_first"}}, object{"sequence": "asc"}, object{"id": "asc"},
	}
	var after []any
	for {
		body := object{
			"query": (&where{must: []any{isEvent(), exists("sequence")}}).query(), "sort": order, "size": 5000, "track_total_hits": false,
			"_source": []string{"namespace", "tenant", "segment", "sequence", "prev_hash", "hash"},
		}
		if after != nil {
			body["search_after"] = after
		}
		f, err := s.search(ctx, "/"+index, body)
		if err != nil {
			return err
		}
		hits := f.Hits.Hits
		if len(hits) == 0 {
			return flush()
		}
		for i := range hits {
			r, err := decode(hits[i].Source)
			if err != nil {
				return err
			}
			if chain.KeyOf(r) != key || len(runs) == chain.MaxRuns {
				if err := flush(); err != nil {
					return err
				}
				key = chain.KeyOf(r)
			}
			if n := len(runs); n > 0 && runs[n-1].Last+1 == r.Sequence {
				runs[n-1].Last, runs[n-1].Hash = r.Sequence, r.Hash
				continue
			}
			runs = append(runs, chain.Run{First: r.Sequence, Last: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
		}
		after = nil
		for _, v := range hits[len(hits)-1].Sort {
			after = append(after, v)
		}
	}
}

// Generations gives the names of the indices, the oldest first.
func (s *Store) Generations(ctx context.Context) ([]string, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := s.fresh(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(l.generations))
	for _, g := range l.generations {
		names = append(names, s.generation(g))
	}
	return slices.Clip(names), nil
}
