package conformance

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/model"
	"github.com/annals-dev/annals/store/storetest"
)

// TestProperties does random operations on each engine and on the model, and
// compares every answer.
func TestProperties(t *testing.T) {
	for name, harness := range engines {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "memory" && name != "sqlite" {
				t.Skip("in full runs only: a server takes its time")
			}
			t.Parallel()
			testProperties(t, harness(t))
		})
	}
}

func testProperties(t *testing.T, h storetest.Harness) {
	_, unchained := h.Skip[storetest.Chain]
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{rapid: rt, tb: t, harness: h, store: h.New(t), model: model.New()}
		m.model.Segment = h.Segment
		defer func() {
			if err := m.store.Close(); err != nil {
				rt.Errorf("Close: %v", err)
			}
		}()
		actions := map[string]func(*rapid.T){
			"append": func(*rapid.T) { m.append(false) },
			"get":    func(*rapid.T) { m.get() },
			"page":   func(*rapid.T) { m.page() },
			"count":  func(*rapid.T) { m.count() },
			"delete": func(*rapid.T) { m.delete() },
			"reopen": func(*rapid.T) { m.reopen() },
		}
		if !unchained {
			actions["append chained"] = func(*rapid.T) { m.append(true) }
			actions["verify"] = func(*rapid.T) { m.verify() }
			actions[""] = func(*rapid.T) { m.heads() } // after every step
		}
		rt.Repeat(actions)
		m.everything()
	})
}

type machine struct {
	rapid   *rapid.T
	tb      testing.TB
	harness storetest.Harness
	store   audit.Store
	model   *model.Model
}

var ctx = context.Background()

// seed gives a random source for the generators of storetest.
func (m *machine) seed() uint64 { return rapid.Uint64Range(0, 1<<20).Draw(m.rapid, "seed") }

func (m *machine) settle() {
	if m.harness.Settle != nil {
		m.harness.Settle(m.tb, m.store)
	}
}

// append writes new records among repeated and contradicting ones.
func (m *machine) append(chained bool) {
	seed := m.seed()
	r := storetest.NewRand(seed)
	batch := storetest.Corpus(seed, rapid.IntRange(0, 12).Draw(m.rapid, "new"))
	for range rapid.IntRange(0, 3).Draw(m.rapid, "old") {
		if known := append(slices.Clone(m.model.Records()), batch...); len(known) > 0 {
			again := storetest.Clone(known[r.IntN(len(known))])
			again.Sequence, again.Segment, again.PrevHash, again.Hash = 0, "", audit.Digest{}, audit.Digest{}
			if r.IntN(3) == 0 {
				again.Rule += "!"
			}
			batch = slices.Insert(batch, r.IntN(len(batch)+1), again)
		}
	}
	given := storetest.CloneAll(batch)
	var want, got []audit.Result
	var err error
	if chained {
		want = m.model.AppendChained(given)
		appender, _ := audit.As[chain.Appender](m.store)
		got, err = appender.AppendChained(ctx, batch)
	} else {
		want = m.model.Append(given)
		got, err = m.store.Append(ctx, batch)
	}
	if err != nil || len(got) != len(want) {
		m.rapid.Fatalf("Append: %d results for %d records, %v", len(got), len(want), err)
	}
	for i := range want {
		same := got[i].Duplicate == want[i].Duplicate && got[i].Sequence == want[i].Sequence && got[i].Hash == want[i].Hash
		if !same || !errors.Is(got[i].Err, want[i].Err) {
			m.rapid.Fatalf("Append: record %d got %+v, want %+v", i, got[i], want[i])
		}
	}
	m.settle()
}

func (m *machine) get() {
	recs := m.model.Records()
	ref := audit.Ref{Namespace: "prod", ID: audit.NewID()}
	if len(recs) > 0 && rapid.Bool().Draw(m.rapid, "known") {
		ref = recs[rapid.IntRange(0, len(recs)-1).Draw(m.rapid, "which")].Ref()
	}
	got, err := m.store.Get(ctx, ref)
	if want := m.model.Get(ref); want == nil {
		if audit.CodeOf(err) != audit.CodeNotFound {
			m.rapid.Fatalf("Get(%v): %v, %v, want not_found", ref, got, err)
		}
	} else if err != nil || storetest.Diff(want, got) != "" {
		m.rapid.Fatalf("Get(%v): %v\n%s", ref, err, storetest.Diff(want, got))
	}
}

func (m *machine) question() *audit.Query {
	q := storetest.RandomQuery(storetest.NewRand(m.seed()), m.model.Records()...)
	if q.Text != "" && !m.store.Capabilities().Text {
		q.Text = ""
	}
	return q
}

// page asks for one page, from the start or from any place.
func (m *machine) page() {
	q := m.question()
	if recs := m.model.Records(); len(recs) > 0 && rapid.Bool().Draw(m.rapid, "from a place") {
		q.After = recs[rapid.IntRange(0, len(recs)-1).Draw(m.rapid, "place")].Position()
	}
	m.compare(q, m.model.Answer(q))
}

