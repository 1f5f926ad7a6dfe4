package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// restoring is a store that takes in chains.
type restoring struct {
	chained
	chain.Restorer
}

func (h *Harness) openRestoring(t *testing.T) restoring {
	t.Helper()
	s := h.open(t)
	return restoring{asChained(t, s), capability[chain.Restorer](t, s)}
}

func testRestoring(t *testing.T, h *Harness) {
	t.Run("chains come in as they are", func(t *testing.T) { testRestoreChains(t, h) })
	t.Run("a chain with holes goes on", func(t *testing.T) { testRestoreHoles(t, h) })
	t.Run("segments beside each other", func(t *testing.T) { testRestoreSegments(t, h) })
	t.Run("refusals change nothing", func(t *testing.T) { testRestoreRefusals(t, h) })
	t.Run("retention", func(t *testing.T) { testRestoreRetention(t, h) })
	t.Run("statistics", func(t *testing.T) { testRestoreStatistics(t, h) })
}

// elsewhere makes the chains that another store would have of the records, and
// gives their heads.
func elsewhere(recs []*audit.Record, segment string) map[chain.Key]chain.Head {
	heads := map[chain.Key]chain.Head{}
	for _, r := range recs {
		key := chain.Key{Scope: r.Scope(), Segment: segment}
		head, ok := heads[key]
		if !ok {
			head = chain.Head{Key: key}
		}
		heads[key] = chain.Seal(head, []*audit.Record{r})
	}
	return heads
}

// ofChain are those of the records that belong to the chain.
func ofChain(recs []*audit.Record, key chain.Key) (out []*audit.Record) {
	for _, r := range recs {
		if chain.KeyOf(r) == key {
			out = append(out, r)
		}
	}
	return out
}

// restore takes in records of one chain, some at a time, and then moves the head
// to the given place.
func (h *Harness) restore(t *testing.T, s restoring, from, to chain.Head, recs []*audit.Record, some int) {
	t.Helper()
	if len(recs) == 0 {
		if err := s.Restore(t.Context(), from, to, nil); err != nil {
			t.Fatalf("Restore from %+v to %+v: %v", from, to, err)
		}
	}
	for part := range slices.Chunk(recs, some) {
		next := chain.HeadAt(part[len(part)-1])
		if part[len(part)-1] == recs[len(recs)-1] {
			next = to
		}
		given := CloneAll(part)
		if err := s.Restore(t.Context(), from, next, part); err != nil {
			t.Fatalf("Restore from %+v to %+v: %v", from, next, err)
		}
		for i := range part {
			if d := Diff(given[i], part[i]); d != "" {
				t.Fatalf("Restore changes what it is given:\n%s", d)
			}
		}
		from = next
	}
	h.settle(t, s.Store)
}

func testRestoreChains(t *testing.T, h *Harness) {
	s := h.openRestoring(t)
	recs := Corpus(171, 400)
	heads := elsewhere(recs, "")
	outside := Corpus(172, 30)
	for i := range outside {
		outside[i].Namespace = "outside"
	}
	for key, head := range heads {
		h.restore(t, s, chain.Head{Key: key}, head, ofChain(recs, key), 70)
	}
	h.store(t, s, CloneAll(outside))
	got := s.heads(t, nil)
	if len(got) != len(heads) {
		t.Errorf("%d heads for %d chains", len(got), len(heads))
	}
	for _, head := range got {
		if head != heads[head.Key] {
			t.Errorf("the head is %+v, want %+v", head, heads[head.Key])
		}
	}
	s.verify(t, recs)
	ask(t, s, append(slices.Clone(recs), outside...), valid(t, audit.Query{Limit: audit.MaxLimit}))
	for _, r := range recs[:20] {
		if got, err := s.Get(t.Context(), r.Ref()); err != nil || Diff(r, got) != "" {
			t.Errorf("Get: %v\n%s", err, Diff(r, got))
		}
	}
	// A repetition of what is there is a duplicate with the place it came with.
	results, err := s.AppendChained(t.Context(), []*audit.Record{unchained(recs[3])})
	if want := (audit.Result{Duplicate: true, Sequence: recs[3].Sequence, Hash: recs[3].Hash}); err != nil || results[0] != want {
		t.Errorf("AppendChained of a record that came in: got %+v, %v, want %+v", results, err, want)
	}
	// The store's own writing goes on, in the chain that came in where it has no other.
	more := []*audit.Record{event(recs[0].Scope(), CorpusStart, nil), event(recs[0].Scope(), CorpusStart, nil)}
	h.storeChained(t, s.chained, more)
	if old := heads[chain.KeyOf(recs[0])]; h.Segment == "" && (more[0].Sequence != old.Sequence+1 || more[0].PrevHash != old.Hash) {
		t.Errorf("the next record is at %d after %s, want it to follow %+v", more[0].Sequence, more[0].PrevHash, old)
	}
	s.verify(t, append(recs, more...))
}

