package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// newHeld opens a store whose holds are applied quickly.
func newHeld(t *testing.T) (*Store, *clock) {
	return newTTL(t, func(o *Options) { o.Timeout, o.CallTimeout = 500*time.Millisecond, 500*time.Millisecond })
}

func hold(t *testing.T, q audit.Query) *audit.Query {
	t.Helper()
	v, err := q.Validate()
	if err != nil {
		t.Fatal(err)
	}
	v.Limit = 0
	return v
}

// keep writes the holds as package retention does.
func keep(t *testing.T, s *Store, holds ...*audit.Query) {
	t.Helper()
	type kept struct {
		ID     string `json:"id"`
		Params string `json:"params"`
	}
	list := []kept{}
	for _, h := range holds {
		list = append(list, kept{audit.NewID().String(), h.Params().Encode()})
	}
	doc, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	_, version, err := s.Load(t.Context(), audit.HoldsKey)
	if err != nil && !errors.Is(err, audit.ErrNotFound) {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), audit.HoldsKey, doc, version); err != nil {
		t.Fatal(err)
	}
}

// wantTTL checks which records DynamoDB may delete.
func wantTTL(t *testing.T, s *Store, recs []*audit.Record, want func(i int) bool) {
	t.Helper()
	for i, r := range recs {
		m := attributesOf(t, s, r)
		_, has := m[attrTTL]
		_, held := m[attrHeld]
		if has != want(i) || held == want(i) {
			t.Errorf("record %d: TTL %v, held %v, want TTL %v", i, has, held, want(i))
		}
		if r.Sequence == 0 {
			continue
		}
		fence, err := s.getItem(t.Context(), fenceKey(partition(r.Scope()), r.Segment, r.Sequence))
		if err != nil {
			t.Fatal(err)
		}
		if _, due := fence[attrDispatched]; due != want(i) {
			t.Errorf("the fence of record %d: due %v, want %v", i, due, want(i))
		}
	}
}

// A hold takes their time from the records that it selects, those that come
// later among them, and its end gives it back.
func TestHoldsAndTTL(t *testing.T) {
	inFullRuns(t)
	s, clock := newHeld(t)
	make20 := func() []*audit.Record {
		return events(scopeA, clock.at, 20, func(i int, r *audit.Record) {
			r.ExpiresAt = clock.at.Add(dueIn)
			r.Resource.ID = []string{"x", "y", "z", ""}[i%4]
		})
	}
	inside, outside, later := make20(), make20(), make20()
	appendChained(t, s, inside)
	if _, err := s.Append(t.Context(), outside); err != nil {
		t.Fatal(err)
	}
	holdX := hold(t, audit.Query{Filters: []audit.Filter{audit.Is("resource", "x")}})
	holdXY := hold(t, audit.Query{Filters: []audit.Filter{audit.Is("resource", "x", "y")}})
	apply := func(holds ...*audit.Query) {
		t.Helper()
		keep(t, s, holds...)
		if err := s.ApplyHolds(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	free := func(int) bool { return true }
	wantTTL(t, s, inside, free)
	apply(holdX, holdXY)
	onlyZ := func(i int) bool { return i%4 >= 2 }
	wantTTL(t, s, inside, onlyZ)
	wantTTL(t, s, outside, onlyZ)
	other := open(t, s.opt) // another process
	if _, err := other.AppendFresh(t.Context(), later[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := other.AppendChained(t.Context(), later[10:]); err != nil {
		t.Fatal(err)
	}
	wantTTL(t, s, later, onlyZ)

	// What is held and gone all the same was not TTL's doing.
	clock.at = clock.at.Add(dueIn + time.Hour)
	eat(t, s, inside[4])
	if report := verify(t, s, scopeA); report.Valid || report.FirstBroken.Sequence != 5 {
		t.Errorf("a held record was deleted: %+v", report)
	}
	clock.at = clock.at.Add(-dueIn - time.Hour)
	inside = append(inside[:4], inside[5:]...)

	// The hold that ends leaves what the other holds.
	apply(holdX)
	for i, r := range later {
		m := attributesOf(t, s, r)
		if _, has := m[attrTTL]; has != (i%4 != 0) {
			t.Errorf("record %d: TTL %v", i, has)
		}
	}
	apply()
	wantTTL(t, s, inside, free)
	wantTTL(t, s, outside, free)
	wantTTL(t, s, later, free)

	// Nothing to do is quick: it writes nothing and waits for nothing.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.ApplyHolds(ctx); err != nil {
		t.Error(err)
	}
}

// A change that was cut off is finished by the next call.
func TestHoldsAfterAnInterruption(t *testing.T) {
	s, clock := newHeld(t)
	recs := events(scopeA, clock.at, 10, func(_ int, r *audit.Record) { r.ExpiresAt = clock.at.Add(dueIn) })
	appendChained(t, s, recs)
	everything := hold(t, audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}})
	keep(t, s, everything)
	ctx, cancel := context.WithCancel(t.Context())
	stop := time.AfterFunc(300*time.Millisecond, cancel) // while it waits for writers
	defer stop.Stop()
	if err := s.ApplyHolds(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	kept, _, err := s.loadHolds(t.Context())
	if err != nil || kept.Applied || len(kept.Params) != 1 {
		t.Fatalf("%+v, %v", kept, err)
	}
	if err := s.ApplyHolds(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantTTL(t, s, recs, func(int) bool { return false })
	if kept, _, err = s.loadHolds(t.Context()); err != nil || !kept.Applied {
		t.Errorf("%+v, %v", kept, err)
	}
	// Retention heeds it too, whatever the cut says of the ceiling.
	n, err := s.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: clock.at.Add(1000 * time.Hour), Holds: []*audit.Query{everything}}, 100)
	if n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// Of two changes at the same time the later list wins, whoever began first, and
// what it holds is never freed for good.
func TestHoldsChangedAtTheSameTime(t *testing.T) {
	s, clock := newHeld(t)
	recs := events(scopeA, clock.at, 12, func(i int, r *audit.Record) {
		r.ExpiresAt, r.Resource.ID = clock.at.Add(dueIn), []string{"x", "y"}[i%2]
	})
	appendChained(t, s, recs)
	x := hold(t, audit.Query{Filters: []audit.Filter{audit.Is("resource", "x")}})
	y := hold(t, audit.Query{Filters: []audit.Filter{audit.Is("resource", "y")}})
	keep(t, s, x)
	first := make(chan error, 1)
	go func() { first <- s.ApplyHolds(t.Context()) }()
	for { // until the first has announced its list
		kept, _, err := s.loadHolds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(kept.Params) == 1 {
			break
		}
	}
	keep(t, s, y)
	other := open(t, s.opt)
	if err := other.ApplyHolds(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	wantTTL(t, s, recs, func(i int) bool { return i%2 == 0 })
	if kept, _, err := s.loadHolds(t.Context()); err != nil || !kept.Applied || len(kept.Ended) != 0 {
		t.Errorf("%+v, %v", kept, err)
	}
}
