package chain_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/google/go-cmp/cmp"
)

// check verifies in chunks of two sequences, so that a small chain has many
// borders, and demands what the public function says.
func check(t interface {
	Helper()
	Fatal(...any)
}, s *source, k chain.Key, opt chain.VerifyOptions) *chain.Report {
	t.Helper()
	if opt.Workers == 0 {
		opt.Workers = 3
	}
	report, err := chain.VerifyIn(context.Background(), s, k, opt, 2)
	if err != nil {
		t.Fatal(err)
	}
	if report.Valid != (report.FirstBroken == nil) {
		t.Fatal("Valid contradicts FirstBroken")
	}
	return report
}

func mustHold(t *testing.T, s *source, opt chain.VerifyOptions) *chain.Report {
	t.Helper()
	report := check(t, s, key, opt)
	if !report.Valid {
		t.Fatalf("from %d to %d: false alarm: %+v", opt.From, opt.To, *report.FirstBroken)
	}
	return report
}

// everyRange verifies every from and to of the chain.
func everyRange(t *testing.T, s *source) {
	t.Helper()
	last := s.heads[key].Sequence
	for from := int64(0); from <= last+1; from++ {
		for to := max(from, 1); to <= last+2; to++ {
			report := mustHold(t, s, chain.VerifyOptions{From: from, To: to})
			if from > last {
				continue
			}
			var stored, pruned int64
			for seq := max(from, 1); seq <= min(to, last); seq++ {
				if s.get(key, seq) != nil {
					stored++
				}
			}
			for _, r := range report.Pruned {
				pruned += min(r.Last, to) - max(r.First, from, 1) + 1
			}
			if report.RecordsChecked != stored || stored+pruned != min(to, last)-max(from, 1)+1 {
				t.Fatalf("from %d to %d: %d checked of %d, %d pruned", from, to, report.RecordsChecked, stored, pruned)
			}
		}
	}
}

func TestCleanChains(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 9} {
		s := newChain(n)
		s.outside(4)
		s.grow(chain.Key{Scope: audit.Scope{Tenant: "other"}}, 3)
		s.grow(chain.Key{Scope: scope, Segment: "writer-2"}, 5)
		report := mustHold(t, s, chain.VerifyOptions{})
		want := &chain.Report{Key: key, Valid: true, RecordsChecked: int64(n), Head: chain.Head{Key: key}, Pruned: []chain.Pruned{}, Unchained: 4, From: 1, To: int64(n)}
		if n > 0 {
			want.Head = s.heads[key]
		}
		if diff := cmp.Diff(want, report); diff != "" {
			t.Errorf("chain of %d: %s", n, diff)
		}
		if n > 0 {
			everyRange(t, s)
		}
	}
}

func TestChainSwitchedOnOverExistingRecords(t *testing.T) {
	s := newSource()
	s.outside(10)
	s.grow(key, 5)
	if report := mustHold(t, s, chain.VerifyOptions{}); report.Unchained != 10 || report.RecordsChecked != 5 {
		t.Errorf("got %+v", report)
	}
}

func TestPrunedChains(t *testing.T) {
	between := func(first, last int64) func(int64) bool {
		return func(seq int64) bool { return seq >= first && seq <= last }
	}
	for name, prune := range map[string]func(*source){
		"prefix":          func(s *source) { s.prune(key, 10, between(1, 4)) },
		"first":           func(s *source) { s.prune(key, 10, between(1, 1)) },
		"middle":          func(s *source) { s.prune(key, 10, between(4, 6)) },
		"tail":            func(s *source) { s.prune(key, 10, between(9, 12)) },
		"everything":      func(s *source) { s.prune(key, 10, between(1, 100)) },
		"islands":         func(s *source) { s.prune(key, 10, func(seq int64) bool { return seq%3 != 0 }) },
		"an anchor a run": func(s *source) { s.prune(key, 1, func(seq int64) bool { return seq%2 == 0 }) },
		"adjacent runs": func(s *source) {
			s.prune(key, 1, between(3, 4))
			s.prune(key, 1, between(5, 7))
			s.prune(key, 1, between(1, 2))
		},
		"around an island": func(s *source) {
			s.prune(key, 1, between(3, 4))
			s.prune(key, 1, between(6, 7))
			s.prune(key, 1, between(5, 5))
		},
		"again and again": func(s *source) {
			s.prune(key, 2, between(1, 5))
			s.grow(key, 3)
			s.prune(key, 2, between(1, 14))
			s.grow(key, 2)
		},
		"by another writer": func(s *source) { s.pruneInto(key, chain.Key{Scope: scope, Segment: "w2"}, 2, between(2, 7)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newChain(12)
			prune(s)
			everyRange(t, s)
		})
	}
}