// pruned makes a chain of n records of which retention has removed some.
func pruned(scope audit.Scope, segment string, n int, runs ...[2]int64) (left []*audit.Record, head chain.Head) {
	head = chain.Head{Key: chain.Key{Scope: scope, Segment: segment}}
	var recs []*audit.Record
	for i := range n {
		recs = append(recs, event(scope, CorpusStart.Add(time.Duration(i)*time.Second), nil))
	}
	head = chain.Seal(head, recs)
	var gone []chain.Run
	for _, run := range runs {
		gone = append(gone, chain.Run{First: run[0], Last: run[1], PrevHash: recs[run[0]-1].PrevHash, Hash: recs[run[1]-1].Hash})
	}
	if len(gone) > 0 {
		anchor := chain.Anchor(head.Key, gone, "by the rule", CorpusStart.Add(CorpusSpan))
		head = chain.Seal(head, []*audit.Record{anchor})
		recs = append(recs, anchor)
	}
	for _, r := range recs {
		if !slices.ContainsFunc(runs, func(run [2]int64) bool { return run[0] <= r.Sequence && r.Sequence <= run[1] }) {
			left = append(left, r)
		}
	}
	return left, head
}

func testRestoreHoles(t *testing.T, h *Harness) {
	s := h.openRestoring(t)
	recs, head := pruned(scopeA, "", 200, [2]int64{1, 30}, [2]int64{60, 60}, [2]int64{150, 200})
	h.restore(t, s, chain.Head{Key: head.Key}, head, recs, 25)
	s.verify(t, recs)
	if n := len(s.links(t, head.Key, 1, head.Sequence)); n != len(recs) {
		t.Errorf("the chain has %d records, want %d", n, len(recs))
	}
}

func testRestoreSegments(t *testing.T, h *Harness) {
	s := h.openRestoring(t)
	own := []*audit.Record{event(scopeA, CorpusStart, nil), event(scopeA, CorpusStart, nil)}
	h.storeChained(t, s.chained, own)
	all := slices.Clone(own)
	want := map[chain.Key]chain.Head{chain.KeyOf(own[1]): chain.HeadAt(own[1])}
	for _, segment := range []string{"writer.7", "writer.8", "a/ü 'b'#%"} {
		recs, head := pruned(scopeA, segment, 60, [2]int64{20, 29})
		h.restore(t, s, chain.Head{Key: head.Key}, head, recs, 40)
		all, want[head.Key] = append(all, recs...), head
	}
	for _, scope := range []*audit.Scope{nil, &scopeA} {
		got := s.heads(t, scope)
		if len(got) != len(want) {
			t.Errorf("%d heads, want %d: %+v", len(got), len(want), got)
		}
		for _, head := range got {
			if head != want[head.Key] {
				t.Errorf("the head is %+v, want %+v", head, want[head.Key])
			}
		}
	}
	s.verify(t, all)
	ask(t, s, all, valid(t, audit.Query{Filters: []audit.Filter{audit.Is("segment", "writer.7")}, Limit: audit.MaxLimit}))
	if n, err := s.Unchained(t.Context(), scopeA); err != nil || n != 0 {
		t.Errorf("Unchained: %d, %v", n, err)
	}
	more := []*audit.Record{event(scopeA, CorpusStart, nil)}
	h.storeChained(t, s.chained, more)
	if more[0].Sequence != 3 {
		t.Errorf("the store's own chain goes on at %d, want 3", more[0].Sequence)
	}
	s.verify(t, append(all, more...))

	// A chain of which nothing is left: its anchor lies in another segment.
	scope := audit.Scope{Namespace: "ns", Tenant: "emptied"}
	gone, head := pruned(scope, "writer.7", 10)
	anchor := chain.Anchor(head.Key, []chain.Run{{First: 1, Last: 10, Hash: gone[9].Hash}}, "by the rule", CorpusStart)
	other := chain.Seal(chain.Head{Key: chain.Key{Scope: scope, Segment: "writer.8"}}, []*audit.Record{anchor})
	h.restore(t, s, chain.Head{Key: head.Key}, head, nil, 1)
	h.restore(t, s, chain.Head{Key: other.Key}, other, []*audit.Record{anchor}, 1)
	if got := s.heads(t, &scope); !slices.Equal(got, []chain.Head{head, other}) {
		t.Errorf("the heads are %+v, want %+v", got, []chain.Head{head, other})
	}
	s.verify(t, []*audit.Record{anchor})
}

