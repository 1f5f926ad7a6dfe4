package clickhouse

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Records are stored before the end of their chain, so that an end never names
// records that are not there. Between the two a process or the server may die:
// then records stand beyond the end. They are the rest of one batch, which the
// server stored as a whole, and follow the end without a hole; so whoever reads
// the end can tell, and takes their last one for it. Anything else beyond the
// end is no such rest, and verification reports it.

// end is a chain's end; mended is set where it is that of the rest of a batch.
type end struct {
	head   chain.Head
	mended bool
}

// chains is the condition that leaves the chains of the scopes, of all where
// scopes is nil; segment "" is every one.
func chains(scopes []audit.Scope, segment string) (w where) {
	if scopes != nil {
		list := make([]string, len(scopes))
		for i, scope := range scopes {
			list[i] = "(" + text(scope.Namespace) + "," + text(scope.Tenant) + ")"
		}
		w.and("(namespace,tenant) IN (", strings.Join(list, ","), ")")
	}
	if segment != "" {
		w.and("segment=", text(segment))
	}
	return w
}

// begun gives those of the scopes that have an end in the segment.
func (s *Store) begun(ctx context.Context, scopes []audit.Scope, segment string) (out []audit.Scope, err error) {
	w := chains(scopes, segment)
	err = s.rows(ctx, s.sql("SELECT DISTINCT namespace,tenant FROM @heads WHERE ")+w.String(), func(r *row) error {
		var scope audit.Scope
		err := r.Scan(&scope.Namespace, &scope.Tenant)
		out = append(out, scope)
		return err
	})
	return out, err
}

// ends finds the ends of chains. One whose end was removed has the sequence 0.
func (s *Store) ends(ctx context.Context, scopes []audit.Scope, segment string) (map[chain.Key]end, error) {
	w := chains(scopes, segment)
	// The records first: what is stored in between has its end then.
	last := map[chain.Key]int64{}
	err := s.rows(ctx, "SELECT namespace,tenant,segment,max(sequence) FROM "+s.records+" WHERE sequence>0 AND "+w.String()+" GROUP BY namespace,tenant,segment",
		func(r *row) error {
			var key chain.Key
			var sequence int64
			if err := r.Scan(&key.Namespace, &key.Tenant, &key.Segment, &sequence); err != nil {
				return err
			}
			last[key] = sequence
			return nil
		})
	if err != nil {
		return nil, err
	}
	found := map[chain.Key]end{}
	err = s.rows(ctx, s.sql("SELECT namespace,tenant,segment,max(sequence) AS most,argMax(hash,sequence) FROM @heads WHERE ")+w.String()+" GROUP BY namespace,tenant,segment",
		func(r *row) error {
			var h chain.Head
			var hash string
			if err := r.Scan(&h.Namespace, &h.Tenant, &h.Segment, &h.Sequence, &hash); err != nil {
				return err
			}
			copy(h.Hash[:], hash)
			found[h.Key] = end{head: h}
			return nil
		})
	if err != nil {
		return nil, err
	}
	for key, sequence := range last {
		e, ok := found[key]
		switch {
		case !ok:
			found[key] = end{head: chain.Head{Key: key}}
		case sequence > e.head.Sequence:
			if found[key], err = s.mend(ctx, e.head); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// mend looks at what stands beyond an end.
func (s *Store) mend(ctx context.Context, head chain.Head) (end, error) {
	is := end{head: head}
	first := uint64(0)
	whole := true
	err := s.rows(ctx, "SELECT sequence,prev_hash,hash,ins FROM "+s.records+" WHERE "+keyed(head.Key)+" AND sequence>"+integer(head.Sequence)+" ORDER BY sequence",
		func(r *row) error {
			var sequence int64
			var prev, hash string
			var insert uint64
			if err := r.Scan(&sequence, &prev, &hash, &insert); err != nil {
				return err
			}
			if first == 0 {
				first = insert
			}
			if insert != first || sequence != is.head.Sequence+1 || prev != string(is.head.Hash[:]) {
				whole = false
				return nil
			}
			is.head.Sequence = sequence
			copy(is.head.Hash[:], hash)
			return nil
		})
	if err != nil {
		return is, err
	}
	if !whole {
		return end{head: head}, nil
	}
	is.mended = is.head.Sequence > head.Sequence
	return is, nil
}

// keyed is the condition that leaves one chain.
func keyed(key chain.Key) string {
	return "namespace=" + text(key.Namespace) + " AND tenant=" + text(key.Tenant) + " AND segment=" + text(key.Segment)
}

// Heads implements chain.Reader. A chain whose end was removed is given too,
// with the sequence 0, so that it does not go unnoticed.
func (s *Store) Heads(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var scopes []audit.Scope
	if scope != nil {
		scopes = []audit.Scope{*scope}
	}
	found, err := s.ends(ctx, scopes, "")
	if err != nil {
		return nil, err
	}
	var heads []chain.Head
	for key, e := range found {
		if e.head.Sequence == 0 && !e.mended {
			// A writer that has opened the chain and stored nothing yet.
			n, err := s.number(ctx, "SELECT count() FROM (SELECT 1 FROM "+s.records+" WHERE "+keyed(key)+" AND sequence>0 LIMIT 1)")
			if err != nil {
				return nil, err
			}
			if n == 0 {
				continue
			}
		}
		heads = append(heads, e.head)
	}
	slices.SortFunc(heads, func(a, b chain.Head) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Segment, b.Segment))
	})
	return heads, nil
}

// walkPiece is how many records a walk along a chain reads at a time.
const walkPiece = 2000

// Walk implements chain.Reader. What is stored beside a record and is not part
// of its hash is checked here: a record that a column of ours would hide from
// questions comes with an empty Hash, so that it does not verify. The words of
// full text are not checked.
func (s *Store) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for from = max(from, 1); from <= to; {
		// A piece by its numbers, as a tampered store may hold one twice.
		until := to
		if to-from >= walkPiece {
			until = from + walkPiece - 1
		}
		var recs []*audit.Record
		var in uint32
		var at uint64
		var members string
		d := newDecoder(&in, &at, &members)
		err := s.rows(ctx, "SELECT "+rowColumns+",month,born,members FROM "+s.records+" WHERE "+keyed(key)+" AND sequence BETWEEN "+integer(from)+" AND "+integer(until)+" ORDER BY sequence,_block_number",
			func(r *row) error {
				rec, err := d.read(r)
				if err != nil {
					return err
				}
				if in != month(rec) || at != born(rec.ID) || members != string(appendMembers(nil, rec.Metadata)) {
					rec.Hash = audit.Digest{}
				}
				recs = append(recs, rec)
				return nil
			})
		if err != nil {
			return err
		}
		if len(recs) > 0 {
			if err := fn(recs); err != nil {
				return err
			}
			if until == to {
				return nil
			}
			from = until + 1
			continue
		}
		// Nothing for a stretch: go on where the next one is.
		var next int64
		err = s.rows(ctx, "SELECT min(sequence) FROM "+s.records+" WHERE "+keyed(key)+" AND sequence BETWEEN "+integer(max(until, from))+" AND "+integer(to), func(r *row) error { return r.Scan(&next) })
		if err != nil || next == 0 {
			return err
		}
		from = next
	}
	return nil
}

// Unchained implements chain.Reader.
func (s *Store) Unchained(ctx context.Context, scope audit.Scope) (int64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n, err := s.number(ctx, "SELECT count() FROM "+s.records+" WHERE namespace="+text(scope.Namespace)+" AND tenant="+text(scope.Tenant)+" AND sequence<=0")
	return int64(n), err
}
