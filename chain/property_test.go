package chain_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"pgregory.net/rapid"
)

// drawChain gives a chain that has grown and been pruned in turns, at random.
func drawChain(t *rapid.T) *source {
	s := newChain(rapid.IntRange(1, 12).Draw(t, "records"))
	s.batch = rapid.IntRange(1, 7).Draw(t, "batch")
	for range rapid.IntRange(0, 4).Draw(t, "turns") {
		gone := map[int64]bool{}
		for seq := int64(1); seq <= s.heads[key].Sequence; seq++ {
			gone[seq] = rapid.Bool().Draw(t, "gone")
		}
		s.prune(key, rapid.IntRange(1, 4).Draw(t, "runs an anchor"), func(seq int64) bool { return gone[seq] })
		s.grow(key, rapid.IntRange(0, 6).Draw(t, "more"))
	}
	return s
}

func drawOptions(t *rapid.T) (chain.VerifyOptions, int64) {
	return chain.VerifyOptions{Workers: rapid.IntRange(1, 4).Draw(t, "workers")}, rapid.Int64Range(1, 9).Draw(t, "chunk")
}

func verifyIn(t *rapid.T, s *source, opt chain.VerifyOptions, chunk int64) *chain.Report {
	report, err := chain.VerifyIn(context.Background(), s, key, opt, chunk)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestRandomPruningNeverAlarms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawChain(t)
		opt, chunk := drawOptions(t)
		if b := verifyIn(t, s, opt, chunk).FirstBroken; b != nil {
			t.Fatalf("whole: %+v", *b)
		}
		opt.From = rapid.Int64Range(1, s.heads[key].Sequence+1).Draw(t, "from")
		opt.To = rapid.Int64Range(opt.From, s.heads[key].Sequence+2).Draw(t, "to")
		if b := verifyIn(t, s, opt, chunk).FirstBroken; b != nil {
			t.Fatalf("from %d to %d: %+v", opt.From, opt.To, *b)
		}
	})
}

// mutate does one thing to the store that nobody may do, and says what.
func mutate(t *rapid.T, s *source) string {
	recs := s.chain(key)
	pick := func(label string) *audit.Record { return recs[rapid.IntRange(0, len(recs)-1).Draw(t, label)] }
	head := s.heads[key]
	defer func() { s.sorted = nil }()
	switch what := rapid.SampledFrom([]string{"edit", "edit and rehash", "delete", "delete a tail", "insert", "swap", "replay", "renumber", "head's hash", "head's sequence"}).Draw(t, "what"); what {
	case "edit", "edit and rehash":
		f := rapid.SampledFrom(audit.Fields()).Draw(t, "field")
		r := pick("record")
		change(f, r)
		if what == "edit and rehash" && f.Name != "hash" {
			r.Hash, _ = chain.HashOf(r, nil)
		}
		return what + " " + f.Name
	case "delete":
		s.remove(pick("record"))
		return what
	case "delete a tail":
		s.remove(recs[rapid.IntRange(0, len(recs)-1).Draw(t, "from"):]...)
		return what
	case "insert":
		r := s.event(key)
		r.Sequence = rapid.Int64Range(1, head.Sequence+2).Draw(t, "at")
		if before := s.get(key, r.Sequence-1); before != nil && rapid.Bool().Draw(t, "linked") {
			r.PrevHash = before.Hash
		}
		r.Hash, _ = chain.HashOf(r, nil)
		s.insert(r)
		return what
	case "swap":
		a, b := pick("one"), pick("other")
		if a == b {
			b = recs[0]
			a = s.event(key)
			a.Sequence = head.Sequence + 1
			s.insert(a)
		}
		a.Sequence, b.Sequence = b.Sequence, a.Sequence
		return what
	case "replay":
		r := *pick("record")
		r.Sequence = rapid.Int64Range(1, head.Sequence+2).Draw(t, "at")
		s.insert(&r)
		return what
	case "renumber":
		r := pick("record")
		to := rapid.Int64Range(-1, head.Sequence+2).Draw(t, "to")
		if to == r.Sequence {
			to = head.Sequence + 3
		}
		r.Sequence = to
		if rapid.Bool().Draw(t, "rehashed") {
			r.Hash, _ = chain.HashOf(r, nil)
		}
		return what
	case "head's hash":
		head.Hash[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		s.heads[key] = head
		return what
	default:
		by := rapid.SampledFrom([]int64{-2, -1, 1, 7}).Draw(t, "by")
		head.Sequence = max(0, head.Sequence+by)
		s.heads[key] = head
		return what
	}
}

func TestRandomMutationAlwaysAlarms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawChain(t)
		what := mutate(t, s)
		opt, chunk := drawOptions(t)
		report := verifyIn(t, s, opt, chunk)
		if report.Valid {
			t.Fatalf("%s was not found", what)
		}
		// How the work is split must not change the finding.
		again := verifyIn(t, s, chain.VerifyOptions{Workers: 1}, 1<<20)
		if *again.FirstBroken != *report.FirstBroken || again.RecordsChecked != report.RecordsChecked {
			t.Fatalf("%s: %+v in one walk, %+v in chunks of %d", what, *again.FirstBroken, *report.FirstBroken, chunk)
		}
	})
}

// Appending and retention at work while several workers read are no alarm.
func TestRandomConcurrencyNeverAlarms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawChain(t)
		s.grow(key, 20)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		turns := rapid.IntRange(1, 6).Draw(t, "turns")
		var mu sync.Mutex
		s.onBatch = func() {
			mu.Lock()
			defer mu.Unlock()
			if turns == 0 || random.IntN(3) > 0 {
				return
			}
			turns--
			s.grow(key, random.IntN(3))
			first := random.Int64N(s.heads[key].Sequence) + 1
			last := first + random.Int64N(8)
			s.prune(key, 1+random.IntN(3), func(seq int64) bool { return seq >= first && seq <= last })
		}
		opt, chunk := drawOptions(t)
		if b := verifyIn(t, s, opt, chunk).FirstBroken; b != nil {
			t.Fatalf("%+v", *b)
		}
	})
}
