package clickhouse

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var _ chain.Restorer = (*Store)(nil)

// Restore implements chain.Restorer. The records are stored by one INSERT for
// each month, as those of AppendChained are, and after each the end is. The
// server cannot compare and set, so of two processes that restore the same chain
// at the same time both may believe that they do; verification tells.
func (s *Store) Restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	if err := chain.CheckRestore(from, to, recs); err != nil {
		return err
	}
	b, err := s.begin(ctx, recs, true, false)
	if err != nil {
		return err
	}
	defer b.end()
	if to == from {
		if err := s.doubtOthers(ctx); err != nil {
			return err
		}
	}
	if err := s.settleDoubts(ctx); err != nil {
		return err
	}
	found, err := s.ends(ctx, []audit.Scope{from.Scope}, from.Segment)
	if err != nil {
		return err
	}
	head := chain.Head{Key: from.Key}
	if e, ok := found[from.Key]; ok {
		head = e.head
	}
	if head != from {
		return chain.ErrHeadMoved
	}
	if to == from {
		return nil
	}
	if from.Sequence == 0 {
		if err := s.reserve(ctx, from.Segment); err != nil {
			return err
		}
	}
	fresh, err := s.missing(ctx, recs)
	if err != nil {
		return err
	}
	for _, of := range sameMonths(fresh) {
		insert := newInsert()
		if err := s.send(ctx, s.records, newBlock(of, insert, s.text), insert); err != nil {
			return err
		}
		if end := chain.HeadAt(of[len(of)-1]); end != to {
			if err := s.writeHeads(ctx, []chain.Head{end}); err != nil {
				return err
			}
		}
	}
	return s.writeHeads(ctx, []chain.Head{to})
}

// doubtOthers has the INSERTs that run now waited for, whosever they are: the
// server may still be at that of a copy that was killed, and this one goes on from
// what it compares.
func (s *Store) doubtOthers(ctx context.Context) error {
	return s.rows(ctx, "SELECT query_id FROM "+s.processes()+" WHERE query_id LIKE 'annals-%' AND query_kind='Insert'", func(r *row) error {
		var id string
		if err := r.Scan(&id); err != nil {
			return err
		}
		s.doubts.add(id)
		return nil
	})
}

// missing gives those of the records that are not stored yet, as they are after
// an attempt that was cut off.
func (s *Store) missing(ctx context.Context, recs []*audit.Record) ([]*audit.Record, error) {
	if len(recs) == 0 {
		return nil, nil
	}
	known, err := s.known(ctx, recs)
	if err != nil {
		return nil, err
	}
	fresh := make([]*audit.Record, 0, len(recs))
	seen := make(map[audit.ID]bool, len(recs))
	for _, r := range recs {
		old := known.first[r.Ref()]
		switch {
		case seen[r.ID], old != nil && !chain.SameLink(old, r):
			return nil, chain.TakenID(r)
		case old == nil:
			fresh = append(fresh, r)
		}
		seen[r.ID] = true
	}
	return fresh, nil
}

// reserve sees to it that no writer of these tables will have the segment, which
// is that of a writer elsewhere.
func (s *Store) reserve(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	l := &s.lanes.segment
	l.mu.Lock()
	mine := l.name == name
	l.mu.Unlock()
	if mine {
		return &audit.Error{Code: audit.CodeConflict, Field: "segment", Message: "this store writes " + name + " itself: close it, and open it for nothing else than the copy"}
	}
	writer, number, _ := cutLast(name, ".")
	epoch, _ := strconv.ParseInt(number, 10, 64) // 0 where it is none of a ClickHouse writer
	return s.change(ctx, s.writersKey(), func(value []byte) ([]byte, error) {
		w, err := readWriters(value)
		if err != nil {
			return nil, err
		}
		w.Epoch = max(w.Epoch, epoch)
		if free := slices.DeleteFunc(w.Free[writer], func(n string) bool { return n == name }); len(free) > 0 {
			w.Free[writer] = free
		} else {
			delete(w.Free, writer)
		}
		return json.Marshal(w)
	})
}

// cutLast cuts at the last separator.
func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
