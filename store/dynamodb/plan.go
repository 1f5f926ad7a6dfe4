package dynamodb

import (
	"context"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// source gives records in the order of a question; nil at the end.
type source interface {
	next(ctx context.Context) (*audit.Record, error)
}

// listed is a source whose records were all read at once.
type listed struct{ recs []*audit.Record }

func (l *listed) next(context.Context) (*audit.Record, error) {
	if len(l.recs) == 0 {
		return nil, nil
	}
	r := l.recs[0]
	l.recs = l.recs[1:]
	return r, nil
}

// Limits of the plans that read single records.
const (
	maxByKey      = 1000 // keys
	maxBySequence = 200  // places in chains
)

// plan gives the sources that together have every record that the question
// selects, in its order; none of them gives a record of another. want is how many
// records are likely to be taken, 0 is all.
//
// By id the table itself is asked, by action its index, by a few places in a
// chain theirs; anchors are found by what was noted of them. Everything else is
// asked of the index over time, of each scope that the question leaves.
func (s *Store) plan(ctx context.Context, q *audit.Query, want int) ([]source, error) {
	var ids, actions, sequences *audit.Filter
	anchors := false
	for i := range q.Filters {
		f := &q.Filters[i]
		if f.Op != audit.OpIs {
			continue
		}
		switch f.Field {
		case "id":
			ids = f
		case "action_id":
			if !slices.Contains(f.Values, "") {
				actions = f
			}
		case "sequence":
			if !slices.Contains(f.Values, "0") {
				sequences = f
			}
		case "kind":
			anchors = len(f.Values) == 1 && f.Values[0] == string(audit.KindPrune)
		}
	}
	if actions != nil && ids == nil {
		x := filterOf(q, attrActionID, false)
		var out []source
		for _, id := range actions.Values {
			out = append(out, s.newStream(q, indexAction, attrActionID, id, x, want))
		}
		return out, nil
	}
	parts, err := s.scopesOf(ctx, q)
	if err != nil || len(parts) == 0 {
		return nil, err
	}
	switch {
	case ids != nil && len(parts)*len(ids.Values) <= maxByKey:
		var keys []string
		for _, part := range parts {
			for _, id := range ids.Values {
				keys = append(keys, part+"#"+id)
			}
		}
		return s.byKeys(ctx, q, keys)
	case sequences != nil && len(parts)*len(sequences.Values) <= maxBySequence:
		return s.bySequence(ctx, q, parts, sequences.Values)
	case anchors:
		return s.byNotes(ctx, q, parts)
	}
	return s.byTime(ctx, q, parts, want), nil
}

// scanRoom is about how many records a walk over all scopes holds.
const scanRoom = 50_000

// byTime asks the index over time of each scope.
func (s *Store) byTime(ctx context.Context, q *audit.Query, parts []string, want int) []source {
	x := filterOf(q, "", true)
	each := want
	if want > 0 && len(parts) > 1 {
		each = max(2*want/len(parts), min(8, scanRoom/len(parts)), 1)
	}
	out := make([]source, 0, len(parts))
	for _, part := range parts {
		st := s.newStream(q, indexDispatched, attrPartition, part, x, each)
		if want == 0 {
			st.life = ctx
		}
		if limit := scanRoom / len(parts); limit < maxPage {
			st.limit = int32(max(limit, 8))
			st.most = max(min(st.most, limit), 100)
			if st.page == 0 {
				st.page = st.limit
			}
		}
		out = append(out, st)
	}
	return out
}

// byKeys reads records by the keys of their items, strongly consistent.
func (s *Store) byKeys(ctx context.Context, q *audit.Query, keys []string) ([]source, error) {
	items, err := s.getItems(ctx, keys)
	if err != nil {
		return nil, err
	}
	var recs []*audit.Record
	for _, m := range items {
		r, err := decode(m)
		if err != nil {
			return nil, err
		}
		recs = append(recs, r)
	}
	return inOrder(q, recs), nil
}

// inOrder makes a source of those records that the question selects.
func inOrder(q *audit.Query, recs []*audit.Record) []source {
	st := stream{q: q, after: q.After}
	recs = slices.DeleteFunc(recs, func(r *audit.Record) bool { return !st.past(r.Position()) || !q.Match(r) })
	slices.SortFunc(recs, func(a, b *audit.Record) int {
		if c := st.compare(a.Position(), b.Position()); c != 0 {
			return c
		}
		return strings.Compare(partition(a.Scope()), partition(b.Scope()))
	})
	return []source{&listed{recs}}
}
