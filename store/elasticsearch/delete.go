package elasticsearch

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

const (
	deletePage = 2000 // records that are looked for at a time
	// maxHoldClauses is how many conditions of holds a question may have: the
	// servers allow about a thousand. The holds that find no room in it are
	// compared here, record by record.
	maxHoldClauses = 300
)

// victim is a record that is to be deleted.
type victim struct {
	hit
	rec *audit.Record // its name and its links; whole where holds are compared here
}

// DeleteExpired implements audit.Store; the oldest records go first. There is no
// transaction for all of it: anchors are stored first, and the records of each
// chain are then deleted in the order of their sequence, each only if it is still
// the one that was found.
func (s *Store) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	if limit <= 0 || cut.ExpiredAt.IsZero() && cut.RecordedBefore.IsZero() {
		return 0, nil
	}
	deleted := 0
	for deleted < limit {
		// What was written, and what was deleted, has to be seen.
		if err := s.refresh(ctx, s.readAlias()); err != nil {
			return deleted, err
		}
		found, err := s.victims(ctx, &cut, limit-deleted)
		if err != nil || len(found) == 0 {
			return deleted, err
		}
		n, err := s.remove(ctx, found, cut.Reason)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// due translates a cut but for the holds that find no room in a question.
func due(cut *audit.Cut) (w *where, rest []*audit.Query, err error) {
	w = &where{must: []any{isEvent()}}
	var some []any
	if !cut.ExpiredAt.IsZero() {
		some = append(some, object{"range": object{"expires_at": object{"lte": cut.ExpiredAt.UnixMicro()}}})
	}
	if !cut.RecordedBefore.IsZero() {
		some = append(some, object{"range": object{"recorded_at": object{"lt": cut.RecordedBefore.UnixMicro()}}})
	}
	w.must = append(w.must, anyOf(some...))
	room := maxHoldClauses
	for i, h := range cut.Holds {
		held, err := conditions(h)
		if err != nil {
			return nil, nil, err
		}
		query := held.query()
		if room -= clauses(query); room < 0 {
			return w, cut.Holds[i:], nil
		}
		w.not = append(w.not, query)
	}
	return w, nil, nil
}

// clauses counts the conditions of a query.
func clauses(query any) (n int) {
	switch q := query.(type) {
	case object:
		for key, v := range q {
			switch key {
			case "bool", "filter", "must_not", "should":
				n += clauses(v)
			case "minimum_should_match":
			default:
				n++
			}
		}
	case []any:
		for _, v := range q {
			n += clauses(v)
		}
	}
	return n
}

// victims finds at most limit records that the cut selects.
func (s *Store) victims(ctx context.Context, cut *audit.Cut, limit int) (out []victim, err error) {
	w, rest, err := due(cut)
	if err != nil {
		return nil, err
	}
	limit = min(limit, 5*deletePage)
	pages := pager{s: s}
	var after []any
	for len(out) < limit {
		size := deletePage
		if len(rest) == 0 {
			size = min(deletePage, limit-len(out))
		}
		body := object{
			"query": w.query(), "size": size, "track_total_hits": false, "seq_no_primary_term": true,
			"sort": []any{
				object{"occurred_at": "asc"}, object{"id": "asc"},
				object{"namespace": object{"order": "asc", "missing": "_last"}}, object{"tenant": object{"order": "asc", "missing": "_last"}},
			},
		}
		if len(rest) == 0 {
			body["_source"] = []string{"id", "namespace", "tenant", "kind", "sequence", "segment", "prev_hash", "hash"}
		}
		if after != nil {
			body["search_after"] = after
		}
		var f *found
		if len(rest) == 0 {
			f, err = s.search(ctx, "/"+s.readAlias(), body)
		} else {
			f, size, err = pages.read(ctx, "/"+s.readAlias(), body, deletePage)
		}
		if err != nil {
			return nil, err
		}
		hits := f.Hits.Hits
		for i := range hits {
			r, err := decode(hits[i].Source)
			if err != nil {
				return nil, err
			}
			if len(rest) == 0 || !slices.ContainsFunc(rest, func(h *audit.Query) bool { return h.Match(r) }) {
				out = append(out, victim{hits[i], r})
			}
		}
		if len(hits) < size {
			break
		}
		after = nil
		for _, v := range hits[len(hits)-1].Sort {
			after = append(after, v)
		}
	}
	return out[:min(len(out), limit)], nil
}

// remove deletes records and says how many of them it was that deleted them.
func (s *Store) remove(ctx context.Context, found []victim, reason string) (int, error) {
	var outside []victim
	chains := map[chain.Key][]victim{}
	var order []chain.Key
	for _, v := range found {
		if v.rec.Sequence == 0 {
			outside = append(outside, v)
			continue
		}
		key := chain.KeyOf(v.rec)
		if chains[key] == nil {
			order = append(order, key)
		}
		chains[key] = append(chains[key], v)
	}
	deleted, err := s.expunge(ctx, outside)
	if err != nil {
		return deleted, err
	}
	// One bulk for the short ends of many chains: in it, too, each is in order.
	var inside []victim
	for _, key := range order {
		some := chains[key]
		slices.SortFunc(some, func(a, b victim) int { return int(a.rec.Sequence - b.rec.Sequence) })
		if some, err = s.present(ctx, some); err != nil {
			return deleted, err
		}
		if err := s.anchor(ctx, key, some, reason); err != nil {
			return deleted, err
		}
		inside = append(inside, some...)
	}
	n, err := s.expunge(ctx, inside)
	return deleted + n, err
}

// present leaves out what another process has deleted since it was found, so that
// no anchor names it a second time.
func (s *Store) present(ctx context.Context, some []victim) ([]victim, error) {
	byIndex := map[string][]int{}
	for i := range some {
		byIndex[some[i].Index] = append(byIndex[some[i].Index], i)
	}
	gone := make([]bool, len(some))
	for index, at := range byIndex {
		ids := make([]string, len(at))
		for i, n := range at {
			ids[i] = some[n].ID
		}
		seats, err := s.seats(ctx, index, ids)
		if err != nil {
			return nil, err
		}
		for i, n := range at {
			gone[n] = seats[i] != some[n].seat
		}
	}
	out := some[:0:0]
	for i := range some {
		if !gone[i] {
			out = append(out, some[i])
		}
	}
	return out, nil
}

// seats gives the state of documents as they are at this moment; zero is none.
func (s *Store) seats(ctx context.Context, index string, ids []string) ([]seat, error) {
	out := make([]seat, len(ids))
	err := s.mget(ctx, withSeat, wanted{index, object{"ids": ids}, len(ids)}, func(i int, d *document) error {
		out[i] = d.seat
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// anchor appends what stands for records that are removed from a chain, which are
// in order: to that chain, or to the scope's own where it is a segment.
func (s *Store) anchor(ctx context.Context, key chain.Key, removed []victim, reason string) error {
	links := make([]chain.Link, len(removed))
	for i, v := range removed {
		links[i] = chain.Link{Sequence: v.rec.Sequence, PrevHash: v.rec.PrevHash, Hash: v.rec.Hash}
	}
	return s.anchorRuns(ctx, key, chain.Runs(links), reason)
}

func (s *Store) anchorRuns(ctx context.Context, key chain.Key, all []chain.Run, reason string) error {
	var entries []*intake.Entry
	for runs := range slices.Chunk(all, chain.MaxRuns) {
		a := chain.Anchor(key, runs, reason, s.opt.Now())
		entries = append(entries, &intake.Entry{Rec: a})
	}
	if !s.lanes.Deliver(ctx, entries) {
		return s.interrupted(ctx)
	}
	for _, e := range entries {
		if e.Result.Err != nil {
			return e.Result.Err
		}
	}
	return nil
}

// expunge deletes documents that are still as they were found, the generations
// one after the other and in each in the order that is given.
func (s *Store) expunge(ctx context.Context, some []victim) (deleted int, err error) {
	byIndex := map[string][]*operation{}
	var order []string
	for _, v := range some {
		if byIndex[v.Index] == nil {
			order = append(order, v.Index)
		}
		line := encoded(object{"delete": object{"_id": v.ID, "if_seq_no": v.SeqNo, "if_primary_term": v.Term}})
		byIndex[v.Index] = append(byIndex[v.Index], &operation{line: line})
	}
	// The older generation has the lower sequences.
	slices.SortFunc(order, strings.Compare)
	for _, index := range order {
		ops := byIndex[index]
		err := s.bulk(ctx, index, false, ops)
		if blocked := blockedAmong(ops); err == nil && len(blocked) > 0 {
			if err = s.unblock(ctx, index); err == nil {
				err = s.bulk(ctx, index, false, blocked)
			}
		}
		var failure error
		for _, op := range ops {
			switch {
			case op.status == http.StatusOK:
				deleted++
			case op.status == http.StatusNotFound, op.status == http.StatusConflict:
				// Somebody else deleted it, unless an attempt of our own did whose answer was lost.
				if op.again {
					deleted++
				}
			case op.status == 0 && err != nil:
			default:
				failure = op.err()
			}
		}
		if err == nil {
			err = failure
		}
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// blockedAmong gives the operations that met with the block of a closed
// generation, ready to be tried again.
func blockedAmong(ops []*operation) (blocked []*operation) {
	for _, op := range ops {
		if op.status == http.StatusForbidden && op.fault.is("cluster_block_exception") {
			op.status = 0
			blocked = append(blocked, op)
		}
	}
	return blocked
}
