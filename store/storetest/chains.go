package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// chained is a store with the capabilities of a chain.
type chained struct {
	audit.Store
	chain.Appender
	chain.Reader
}

func (h *Harness) openChained(t *testing.T) chained {
	t.Helper()
	s := h.open(t)
	return asChained(t, s)
}

func asChained(t *testing.T, s audit.Store) chained {
	t.Helper()
	return chained{s, capability[chain.Appender](t, s), capability[chain.Reader](t, s)}
}

// storeChained appends the records, which get their positions, and wants every
// one of them stored anew.
func (h *Harness) storeChained(t *testing.T, s chained, recs []*audit.Record) {
	t.Helper()
	results, err := s.AppendChained(t.Context(), recs)
	if err != nil {
		t.Fatalf("AppendChained: %v", err)
	}
	if len(results) != len(recs) {
		t.Fatalf("AppendChained gave %d results for %d records", len(results), len(recs))
	}
	for i, r := range results {
		if r.Err != nil || r.Duplicate || r.Sequence < 1 || r.Hash.IsZero() || r.Sequence != recs[i].Sequence || r.Hash != recs[i].Hash {
			t.Fatalf("AppendChained: record %d at %d got %+v", i, recs[i].Sequence, r)
		}
	}
	h.settle(t, s.Store)
}

// heads gives the heads of all chains of the scope.
func (s chained) heads(t *testing.T, scope *audit.Scope) []chain.Head {
	t.Helper()
	heads, err := s.Heads(t.Context(), scope)
	if err != nil {
		t.Fatalf("Heads: %v", err)
	}
	for i := 1; i < len(heads); i++ {
		a, b := heads[i-1].Key, heads[i].Key
		if a.Namespace > b.Namespace || a.Namespace == b.Namespace && (a.Tenant > b.Tenant || a.Tenant == b.Tenant && a.Segment >= b.Segment) {
			t.Errorf("Heads are not in order: %+v before %+v", a, b)
		}
	}
	return heads
}

