package dynamodb

import (
	"container/heap"
	"context"

	"github.com/annals-dev/annals/audit"
)

// merged gives the records of several sources in the order of the question.
type merged struct {
	q     *audit.Query
	heads []head
}

// head is a source and its next record.
type head struct {
	rec *audit.Record
	src source
}

func (m *merged) Len() int { return len(m.heads) }

func (m *merged) Less(i, j int) bool {
	c := m.heads[i].rec.Position().Compare(m.heads[j].rec.Position())
	return c < 0 && m.q.Order == audit.OldestFirst || c > 0 && m.q.Order == audit.NewestFirst
}

func (m *merged) Swap(i, j int) { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }

func (m *merged) Push(x any) { m.heads = append(m.heads, x.(head)) }

func (m *merged) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads[len(m.heads)-1] = head{}
	m.heads = m.heads[:len(m.heads)-1]
	return last
}

// merge starts all sources, several at a time.
func (s *Store) merge(ctx context.Context, q *audit.Query, sources []source) (*merged, error) {
	found := make([]head, len(sources))
	err := s.each(ctx, len(sources), func(ctx context.Context, i int) error {
		r, err := sources[i].next(ctx)
		found[i] = head{r, sources[i]}
		return err
	})
	if err != nil {
		return nil, err
	}
	m := &merged{q: q}
	for _, h := range found {
		if h.rec != nil {
			m.heads = append(m.heads, h)
		}
	}
	heap.Init(m)
	return m, nil
}

// next gives the next record; nil at the end.
func (m *merged) next(ctx context.Context) (*audit.Record, error) {
	if len(m.heads) == 0 {
		return nil, nil
	}
	r := m.heads[0].rec
	following, err := m.heads[0].src.next(ctx)
	if err != nil {
		return nil, err
	}
	if following == nil {
		heap.Pop(m)
	} else {
		m.heads[0].rec = following
		heap.Fix(m, 0)
	}
	return r, nil
}