func TestPrunedRunsAreReported(t *testing.T) {
	s := newChain(10)
	before := s.clone()
	s.prune(key, 1, func(seq int64) bool { return seq <= 3 })
	s.reason = "by hand"
	s.prune(key, 1, func(seq int64) bool { return seq == 4 || seq == 7 })
	hash := func(seq int64) audit.Digest { return before.get(key, seq).Hash }
	want := []chain.Pruned{
		{Run: chain.Run{First: 1, Last: 4, Hash: hash(4)}, Reason: "ninety days; by hand"},
		{Run: chain.Run{First: 7, Last: 7, PrevHash: hash(6), Hash: hash(7)}, Reason: "by hand"},
	}
	if diff := cmp.Diff(want, mustHold(t, s, chain.VerifyOptions{}).Pruned); diff != "" {
		t.Error(diff)
	}
}

// More anchors than one page holds are all read.
func TestManyAnchors(t *testing.T) {
	s := newChain(400)
	s.prune(key, 1, func(seq int64) bool { return seq%2 == 1 })
	if report := mustHold(t, s, chain.VerifyOptions{}); len(report.Pruned) != 200 {
		t.Errorf("%d runs", len(report.Pruned))
	}
}

// An engine that cannot remove a run at once removes it from its beginning,
// after the anchor is stored.
func TestRunUnderRemoval(t *testing.T) {
	whole := newChain(12)
	for _, overlap := range []bool{false, true} {
		for gone := int64(0); gone <= 6; gone++ {
			s := whole.clone()
			s.prune(key, 1, func(seq int64) bool { return seq >= 3 && seq <= 8 })
			if overlap { // the rest falls into the next anchor, with what expired meanwhile
				for seq := 3 + gone; seq <= 9; seq++ {
					if s.get(key, seq) == nil {
						s.insert(whole.clone().get(key, seq))
					}
				}
				s.prune(key, 1, func(seq int64) bool { return seq >= 3+gone && seq <= 9 })
			} else {
				for seq := 3 + gone; seq <= 8; seq++ {
					s.insert(whole.clone().get(key, seq))
				}
			}
			everyRange(t, s)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	s := newChain(12)
	at := func(seq int64) *chain.Head {
		if seq == 0 {
			return &chain.Head{Key: key}
		}
		return &chain.Head{Key: key, Sequence: seq, Hash: s.get(key, seq).Hash}
	}
	var held []*chain.Head
	for seq := int64(0); seq <= 12; seq++ {
		held = append(held, at(seq))
		mustHold(t, s, chain.VerifyOptions{Checkpoints: []chain.Head{*at(seq)}})
		mustHold(t, s, chain.VerifyOptions{Checkpoints: []chain.Head{*at(seq)}, From: 5, To: 7})
	}
	pruned := s.clone()
	pruned.prune(key, 1, func(seq int64) bool { return seq >= 3 && seq <= 5 })
	for seq, h := range held {
		report := mustHold(t, pruned, chain.VerifyOptions{Checkpoints: []chain.Head{*h}})
		if report.CheckpointPruned != (seq == 3 || seq == 4) {
			t.Errorf("checkpoint %d: pruned = %v", seq, report.CheckpointPruned)
		}
	}
	broken := func(name string, s *source, cp chain.Head, opt chain.VerifyOptions) {
		t.Helper()
		opt.Checkpoints = []chain.Head{cp}
		b := check(t, s, key, opt).FirstBroken
		if b == nil || b.Reason != chain.ReasonCheckpoint || b.Sequence != cp.Sequence {
			t.Errorf("%s: got %+v", name, b)
		}
	}
	// Somebody who can write everything makes a chain that is right in itself.
	forged := newSource()
	forged.nextID = 500
	forged.grow(key, 20)
	short := s.clone()
	for seq := int64(9); seq <= 12; seq++ {
		short.remove(short.get(key, seq))
	}
	short.heads[key] = *at(8)
	mustHold(t, forged, chain.VerifyOptions{})
	mustHold(t, short, chain.VerifyOptions{})
	broken("rewritten", forged, *held[9], chain.VerifyOptions{})
	broken("cut off", short, *held[9], chain.VerifyOptions{})
	broken("cut off, from the checkpoint on", short, *held[12], chain.VerifyOptions{From: 13})
	broken("everything gone", newSource(), *held[9], chain.VerifyOptions{})
	other := *held[5]
	other.Hash[0]++
	broken("pruned, another hash", pruned, other, chain.VerifyOptions{})
	// Of several the first that is gone is told, whatever their order; a pruned one is not forgotten.
	several := []chain.Head{*held[4], other, *held[2], *held[11]}
	report := check(t, pruned, key, chain.VerifyOptions{Checkpoints: several})
	if b := report.FirstBroken; b == nil || b.Reason != chain.ReasonCheckpoint || b.Sequence != 5 || !report.CheckpointPruned {
		t.Errorf("several: got %+v, pruned = %v", b, report.CheckpointPruned)
	}
	gone := s.clone()
	gone.remove(gone.get(key, 6))
	broken("deleted, outside the range", gone, *held[6], chain.VerifyOptions{From: 8})
}

func TestWrongQuestions(t *testing.T) {
	s := newChain(5)
	for _, c := range []struct {
		field string
		opt   chain.VerifyOptions
	}{
		{"from", chain.VerifyOptions{From: -1}},
		{"to", chain.VerifyOptions{To: -1}},
		{"to", chain.VerifyOptions{From: 4, To: 3}},
		{"from", chain.VerifyOptions{From: 7}},
		{"checkpoints", chain.VerifyOptions{Checkpoints: []chain.Head{{}}}},
		{"checkpoints", chain.VerifyOptions{Checkpoints: []chain.Head{{Key: key, Sequence: 2}, {Key: key, Sequence: -1}}}},
	} {
		report, err := chain.Verify(context.Background(), s, key, c.opt)
		var e *audit.Error
		if report != nil || !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != c.field {
			t.Errorf("%+v: got %v", c.opt, err)
		}
	}
}

func TestStoreFails(t *testing.T) {
	s := newChain(50)
	s.failing = errors.New("disk on fire")
	if report, err := chain.Verify(context.Background(), s, key, chain.VerifyOptions{}); report != nil || audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("got %v, %v", report, err)
	}
	s.failing = nil
	n := 0
	s.onBatch = func() {
		if n++; n == 3 {
			s.mu.Lock()
			s.failing = audit.Unavailable("sqlite", errors.New("gone"))
			s.mu.Unlock()
		}
	}
	if report, err := chain.Verify(context.Background(), s, key, chain.VerifyOptions{Workers: 1}); report != nil || audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("half way: got %v, %v", report, err)
	}
}

