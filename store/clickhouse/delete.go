package clickhouse

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// DeleteExpired implements audit.Store: it finds what is due, stores the anchors
// of what is chained, and then deletes.
func (s *Store) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil || limit <= 0 {
		if err == nil {
			leave()
		}
		return 0, err
	}
	defer leave()
	s.deleting.Lock()
	defer s.deleting.Unlock()
	conds, err := s.due(&cut)
	if err != nil {
		return 0, err
	}
	return s.deleteSome(ctx, conds, cut.Reason, limit)
}

// due gives the conditions of what the cut selects.
func (s *Store) due(cut *audit.Cut) (string, error) {
	var w where
	w.and("kind='event'")
	expired, recorded := "0", "0"
	if !cut.ExpiredAt.IsZero() {
		expired = "(expires_at!=0 AND expires_at<=" + integer(cut.ExpiredAt.UnixMicro()) + ")"
	}
	if !cut.RecordedBefore.IsZero() {
		before := cut.RecordedBefore.UnixMicro()
		recorded = "recorded_at<" + integer(before)
		if cut.RecordedBefore.Nanosecond()%1000 != 0 {
			recorded = "recorded_at<=" + integer(before)
		}
	}
	w.and("(", expired, " OR ", recorded, ")")
	for _, h := range cut.Holds {
		var hold where
		if err := s.question(&hold, h); err != nil {
			return "", err
		}
		w.and("NOT (", hold.String(), ")")
	}
	return w.String(), nil
}

// deleteSome deletes at most limit records.
func (s *Store) deleteSome(ctx context.Context, conds, reason string, limit int) (int, error) {
	var rows []place
	var chained []*audit.Record
	err := s.rows(ctx, "SELECT month,ins,namespace,tenant,id,segment,sequence,prev_hash,hash FROM "+s.records+" WHERE "+conds+
		" ORDER BY recorded_at,sequence LIMIT "+strconv.Itoa(limit), func(r *row) error {
		var p place
		var id, prev, hash, segment string
		var sequence int64
		if err := r.Scan(&p.month, &p.insert, &p.ref.Namespace, &p.ref.Tenant, &id, &segment, &sequence, &prev, &hash); err != nil {
			return err
		}
		copy(p.ref.ID[:], id)
		rows = append(rows, p)
		if sequence != 0 {
			rec := &audit.Record{Segment: segment, Sequence: sequence}
			rec.Namespace, rec.Tenant = p.ref.Namespace, p.ref.Tenant
			copy(rec.PrevHash[:], prev)
			copy(rec.Hash[:], hash)
			chained = append(chained, rec)
		}
		return nil
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	n := len(rows)
	if len(chained) == 0 {
		return n, s.erase(ctx, rows)
	}
	scopes := map[audit.Scope]bool{}
	for _, r := range chained {
		scopes[r.Scope()] = true
	}
	held, release, err := s.hold(ctx, scopes)
	if err != nil {
		return 0, err
	}
	defer release()
	return n, s.prune(ctx, held, chained, rows, reason)
}

// prune anchors the places of chained records in this store's own segments,
// whose lanes are held, and deletes the rows. Anchors come first, so that a
// verification in between finds no fault.
func (s *Store) prune(ctx context.Context, held map[audit.Scope]*lane, chained []*audit.Record, rows []place, reason string) error {
	torn := map[chain.Key][]chain.Link{}
	var keys []chain.Key
	for _, r := range chained {
		key := chain.KeyOf(r)
		if torn[key] == nil {
			keys = append(keys, key)
		}
		torn[key] = append(torn[key], chain.Link{Sequence: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
	}
	now := s.opt.Now()
	var anchors []*audit.Record
	for _, key := range keys {
		links := torn[key]
		slices.SortFunc(links, func(a, b chain.Link) int { return cmp.Compare(a.Sequence, b.Sequence) })
		for runs := range slices.Chunk(chain.Runs(links), chain.MaxRuns) {
			anchors = append(anchors, chain.Anchor(key, runs, reason, now))
		}
	}
	if err := s.anchor(ctx, held, anchors); err != nil {
		return err
	}
	return s.erase(ctx, rows)
}

// anchor stores anchors. Their ids are new: nobody else has them.
func (s *Store) anchor(ctx context.Context, held map[audit.Scope]*lane, anchors []*audit.Record) error {
	return s.extend(ctx, held, s.parts(sameMonths(anchors)), func(*part) error { return nil })
}

// doubled is the reason of an anchor for records that another writer had stored.
const doubled = "stored by another writer before"

// takeBack deletes rows whose names were taken before, which a process that was
// killed between storing them and looking for rivals has left.
func (s *Store) takeBack(ctx context.Context, extras []*audit.Record, rows []place) error {
	if len(extras) == 0 {
		return nil
	}
	scopes := map[audit.Scope]bool{}
	var chained []*audit.Record
	for _, r := range extras {
		if r.Sequence != 0 {
			scopes[r.Scope()] = true
			chained = append(chained, r)
		}
	}
	if len(chained) == 0 {
		return s.erase(ctx, rows)
	}
	held, release, err := s.hold(ctx, scopes)
	if err != nil {
		return err
	}
	defer release()
	return s.prune(ctx, held, chained, rows, doubled)
}
