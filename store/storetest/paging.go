package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

var orders = []audit.Order{audit.NewestFirst, audit.OldestFirst}

func testPaging(t *testing.T, h *Harness) {
	t.Run("every limit, both orders", func(t *testing.T) { testLimits(t, h) })
	t.Run("with filters", func(t *testing.T) {
		s := h.open(t)
		recs := Corpus(51, 300)
		h.store(t, s, CloneAll(recs))
		r := NewRand(52)
		for range Rounds(40) {
			q := RandomQuery(r, recs...)
			if q.Text != "" && !s.Capabilities().Text {
				q.Text = ""
			}
			q.Limit = pick(r, 1, 3, 10)
			ask(t, s, recs, q)
		}
	})
	t.Run("late arrivals", func(t *testing.T) { testLateArrivals(t, h) })
	t.Run("from any place", func(t *testing.T) { testAnyPlace(t, h) })
	t.Run("one position in several scopes", func(t *testing.T) { testSharedPosition(t, h) })
	t.Run("an empty store", func(t *testing.T) {
		s := h.open(t)
		for _, order := range orders {
			ask(t, s, nil, valid(t, audit.Query{Order: order}))
		}
	})
}

// testLimits pages through records of which most share a time, at limits
// around their number too.
func testLimits(t *testing.T, h *Harness) {
	s := h.open(t)
	var recs []*audit.Record
	for i := range 120 {
		at := CorpusStart
		if i >= 90 {
			at = at.Add(time.Duration(i%5-2) * time.Microsecond)
		}
		recs = append(recs, event(scopeA, at, func(r *audit.Record) { r.ID[0] = byte(i * 37) })) // ids in no order
	}
	h.store(t, s, CloneAll(recs))
	for _, limit := range []int{1, 2, 7, 100, 119, 120, 121, audit.MaxLimit} {
		for _, order := range orders {
			t.Run(fmt.Sprintf("%d %v", limit, order), func(t *testing.T) {
				q := valid(t, audit.Query{Order: order, Limit: limit})
				got := walk(t, s, q)
				sameAnswer(t, "Query", q, recs, got)
				for i, want := range Answer(recs, q) {
					if i < len(got) && got[i].ID != want.ID {
						t.Fatalf("record %d: got %v, want %v: equal times must be ordered by id", i, got[i].ID, want.ID)
					}
				}
			})
		}
	}
}

// testLateArrivals writes on both sides of the cursor during a walk: what was
// there before is seen once, and so is what arrives ahead; nothing behind is.
func testLateArrivals(t *testing.T, h *Harness) {
	for _, order := range orders {
		t.Run(order.String(), func(t *testing.T) {
			s := h.open(t)
			var want []*audit.Record
			at := func(i int) time.Time { return CorpusStart.Add(time.Duration(i) * time.Second) }
			for i := range 40 {
				want = append(want, event(scopeA, at(10*i), nil))
			}
			h.store(t, s, CloneAll(want))
			q := valid(t, audit.Query{Order: order, Limit: 7})
			var got []*audit.Record
			for page := 0; ; page++ {
				p, err := s.Query(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p.Records...)
				if p.Next.IsZero() {
					break
				}
				// Every page adds one record ahead and gives seven, so 40 are through after 7 or 8.
				if page > 20 || !advances(q, p.Next) {
					t.Fatalf("page %d ends at %+v: the walk does not end", page, p.Next)
				}
				q.After = p.Next
				earlier, later := event(scopeA, p.Next.OccurredAt.Add(-time.Millisecond), nil), event(scopeA, p.Next.OccurredAt.Add(time.Millisecond), nil)
				h.store(t, s, []*audit.Record{Clone(earlier), Clone(later)})
				ahead := earlier
				if order == audit.OldestFirst {
					ahead = later
				}
				want = append(want, ahead)
			}
			q.After = audit.Position{}
			sameAnswer(t, "Query", q, want, got)
		})
	}
}

// testAnyPlace starts at positions that no record has, as after a deletion,
// and changes the limit half way.
func testAnyPlace(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := Corpus(53, 60)
	h.store(t, s, CloneAll(recs))
	r := NewRand(54)
	for range Rounds(60) {
		q := valid(t, audit.Query{Order: pick(r, orders...), Limit: 1 + r.IntN(20)})
		q.After = sample(r, recs).Position()
		switch r.IntN(4) {
		case 0:
			q.After.ID = audit.NewID()
		case 1:
			q.After.ID = audit.ID{15: 1}
		case 2:
			q.After.OccurredAt = q.After.OccurredAt.Add(time.Microsecond)
		}
		var want []*audit.Record
		for _, rec := range recs {
			if c := rec.Position().Compare(q.After); c > 0 && q.Order == audit.OldestFirst || c < 0 && q.Order == audit.NewestFirst {
				want = append(want, rec)
			}
		}
		sameAnswer(t, "Query", q, want, walk(t, s, q))
	}
}

// testSharedPosition has the same id at the same time in several scopes, as
// when one file is imported into several tenants: a walk over all of them must
// not lose the others at the end of a page.
func testSharedPosition(t *testing.T, h *Harness) {
	s := h.open(t)
	var recs []*audit.Record
	for i := range 5 {
		first := event(scopeA, CorpusStart.Add(time.Duration(i/2)*time.Second), nil)
		for tenant := range 4 {
			r := Clone(first)
			r.Tenant = fmt.Sprint(tenant)
			recs = append(recs, r)
		}
	}
	h.store(t, s, CloneAll(recs))
	for _, order := range orders {
		for _, limit := range []int{1, 2, 3, 4, 5, 7, 19, 20, 21} {
			ask(t, s, recs, valid(t, audit.Query{Order: order, Limit: limit}))
			ask(t, s, recs, valid(t, audit.Query{Order: order, Limit: limit, Filters: []audit.Filter{audit.Not("tenant", "2")}}))
		}
	}
}
