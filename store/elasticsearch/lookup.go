package elasticsearch

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// An id is unique within the index that is written to, by its create. In the
// generations before it has to be looked for. That of a UUID of version 7 which
// was made after the index was opened cannot be there, with two exceptions: a
// clock that differs, and an id that was dated ahead. So [skew] is allowed for,
// and ids dated farther ahead are remembered (layout.far) before their records
// are stored: up to there every id is looked for.

const (
	skew   = time.Hour
	farKey = "far"
)

// madeAt gives the milliseconds in a UUID of version 7.
func madeAt(id audit.ID) (ms int64, ok bool) {
	if id[6]>>4 != 7 {
		return 0, false
	}
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return ms, true
}

// lookBack gives the verdict on entries that an older generation has.
func (s *Store) lookBack(ctx context.Context, l *layout, entries []*entry) error {
	if err := s.noteFar(ctx, l, entries); err != nil {
		return err
	}
	if len(l.generations) == 1 {
		return nil
	}
	suspects := map[string]*entry{}
	var ids []string
	after := l.opened.Add(skew).UnixMilli()
	for _, e := range entries {
		if e.Settled() {
			continue
		}
		if ms, ok := madeAt(e.Rec.ID); ok && ms > after && ms > l.far && !e.look && (e.op == nil || !e.op.again) {
			continue
		}
		suspects[e.id] = e
		ids = append(ids, e.id)
	}
	if len(ids) == 0 {
		return nil
	}
	older := make([]string, len(l.older()))
	for i, g := range l.older() {
		older[i] = s.generation(g)
	}
	// They are closed, and what was written to them is visible: see succeed.
	found, err := s.search(ctx, "/"+joined(older), object{
		"query": object{"ids": object{"values": ids}}, "size": len(ids), "_source": false, "track_total_hits": false,
	}, "ignore_unavailable=true") // one may have been dropped by retention
	if err != nil {
		return err
	}
	byIndex := map[string][]*entry{}
	for _, h := range found.Hits.Hits {
		byIndex[h.Index] = append(byIndex[h.Index], suspects[h.ID])
	}
	for index, taken := range byIndex {
		if err := s.readOld(ctx, index, taken); err != nil {
			return err
		}
	}
	return nil
}

// readOld reads what a search has found; what is deleted since is not there.
func (s *Store) readOld(ctx context.Context, index string, taken []*entry) error {
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
		if found[i] != nil {
			e.Found(found[i], e.op != nil && e.op.again)
		}
	}
	return nil
}

// joined makes the part of a path that names several indices.
func joined(indices []string) string {
	for i := range indices {
		indices[i] = url.PathEscape(indices[i])
	}
	return strings.Join(indices, ",")
}

// noteFar remembers how far ahead the ids of the entries are dated.
func (s *Store) noteFar(ctx context.Context, l *layout, entries []*entry) error {
	most := int64(0)
	free := s.opt.Now().Add(skew / 2).UnixMilli()
	for _, e := range entries {
		if ms, ok := madeAt(e.Rec.ID); ok && ms > free {
			most = max(most, ms)
		}
	}
	s.layout.mu.Lock()
	known := l.far
	s.layout.mu.Unlock()
	if most <= known {
		return nil
	}
	for {
		doc, at, err := s.getMeta(ctx, farKey)
		if err != nil {
			return err
		}
		if doc == nil || doc.Number < most {
			moved, err := s.putMeta(ctx, farKey, &metaDoc{Type: "far", Number: most}, at)
			if err != nil {
				return err
			}
			if moved {
				continue
			}
		}
		s.layout.mu.Lock()
		l.far = max(l.far, most)
		s.layout.mu.Unlock()
		return nil
	}
}

func (s *Store) readFar(ctx context.Context) (int64, error) {
	doc, _, err := s.getMeta(ctx, farKey)
	if err != nil || doc == nil {
		return 0, err
	}
	return doc.Number, nil
}

// get reads documents of one index by id, as they are at this moment; nil is
// none.
func (s *Store) get(ctx context.Context, index string, ids []string) ([]*audit.Record, error) {
	out := make([]*audit.Record, len(ids))
	err := s.mget(ctx, withSource, wanted{index, object{"ids": ids}, len(ids)}, func(i int, d *document) (err error) {
		out[i], err = decode(d.Source)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Get implements audit.Store; it sees what was written at once.
func (s *Store) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if ref.ID.IsZero() {
		return nil, audit.ErrNotFound
	}
	for again := false; ; again = true {
		l, err := s.known(ctx)
		if err != nil {
			return nil, err
		}
		found, err := s.getAnywhere(ctx, l, []string{documentID(ref)})
		if err != nil {
			return nil, err
		}
		if found[0] != nil {
			return found[0], nil
		}
		// There may be a generation that this process does not know yet.
		if again {
			return nil, audit.ErrNotFound
		}
		fresh, open, err := s.findGenerations(ctx)
		if err != nil {
			return nil, err
		}
		if open && fresh.writing() == l.writing() {
			return nil, audit.ErrNotFound
		}
		s.forget(l)
	}
}

// getAnywhere reads documents by id from whichever index has them.
func (s *Store) getAnywhere(ctx context.Context, l *layout, ids []string) ([]*audit.Record, error) {
	type place struct {
		Index string `json:"_index"`
		ID    string `json:"_id"`
	}
	var indices []string
	for _, g := range l.generations {
		indices = append(indices, s.generation(g))
	}
	var docs []place
	for _, id := range ids {
		for _, index := range indices {
			docs = append(docs, place{index, id})
		}
	}
	out := make([]*audit.Record, len(ids))
	err := s.mget(ctx, withSource, wanted{body: object{"docs": docs}, n: len(docs)}, func(i int, d *document) (err error) {
		out[i/len(indices)], err = decode(d.Source)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