// Whatever call of the store fails, nothing is decided.
func TestStoreFailsAnywhere(t *testing.T) {
	for name, s := range map[string]*source{"clean": newChain(9), "pruned": pruned(), "broken": pruned()} {
		opt := chain.VerifyOptions{From: 4, To: 13, Workers: 1, Checkpoints: []chain.Head{{Key: key, Sequence: 4}}}
		if name == "broken" {
			s.remove(s.get(key, 9), s.get(key, 19))
			opt.From, opt.To = 0, 0
		}
		for at := 1; ; at++ {
			s.calls, s.failAt = 0, at
			report, err := chain.Verify(t.Context(), s, key, opt)
			if s.calls < at {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			if report != nil || audit.CodeOf(err) != audit.CodeUnavailable {
				t.Errorf("%s, call %d: %+v, %v", name, at, report, err)
			}
		}
	}
}

// A store that does not keep the order of Walk is a fault of ours, not a break.
func TestStoreOutOfOrder(t *testing.T) {
	s := newChain(5)
	recs := s.chain(key)
	recs[1], recs[3] = recs[3], recs[1]
	if report, err := chain.Verify(t.Context(), s, key, chain.VerifyOptions{}); report != nil || audit.CodeOf(err) != audit.CodeInternal {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestCancel(t *testing.T) {
	s := newChain(100)
	ctx, cancel := context.WithCancel(context.Background())
	s.onBatch = cancel
	report, err := chain.Verify(ctx, s, key, chain.VerifyOptions{})
	if report != nil || !errors.Is(err, context.Canceled) || audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("got %v, %v", report, err)
	}
}

func TestProgress(t *testing.T) {
	s := newChain(40)
	s.prune(key, 5, func(seq int64) bool { return seq < 4 || seq > 20 && seq < 33 })
	var last, calls int64
	mustHold(t, s, chain.VerifyOptions{Workers: 4, Progress: func(checked, total int64) {
		if calls++; checked <= last || total != s.heads[key].Sequence {
			t.Errorf("%d of %d after %d", checked, total, last)
		}
		last = checked
	}})
	if last != s.heads[key].Sequence || calls < 10 {
		t.Errorf("ended at %d after %d calls", last, calls)
	}
}

// Appending between any two batches is no alarm, and what was there is checked.
func TestAppendWhileVerifying(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		s := newChain(30)
		s.onBatch = func() { s.grow(key, 1) }
		if report := mustHold(t, s, chain.VerifyOptions{Workers: workers}); report.RecordsChecked != 30 {
			t.Errorf("%d checked", report.RecordsChecked)
		}
	}
}

// Records that are stored after the head was read are covered by the head that
// is read after them; one that nobody chained still is not.
func TestAppendAfterTheHeadWasRead(t *testing.T) {
	s := newChain(5)
	s.onHeads = func() { s.grow(key, 2) }
	mustHold(t, s, chain.VerifyOptions{})
	far := s.event(key)
	far.Sequence = 1000
	s.insert(far)
	if b := check(t, s, key, chain.VerifyOptions{}).FirstBroken; b == nil || b.Sequence != 1000 || b.Reason != chain.ReasonBeyond || b.ID != far.ID {
		t.Errorf("got %+v", b)
	}
}

// Retention at work between any two batches is no alarm: the walk sees records
// that are gone when it comes to the anchor, and the other way round.
func TestPruneWhileVerifying(t *testing.T) {
	for at := 1; at < 25; at++ {
		for _, size := range []int64{1, 2, 5, 11} {
			for _, times := range []int{1, 3} {
				s := newChain(40)
				s.prune(key, 3, func(seq int64) bool { return seq%13 == 0 })
				batch, first := 0, int64(1)
				s.onBatch = func() {
					if batch++; batch < at || batch >= at+times {
						return
					}
					// Most of the way along, so that the walk is in the middle of a run.
					first = max(first, int64(batch)*2-size/2)
					s.prune(key, 2, func(seq int64) bool { return seq >= first && seq < first+size })
					first += size
				}
				// With one worker the order of the steps is certain.
				if b := check(t, s, key, chain.VerifyOptions{Workers: 1}).FirstBroken; b != nil {
					t.Fatalf("prune at batch %d, %d records, %d times: %+v", at, size, times, *b)
				}
			}
		}
	}
}

// A store that shows late what it has is asked again after its lag.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newChain(10)
		s.lag = time.Second
		s.prune(key, 1, func(seq int64) bool { return seq < 4 })
		anchor := s.get(key, 11)
		hidden := *anchor
		s.mu.Lock()
		anchor.Kind = "late"
		s.mu.Unlock()
		s.onQuery = func() {
			if time.Since(bubble) >= time.Second {
				s.mu.Lock()
				*s.get(key, 11) = hidden
				s.mu.Unlock()
			}
		}
		report, err := chain.VerifyIn(t.Context(), s, key, chain.VerifyOptions{To: 9}, 2)
		if err != nil || !report.Valid {
			t.Errorf("got %+v, %v", report, err)
		}
	})
}

// bubble is when every synctest bubble begins.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
