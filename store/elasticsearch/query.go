package elasticsearch

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

func hexOf(id audit.ID) string { return hex.EncodeToString(id[:]) }

// maxHits is how many records one search gives at most.
const maxHits = 1000

// Query implements audit.Store. Records of different scopes may share one
// position; a page then holds all of them, even past the limit, so that the
// position where it ends leaves nothing out.
func (s *Store) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	limit := q.Limit
	if limit <= 0 {
		limit = audit.DefaultLimit
	}
	if asksForAnchors(q) {
		// Verification asks for them, after it has walked the chain they account for.
		if err := s.refresh(ctx, s.readAlias()); err != nil {
			return nil, err
		}
	}
	c, err := s.cursor(q)
	if err != nil {
		return nil, err
	}
	page := &audit.Page{}
	for {
		some, err := c.next(ctx, limit-len(page.Records)+1)
		if err != nil {
			return nil, err
		}
		for _, r := range some {
			if n := len(page.Records); n >= limit {
				if last := page.Records[n-1].Position(); r.Position() != last {
					page.Next = last
					return page, nil
				}
			}
			page.Records = append(page.Records, r)
		}
		if c.done {
			return page, nil
		}
	}
}

func asksForAnchors(q *audit.Query) bool {
	for i := range q.Filters {
		if f := &q.Filters[i]; f.Field == "kind" && f.Op == audit.OpIs && slices.Contains(f.Values, string(audit.KindPrune)) {
			return true
		}
	}
	return false
}

// cursor reads what a question selects, in its order, page by page.
type cursor struct {
	s     *Store
	q     *audit.Query
	where *where
	after []any // the sort values of the last hit
	pit   string
	pages pager
	last  *audit.Record
	done  bool
}

// cursor makes one that begins after q.After.
func (s *Store) cursor(q *audit.Query) (*cursor, error) {
	if q.Text != "" && s.opt.NoFullText {
		return nil, audit.Unsupported("full text search is switched off for this store")
	}
	w, err := conditions(q)
	if err != nil {
		return nil, err
	}
	c := &cursor{s: s, q: q, where: w}
	if !q.After.IsZero() {
		// Everything at that position was given: of all scopes.
		at, id := q.After.OccurredAt.UnixMicro(), hexOf(q.After.ID)
		beyond := "lt"
		if q.Order == audit.OldestFirst {
			beyond = "gt"
		}
		w.must = append(w.must,
			object{"range": object{"occurred_at": object{beyond + "e": at}}},
			anyOf(object{"range": object{"occurred_at": object{beyond: at}}}, object{"range": object{"id": object{beyond: id}}}))
	}
	return c, nil
}

// order is the total order of records, with the scope as its last part: records
// of different scopes may share a position.
func (c *cursor) order() []any {
	way := "desc"
	if c.q.Order == audit.OldestFirst {
		way = "asc"
	}
	return []any{
		object{"occurred_at": way}, object{"id": way},
		object{"namespace": object{"order": way, "missing": "_last"}}, object{"tenant": object{"order": way, "missing": "_last"}},
	}
}

// next reads at least one record more, and about n, unless there are no more.
func (c *cursor) next(ctx context.Context, n int) ([]*audit.Record, error) {
	if c.q.Open {
		return c.nextOpen(ctx, n)
	}
	return c.read(ctx, n)
}

// read reads one page of candidates.
func (c *cursor) read(ctx context.Context, n int) ([]*audit.Record, error) {
	body := object{"query": c.where.query(), "sort": c.order(), "track_total_hits": false}
	path := "/" + c.s.readAlias()
	if c.pit != "" {
		body["pit"] = object{"id": c.pit, "keep_alive": keepAlive}
		path = ""
	}
	if c.after != nil {
		body["search_after"] = c.after
	}
	c.pages.s = c.s
	f, n, err := c.pages.read(ctx, path, body, n)
	if err != nil {
		return nil, err
	}
	if f.PIT != "" {
		c.pit = f.PIT
	}
	hits := f.Hits.Hits
	c.done = len(hits) < n
	if len(hits) == 0 {
		return nil, nil
	}
	c.after = nil
	for _, v := range hits[len(hits)-1].Sort {
		c.after = append(c.after, v)
	}
	recs := make([]*audit.Record, 0, len(hits))
	for i := range hits {
		r, err := decode(hits[i].Source)
		if err != nil {
			return nil, err
		}
		// One that moves from a generation to another is there twice for a moment.
		if c.last != nil && c.last.Ref() == r.Ref() && intake.Identical(c.last, r) {
			continue
		}
		c.last = r
		recs = append(recs, r)
	}
	return recs, nil
}

// Count implements audit.Counter.
func (s *Store) Count(ctx context.Context, q *audit.Query) (int64, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	all := *q
	all.After = audit.Position{}
	if all.Open {
		var n int64
		err := s.walk(ctx, &all, func(*audit.Record) error { n++; return nil })
		return n, err
	}
	c, err := s.cursor(&all)
	if err != nil {
		return 0, err
	}
	return s.count(ctx, s.readAlias(), c.where)
}

func (s *Store) count(ctx context.Context, index string, w *where) (int64, error) {
	f, err := s.search(ctx, "/"+index, object{"query": w.query(), "size": 0, "track_total_hits": true})
	if err != nil {
		return 0, err
	}
	return f.Hits.Total.Value, nil
}

// Scan implements audit.Scanner over the state at its beginning, where the
// server can hold one; else over a stable order. It starts after q.After.
func (s *Store) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return s.walk(ctx, q, fn)
}

// scanPage is how many records a walk reads at a time.
const scanPage = 1000

func (s *Store) walk(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	c, err := s.cursor(q)
	if err != nil {
		return err
	}
	for first := true; !c.done; first = false {
		recs, err := c.next(ctx, scanPage)
		if err != nil {
			return err
		}
		if first && !c.done {
			if err := c.hold(ctx); err != nil {
				return err
			}
			defer c.release(ctx)
		}
		for _, r := range recs {
			if err := s.interrupted(ctx); err != nil {
				return err
			}
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// number writes a number for a state.
func number(n int64) string { return strconv.FormatInt(n, 10) }