// links gives the stored records of one chain in [from, to].
func (s chained) links(t *testing.T, key chain.Key, from, to int64) []*audit.Record {
	t.Helper()
	var out []*audit.Record
	err := s.Walk(t.Context(), key, from, to, func(recs []*audit.Record) error {
		if len(recs) == 0 {
			t.Error("Walk calls fn without records")
		}
		out = append(out, CloneAll(recs)...)
		return nil
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	for i, r := range out {
		if r.Sequence < from || r.Sequence > to || i > 0 && out[i-1].Sequence >= r.Sequence || chain.KeyOf(r) != key {
			t.Fatalf("Walk %+v [%d, %d]: record %d has sequence %d of %+v", key, from, to, i, r.Sequence, chain.KeyOf(r))
		}
	}
	return out
}

// verify checks every chain of the store by chain.Verify, and by hand that all
// want records are in them, each at the position and with the content given.
func (s chained) verify(t *testing.T, want []*audit.Record) {
	t.Helper()
	place := map[audit.Ref]*audit.Record{}
	for _, head := range s.heads(t, nil) {
		report, err := chain.Verify(t.Context(), s, head.Key, chain.VerifyOptions{})
		if err != nil {
			t.Fatalf("Verify: %v", err)
		}
		if !report.Valid {
			t.Errorf("chain %+v is not valid: %+v", head.Key, report.FirstBroken)
		}
		if report.Head != head {
			t.Errorf("Verify gives the head %+v, Heads %+v", report.Head, head)
		}
		for _, r := range s.links(t, head.Key, 1, math.MaxInt64) {
			place[r.Ref()] = r
		}
	}
	for _, w := range want {
		if d := Diff(w, place[w.Ref()]); d != "" {
			t.Fatalf("%v in its chain:\n%s", w.Ref(), d)
		}
	}
}

func testChain(t *testing.T, h *Harness) {
	t.Run("several scopes in a batch", func(t *testing.T) { testChainBatch(t, h) })
	t.Run("duplicates and conflicts take no place", func(t *testing.T) { testChainDuplicates(t, h) })
	t.Run("walks", func(t *testing.T) { testChainWalk(t, h) })
	t.Run("beside records outside", func(t *testing.T) { testUnchained(t, h) })
	t.Run("every field is covered", func(t *testing.T) {
		s := h.openChained(t)
		recs := fieldRecords(s.Capabilities().RecordBytes)
		h.storeChained(t, s, recs)
		s.verify(t, recs)
	})
	t.Run("records that nobody has sent before", func(t *testing.T) { testFreshChained(t, h) })
	t.Run("writers at once", func(t *testing.T) { testChainWriters(t, h) })
}

func testChainBatch(t *testing.T, h *Harness) {
	s := h.openChained(t)
	if heads := s.heads(t, nil); len(heads) != 0 {
		t.Fatalf("an empty store has heads: %+v", heads)
	}
	recs := Corpus(91, 300)
	given := CloneAll(recs)
	for i := 0; i < len(recs); i += 60 {
		h.storeChained(t, s, recs[i:i+60])
	}
	last := map[chain.Key]int64{}
	for i, r := range recs {
		key := chain.KeyOf(r)
		if last[key]++; r.Sequence != last[key] {
			t.Errorf("record %d is at %d, want %d: the order of the batch rules", i, r.Sequence, last[key])
		}
		given[i].Sequence, given[i].Segment, given[i].PrevHash, given[i].Hash = r.Sequence, r.Segment, r.PrevHash, r.Hash
		if d := Diff(given[i], r); d != "" {
			t.Errorf("AppendChained changed more than the position:\n%s", d)
		}
		if hash, _ := chain.HashOf(r, nil); hash != r.Hash {
			t.Errorf("record %d: its hash is not that of its content", i)
		}
	}
	heads := s.heads(t, nil)
	if len(heads) != len(last) {
		t.Errorf("%d heads for %d chains", len(heads), len(last))
	}
	for _, head := range heads {
		if head.Sequence != last[head.Key] {
			t.Errorf("head %+v, want sequence %d", head, last[head.Key])
		}
		if one := s.heads(t, &head.Scope); len(one) != 1 || one[0] != head {
			t.Errorf("Heads of %+v: %+v, want %+v", head.Scope, one, head)
		}
	}
	if none := s.heads(t, &audit.Scope{Namespace: "nobody"}); len(none) != 0 {
		t.Errorf("Heads of an unknown scope: %+v", none)
	}
	s.verify(t, recs)
	q := valid(t, audit.Query{Limit: audit.MaxLimit})
	ask(t, s, recs, q) // questions give the positions too
	for _, n := range []string{"1", "2", "7"} {
		ask(t, s, recs, valid(t, audit.Query{Filters: []audit.Filter{audit.Is("sequence", n)}}))
	}
	for _, r := range recs[:20] {
		if got, err := s.Get(t.Context(), r.Ref()); err != nil || Diff(r, got) != "" {
			t.Errorf("Get: %v\n%s", err, Diff(r, got))
		}
	}
}

func testChainDuplicates(t *testing.T, h *Harness) {
	s := h.openChained(t)
	first := []*audit.Record{event(scopeA, CorpusStart, nil), event(scopeA, CorpusStart, nil)}
	h.storeChained(t, s, first)
	plain := event(scopeA, CorpusStart, nil)
	h.store(t, s, []*audit.Record{plain})

	again := unchained(first[1])
	again.RecordedAt, again.Level = again.RecordedAt.Add(time.Hour), "other"
	conflict := unchained(first[0])
	conflict.Error = "changed"
	fresh := event(scopeA, CorpusStart, nil)
	last := event(scopeA, CorpusStart, nil)
	batch := []*audit.Record{again, conflict, Clone(conflict), unchained(first[0]), fresh, unchained(fresh), unchained(plain), last}
	before := [2]*audit.Record{Clone(again), Clone(conflict)}
	results, err := s.AppendChained(t.Context(), batch)
	if err != nil || len(results) != len(batch) {
		t.Fatalf("got %+v, %v", results, err)
	}
	for i, want := range []audit.Result{
		{Duplicate: true, Sequence: 2, Hash: first[1].Hash},
		{Err: audit.ErrConflict},
		{Err: audit.ErrConflict}, // it repeats what was not stored
		{Duplicate: true, Sequence: 1, Hash: first[0].Hash},
		{Sequence: 3, Hash: fresh.Hash},
		{Duplicate: true, Sequence: 3, Hash: fresh.Hash},
		{Duplicate: true}, // it was stored outside the chain, and stays there
		{Sequence: 4, Hash: last.Hash},
	} {
		got := results[i]
		if !errors.Is(got.Err, want.Err) || got.Duplicate != want.Duplicate || got.Sequence != want.Sequence || got.Hash != want.Hash {
			t.Errorf("record %d: got %+v, want %+v", i, got, want)
		}
	}
	if d := Diff(before[0], again) + Diff(before[1], conflict); d != "" {
		t.Errorf("what is not new must be left alone:\n%s", d)
	}
	if fresh.Sequence != 3 || last.Sequence != 4 {
		t.Errorf("new records are at %d and %d, want 3 and 4", fresh.Sequence, last.Sequence)
	}
	h.settle(t, s)
	s.verify(t, append(first, fresh, last))

	// A batch of nothing new leaves the head alone, also where its positions are set already.
	head := s.heads(t, &scopeA)[0]
	if results, err = s.AppendChained(t.Context(), []*audit.Record{Clone(first[0]), Clone(fresh)}); err != nil || !results[0].Duplicate || results[1].Sequence != 3 {
		t.Errorf("got %+v, %v", results, err)
	}
	// Outside the chain, too, a duplicate is told the place it has.
	want := audit.Result{Duplicate: true, Sequence: 1, Hash: first[0].Hash}
	if results, err = s.Append(t.Context(), []*audit.Record{unchained(first[0])}); err != nil || results[0] != want {
		t.Errorf("Append of a chained record: got %+v, %v, want %+v", results, err, want)
	}
	if now := s.heads(t, &scopeA)[0]; now != head {
		t.Errorf("the head moved from %+v to %+v", head, now)
	}
}

func unchained(r *audit.Record) *audit.Record {
	c := Clone(r)
	c.Sequence, c.Segment, c.PrevHash, c.Hash = 0, "", audit.Digest{}, audit.Digest{}
	return c
}

func testChainWalk(t *testing.T, h *Harness) {
	s := h.openChained(t)
	var recs []*audit.Record
	for i := range 1100 {
		// Times fall as sequences rise: the chain has an order of its own.
		recs = append(recs, event(scopeA, CorpusStart.Add(-time.Duration(i)*time.Second), nil))
	}
	h.storeChained(t, s, recs)
	key := chain.KeyOf(recs[0])
	for _, r := range [][2]int64{{1, 1100}, {1, 1}, {1100, 1100}, {2, 1099}, {500, 700}, {0, 3}, {-5, 2}, {1099, 5000}, {1, math.MaxInt64}, {7, 6}, {1101, 2000}} {
		got := s.links(t, key, r[0], r[1])
		want := max(0, min(r[1], 1100)-max(r[0], 1)+1)
		if int64(len(got)) != want {
			t.Errorf("Walk [%d, %d] gives %d records, want %d", r[0], r[1], len(got), want)
		}
		for i := range got {
			if d := Diff(recs[got[i].Sequence-1], got[i]); d != "" {
				t.Fatalf("Walk [%d, %d]:\n%s", r[0], r[1], d)
			}
		}
	}
	if got := s.links(t, chain.Key{Scope: audit.Scope{Namespace: "nobody"}}, 1, 10); len(got) != 0 {
		t.Errorf("an unknown chain has %d records", len(got))
	}
	stop := errors.New("enough")
	if err := s.Walk(t.Context(), key, 1, 1100, func([]*audit.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want fn's own error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := s.Walk(ctx, key, 1, 1100, func([]*audit.Record) error { cancel(); return nil }); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled or the whole chain in one batch", err)
	}
	// Several walks at once.
	err := s.Walk(t.Context(), key, 1, 1100, func(recs []*audit.Record) error {
		first := recs[0].Sequence
		if got := s.links(t, key, first, first+1); got[0].Sequence != first {
			return fmt.Errorf("a walk within a walk gives %d, want %d", got[0].Sequence, first)
		}
		if recs[0].Sequence != first {
			return errors.New("a walk within a walk overwrote the batch of the outer one")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func testUnchained(t *testing.T, h *Harness) {
	s := h.openChained(t)
	other := audit.Scope{Namespace: "ns", Tenant: "b"}
	outside := []*audit.Record{event(scopeA, CorpusStart, nil), event(other, CorpusStart, nil), event(scopeA, CorpusStart, nil)}
	h.store(t, s, CloneAll(outside))
	inside := []*audit.Record{event(scopeA, CorpusStart, nil)}
	h.storeChained(t, s, inside)
	for scope, want := range map[audit.Scope]int64{scopeA: 2, other: 1, {}: 0} {
		if n, err := s.Unchained(t.Context(), scope); err != nil || n != want {
			t.Errorf("Unchained(%+v): %d, %v, want %d", scope, n, err, want)
		}
	}
	if n := inside[0].Sequence; n != 1 {
		t.Errorf("the first chained record is at %d", n)
	}
	s.verify(t, inside)
	ask(t, s, append(outside, inside...), valid(t, audit.Query{}))
}