func testRestoreRefusals(t *testing.T, h *Harness) {
	s := h.openRestoring(t)
	ctx := t.Context()
	recs, head := pruned(scopeA, "", 20)
	empty, middle := chain.Head{Key: head.Key}, chain.HeadAt(recs[9])
	h.restore(t, s, empty, middle, recs[:10], 10)

	plain := event(scopeA, CorpusStart, nil)
	h.store(t, s, []*audit.Record{Clone(plain)})
	twin := Clone(plain) // the same event, with a place
	twinHead := chain.Seal(middle, []*audit.Record{twin})
	bent := CloneAll(recs[10:])
	bent[4].Error = "changed"
	other := Clone(recs[10])
	other.Tenant = "b"
	apart, apartHead := pruned(scopeA, "", 20) // another chain by the same name
	for name, c := range map[string]struct {
		from, to chain.Head
		recs     []*audit.Record
		code     audit.Code
	}{
		"from the beginning once more":        {empty, middle, recs[:10], audit.CodeConflict},
		"from further on":                     {chain.HeadAt(recs[14]), head, recs[15:], audit.CodeConflict},
		"another chain by the same name":      {chain.HeadAt(apart[9]), apartHead, apart[10:], audit.CodeConflict},
		"an id that is taken outside a chain": {middle, twinHead, []*audit.Record{twin}, audit.CodeConflict},
		"a changed record":                    {middle, head, bent, audit.CodeInvalid},
		"a record of another tenant":          {middle, chain.HeadAt(other), []*audit.Record{other}, audit.CodeInvalid},
		"a record that does not follow":       {middle, chain.HeadAt(apart[10]), apart[10:11], audit.CodeInvalid},
		"out of order":                        {middle, head, []*audit.Record{recs[11], recs[10]}, audit.CodeInvalid},
		"a head that goes back":               {middle, chain.HeadAt(recs[5]), nil, audit.CodeInvalid},
		"a head with another hash":            {middle, chain.Head{Key: head.Key, Sequence: 20, Hash: apartHead.Hash}, recs[10:], audit.CodeInvalid},
	} {
		if err := s.Restore(ctx, c.from, c.to, c.recs); audit.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want the code %s", name, err, c.code)
		}
		if got := s.heads(t, &scopeA); len(got) != 1 || got[0] != middle {
			t.Errorf("%s: the heads are now %+v, want %+v", name, got, middle)
		}
	}
	if err := s.Restore(ctx, empty, empty, nil); !errors.Is(err, audit.ErrConflict) {
		t.Errorf("comparing with an empty chain: got %v", err)
	}
	if err := s.Restore(ctx, middle, middle, nil); err != nil {
		t.Errorf("comparing with what is there: got %v", err)
	}
	nobody := chain.Head{Key: chain.Key{Scope: audit.Scope{Namespace: "nobody"}}}
	if err := s.Restore(ctx, nobody, nobody, nil); err != nil {
		t.Errorf("comparing with no chain where there is none: got %v", err)
	}
	h.settle(t, s)
	ask(t, s, append(slices.Clone(recs[:10]), plain), valid(t, audit.Query{}))
	h.restore(t, s, middle, head, recs[10:], 3)
	s.verify(t, recs)
}

// testRestoreRetention deletes from chains that came in.
func testRestoreRetention(t *testing.T, h *Harness) {
	s := h.openRestoring(t)
	var all, kept []*audit.Record
	for _, segment := range []string{"", "writer.7"} {
		recs, head := pruned(scopeA, segment, 50, [2]int64{5, 9})
		h.restore(t, s, chain.Head{Key: head.Key}, head, recs, 50)
		for _, r := range recs {
			if all = append(all, r); r.Kind != audit.KindEvent || !r.RecordedAt.Before(CorpusStart.Add(30*time.Second)) {
				kept = append(kept, r)
			}
		}
	}
	h.deleteAll(t, s.Store, audit.Cut{RecordedBefore: CorpusStart.Add(30 * time.Second), Reason: "by the rule"}, 17, len(all)-len(kept))
	h.settle(t, s)
	s.verify(t, kept)
}

// testRestoreStatistics asks for statistics as soon as the records are there.
func testRestoreStatistics(t *testing.T, h *Harness) {
	s := h.openRestoring(t)
	native, ok := audit.As[analytics.Analyzer](s.Store)
	if !ok {
		return // the reference is used as it is
	}
	recs := Corpus(173, 300)
	for key, head := range elsewhere(recs, "") {
		h.restore(t, s, chain.Head{Key: key}, head, ofChain(recs, key), 50)
	}
	reference := analytics.Stream(Records(recs))
	sameStatistics(t, native, reference, valid(t, audit.Query{}))
	sameStatistics(t, native, reference, valid(t, audit.Query{Filters: []audit.Filter{audit.Is("tenant", "acme")}}))
}