// compare wants the page to be the beginning of the answer, and the next page
// announced exactly when there is more.
func (m *machine) compare(q *audit.Query, want []*audit.Record) {
	page, err := m.store.Query(ctx, q)
	if err != nil {
		m.rapid.Fatalf("Query %+v: %v", *q, err)
	}
	got := page.Records
	if len(got) < min(q.Limit, len(want)) || len(got) > len(want) {
		m.rapid.Fatalf("Query %+v: %d records, the answer has %d", *q, len(got), len(want))
	}
	expected := map[audit.Ref]*audit.Record{}
	for _, r := range want[:len(got)] {
		expected[r.Ref()] = r
	}
	for i, r := range got {
		// Scopes may come in any order where they share a position.
		if r.Position() != want[i].Position() {
			m.rapid.Fatalf("Query %+v: record %d is out of order", *q, i)
		}
		if d := storetest.Diff(expected[r.Ref()], r); d != "" {
			m.rapid.Fatalf("Query %+v: record %d\n%s", *q, i, d)
		}
		delete(expected, r.Ref())
	}
	if more := len(got) < len(want); more == page.Next.IsZero() {
		m.rapid.Fatalf("Query %+v: %d of %d records, and the next page is %+v", *q, len(got), len(want), page.Next)
	}
}

func (m *machine) count() {
	counter, ok := audit.As[audit.Counter](m.store)
	if !ok {
		return
	}
	q := m.question()
	want := int64(len(m.model.Answer(q)))
	if got, err := counter.Count(ctx, q); err != nil || got != want {
		m.rapid.Fatalf("Count %+v: %d, %v, want %d", *q, got, err, want)
	}
}

// delete runs one step of retention with random bounds and holds.
func (m *machine) delete() {
	r := storetest.NewRand(m.seed())
	cut := audit.Cut{Reason: "test"}
	if r.IntN(3) > 0 {
		cut.ExpiredAt = storetest.CorpusStart.Add(time.Duration(r.IntN(100)) * time.Hour)
	}
	if r.IntN(3) == 0 {
		cut.RecordedBefore = storetest.CorpusStart.Add(storetest.CorpusSpan/2 + time.Duration(r.IntN(48))*time.Hour)
	}
	for range r.IntN(3) {
		if hold, err := (&audit.Query{Filters: []audit.Filter{storetest.RandomFilter(r, m.model.Records()...)}}).Validate(); err == nil {
			cut.Holds = append(cut.Holds, hold)
		}
	}
	limit := rapid.IntRange(0, 20).Draw(m.rapid, "limit")
	want := min(limit, m.model.Expired(&cut))
	n, err := m.store.DeleteExpired(ctx, cut, limit)
	if err != nil || n != want {
		m.rapid.Fatalf("DeleteExpired with limit %d: %d, %v, want %d", limit, n, err, want)
	}
	m.settle()
	if err := m.model.Delete(&cut, n, m.all()); err != nil {
		m.rapid.Fatalf("DeleteExpired: %v", err)
	}
}

// all gives everything that the store holds.
func (m *machine) all() (out []*audit.Record) {
	q := &audit.Query{Limit: audit.MaxLimit}
	for {
		page, err := m.store.Query(ctx, q)
		if err != nil {
			m.rapid.Fatalf("Query: %v", err)
		}
		out = append(out, page.Records...)
		if page.Next.IsZero() {
			return out
		}
		q.After = page.Next
	}
}

// everything compares all that is stored, in both orders.
func (m *machine) everything() {
	for _, order := range []audit.Order{audit.NewestFirst, audit.OldestFirst} {
		q := &audit.Query{Order: order, Limit: audit.MaxLimit}
		m.compare(q, m.model.Answer(q))
	}
}

// heads compares the heads of all chains.
func (m *machine) heads() {
	reader, _ := audit.As[chain.Reader](m.store)
	got, err := reader.Heads(ctx, nil)
	if want := m.model.Heads(); err != nil || !slices.Equal(got, want) {
		m.rapid.Fatalf("Heads: %+v, %v, want %+v", got, err, want)
	}
}

// source is a store and the chain reader found in it.
type source struct {
	audit.Store
	chain.Reader
}

func (m *machine) verify() {
	reader, _ := audit.As[chain.Reader](m.store)
	for _, head := range m.model.Heads() {
		report, err := chain.Verify(ctx, source{m.store, reader}, head.Key, chain.VerifyOptions{})
		if err != nil || !report.Valid {
			m.rapid.Fatalf("Verify %+v: %v, %+v", head.Key, err, report)
		}
	}
}

// reopen closes the store and opens it again, where that keeps the data.
func (m *machine) reopen() {
	if m.harness.Reopen != nil {
		m.store = m.harness.Reopen(m.tb, m.store)
		m.settle()
	}
}
