package chain_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// finds demands that the first break is the one given, in the whole chain and in
// every range that holds it, and that ranges well before it hold.
func finds(t *testing.T, s *source, want chain.Break) {
	t.Helper()
	if !findsInWhole(t, s, want) {
		return
	}
	head := s.heads[key].Sequence
	for from := int64(1); from <= want.Sequence; from++ {
		for to := want.Sequence; to <= head; to++ {
			got := check(t, s, key, chain.VerifyOptions{From: from, To: to}).FirstBroken
			if want.Reason == chain.ReasonPruned && got == nil && to == want.Sequence {
				continue // a range trusts the record after it, which is forged too
			}
			wanted := want
			if want.Reason == chain.ReasonTail && to < head {
				wanted.Reason = chain.ReasonMissing
			}
			if diff := cmp.Diff(&wanted, got, cmpopts.IgnoreFields(chain.Break{}, "Detail")); diff != "" {
				t.Errorf("from %d to %d: %s", from, to, diff)
			}
		}
	}
	for to := int64(1); to < want.Sequence-1 && to < head; to++ {
		for from := int64(1); from <= to; from++ {
			if got := check(t, s, key, chain.VerifyOptions{From: from, To: to}).FirstBroken; got != nil {
				t.Errorf("from %d to %d, which is before it: %+v", from, to, *got)
			}
		}
	}
}

func findsInWhole(t *testing.T, s *source, want chain.Break) bool {
	t.Helper()
	got := check(t, s, key, chain.VerifyOptions{}).FirstBroken
	diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(chain.Break{}, "Detail"))
	if diff != "" {
		t.Error(diff)
	}
	return diff == ""
}

const (
	size   = 12
	middle = 6
)

// rich is a chain of events whose every field is set.
func rich() *source {
	s := newSource()
	s.outside(2)
	for range size {
		r := s.event(key)
		for _, f := range audit.Fields() {
			if f.Absent(r) && f.Tag < 55 || f.Kind == audit.Document {
				setField(f, r, 1_700_000_000_000_000+s.nextID, f.Name)
			}
		}
		r.Tool.Enrichment.Applied = true
		s.seal(key, r)
	}
	return s
}

func TestEditOfEveryField(t *testing.T) {
	whole := rich()
	for _, f := range audit.Fields() {
		for _, seq := range []int64{1, middle, size} {
			for _, emptied := range []bool{false, true} {
				s := whole.clone()
				r := s.get(key, seq)
				switch {
				case !emptied && f.Name == "sequence":
					r.Sequence += 1000
				case !emptied:
					change(f, r)
				case f.Absent(r):
					continue // the first prev_hash and the segment are empty already
				case f.Kind == audit.Text:
					f.SetText(r, "")
				case f.Kind == audit.Document, f.Kind == audit.Identity, f.Kind == audit.Hash:
					f.SetBytes(r, nil)
				default:
					f.SetInt(r, 0)
				}
				s.sorted = nil
				want := chain.Break{Sequence: seq, ID: r.ID, Reason: chain.ReasonContent}
				switch f.Name {
				case "namespace", "tenant", "segment", "sequence": // then the chain has lost it
					want.ID, want.Reason = audit.ID{}, chain.ReasonMissing
					if seq == size {
						want.Reason = chain.ReasonTail
					}
				}
				t.Run(fmt.Sprintf("%s of %d, emptied %v", f.Name, seq, emptied), func(t *testing.T) {
					if seq == middle {
						finds(t, s, want)
					} else {
						findsInWhole(t, s, want)
					}
				})
			}
		}
	}
}

// The forger is able to compute hashes.
func TestEditOfEveryFieldRehashed(t *testing.T) {
	whole := rich()
	for _, f := range audit.Fields() {
		switch f.Name {
		case "namespace", "tenant", "segment", "sequence", "hash":
			continue
		}
		for _, seq := range []int64{1, middle, size} {
			t.Run(fmt.Sprintf("%s of %d", f.Name, seq), func(t *testing.T) {
				s := whole.clone()
				r := s.get(key, seq)
				change(f, r)
				r.Hash, _ = chain.HashOf(r, nil)
				want := chain.Break{Sequence: seq + 1, Reason: chain.ReasonLink}
				switch {
				case f.Name == "prev_hash":
					want.Sequence = seq
				case seq == size:
					want.Sequence, want.Reason = seq, chain.ReasonHead
				}
				want.ID = s.get(key, want.Sequence).ID
				finds(t, s, want)
			})
		}
	}
}

func TestTampering(t *testing.T) {
	id := func(s *source, seq int64) audit.ID { return s.get(key, seq).ID }
	missing := func(seq int64) chain.Break { return chain.Break{Sequence: seq, Reason: chain.ReasonMissing} }
	tail := func(seq int64) chain.Break { return chain.Break{Sequence: seq, Reason: chain.ReasonTail} }
	for _, c := range []struct {
		name string
		do   func(s *source) chain.Break
	}{
		{"delete the first", func(s *source) chain.Break { s.remove(s.get(key, 1)); return missing(1) }},
		{"delete one", func(s *source) chain.Break { s.remove(s.get(key, 4)); return missing(4) }},
		{"delete from the middle", func(s *source) chain.Break {
			s.remove(s.get(key, 5), s.get(key, 6), s.get(key, 7))
			return missing(5)
		}},
		{"delete two apart", func(s *source) chain.Break { s.remove(s.get(key, 9), s.get(key, 3)); return missing(3) }},
		{"delete the last", func(s *source) chain.Break { s.remove(s.get(key, size)); return tail(size) }},
		{"truncate the tail", func(s *source) chain.Break {
			s.remove(s.get(key, 10), s.get(key, 11), s.get(key, 12))
			return tail(10)
		}},
		{"delete everything", func(s *source) chain.Break {
			for seq := int64(1); seq <= size; seq++ {
				s.remove(s.get(key, seq))
			}
			return tail(1)
		}},
		{"delete and close the gap in the numbers", func(s *source) chain.Break {
			s.remove(s.get(key, middle))
			for seq := int64(middle + 1); seq <= size; seq++ {
				s.get(key, seq).Sequence--
				s.sorted = nil
			}
			return chain.Break{Sequence: middle, ID: id(s, middle), Reason: chain.ReasonContent}
		}},
		{"delete and link the neighbours", func(s *source) chain.Break {
			s.remove(s.get(key, middle))
			r := s.get(key, middle+1)
			r.Sequence, r.PrevHash = middle, s.get(key, middle-1).Hash
			r.Hash, _ = chain.HashOf(r, nil)
			s.sorted = nil
			return missing(middle + 1)
		}},
		{"insert at a taken sequence", func(s *source) chain.Break {
			r := s.event(key)
			r.Sequence, r.PrevHash = middle, s.get(key, middle-1).Hash
			r.Hash, _ = chain.HashOf(r, nil)
			s.insert(r)
			return chain.Break{Sequence: middle, ID: r.ID, Reason: chain.ReasonDuplicate}
		}},
		{"insert and do not link", func(s *source) chain.Break {
			r := s.event(key)
			r.Sequence = middle
			r.Hash, _ = chain.HashOf(r, nil)
			s.recs = append([]*audit.Record{r}, s.recs...)
			s.sorted = nil
			return chain.Break{Sequence: middle, ID: r.ID, Reason: chain.ReasonDuplicate}
		}},
		{"insert before the first", func(s *source) chain.Break {
			r := s.event(key)
			r.Sequence = 1
			s.recs = append([]*audit.Record{r}, s.recs...)
			s.sorted = nil
			return chain.Break{Sequence: 1, ID: r.ID, Reason: chain.ReasonDuplicate}
		}},
		{"insert and push the rest back", func(s *source) chain.Break {
			for seq := int64(size); seq >= middle; seq-- {
				s.get(key, seq).Sequence++
				s.sorted = nil
			}
			r := s.event(key)
			r.Sequence, r.PrevHash = middle, s.get(key, middle-1).Hash
			r.Hash, _ = chain.HashOf(r, nil)
			s.insert(r)
			return chain.Break{Sequence: middle + 1, ID: id(s, middle+1), Reason: chain.ReasonContent}
		}},
		{"append without the head", func(s *source) chain.Break {
			r := s.event(key)
			chain.Seal(s.heads[key], []*audit.Record{r})
			s.insert(r)
			return chain.Break{Sequence: size + 1, ID: r.ID, Reason: chain.ReasonBeyond}
		}},
		{"insert far after the head", func(s *source) chain.Break {
			r := s.event(key)
			r.Sequence = size + 1000
			s.insert(r)
			return chain.Break{Sequence: size + 1000, ID: r.ID, Reason: chain.ReasonBeyond}
		}},
		{"swap two, numbers only", func(s *source) chain.Break {
			a, b := s.get(key, 4), s.get(key, 9)
			a.Sequence, b.Sequence = b.Sequence, a.Sequence
			s.sorted = nil
			return chain.Break{Sequence: 4, ID: b.ID, Reason: chain.ReasonContent}
		}},
		{"swap two, contents only", func(s *source) chain.Break {
			a, b := s.get(key, 4), s.get(key, 5)
			a.Event, b.Event = b.Event, a.Event
			return chain.Break{Sequence: 4, ID: a.ID, Reason: chain.ReasonContent}
		}},
		{"swap two, rehashed", func(s *source) chain.Break {
			a, b := s.get(key, 4), s.get(key, 5)
			a.Event, b.Event = b.Event, a.Event
			a.Hash, _ = chain.HashOf(a, nil)
			b.PrevHash = a.Hash
			b.Hash, _ = chain.HashOf(b, nil)
			return chain.Break{Sequence: 6, ID: id(s, 6), Reason: chain.ReasonLink}
		}},
		{"replay an old one in the place of another", func(s *source) chain.Break {
			r := *s.get(key, 2)
			r.Sequence = 8
			s.remove(s.get(key, 8))
			s.insert(&r)
			return chain.Break{Sequence: 8, ID: r.ID, Reason: chain.ReasonContent}
		}},
		{"replay an old one as it was", func(s *source) chain.Break {
			r := *s.get(key, 5)
			s.insert(&r)
			return chain.Break{Sequence: 5, ID: r.ID, Reason: chain.ReasonDuplicate}
		}},
		{"replay an old one at the end", func(s *source) chain.Break {
			r := *s.get(key, 2)
			s.heads[key] = chain.Seal(s.heads[key], []*audit.Record{&r})
			r.Hash = s.get(key, 2).Hash
			s.insert(&r)
			return chain.Break{Sequence: size + 1, ID: r.ID, Reason: chain.ReasonContent}
		}},
		{"renumber to a free place", func(s *source) chain.Break {
			s.get(key, 5).Sequence = 400
			s.sorted = nil
			return missing(5)
		}},
		{"renumber to a taken place before", func(s *source) chain.Break {
			r := s.get(key, 9)
			r.Sequence = 3
			s.sorted = nil
			return chain.Break{Sequence: 3, ID: r.ID, Reason: chain.ReasonDuplicate}
		}},
		{"take out of the chain", func(s *source) chain.Break { s.get(key, 5).Sequence = 0; s.sorted = nil; return missing(5) }},
		{"a negative number", func(s *source) chain.Break { s.get(key, 5).Sequence = -5; s.sorted = nil; return missing(5) }},
		{"edit the head's hash", func(s *source) chain.Break {
			h := s.heads[key]
			h.Hash[0] ^= 1
			s.heads[key] = h
			return chain.Break{Sequence: size, ID: id(s, size), Reason: chain.ReasonHead}
		}},
		{"lower the head, leave its hash", func(s *source) chain.Break {
			h := s.heads[key]
			h.Sequence = 8
			s.heads[key] = h
			return chain.Break{Sequence: 8, ID: id(s, 8), Reason: chain.ReasonHead}
		}},
		{"lower the head rightly", func(s *source) chain.Break {
			s.heads[key] = chain.Head{Key: key, Sequence: 8, Hash: s.get(key, 8).Hash}
			return chain.Break{Sequence: 9, ID: id(s, 9), Reason: chain.ReasonBeyond}
		}},
		{"raise the head", func(s *source) chain.Break {
			h := s.heads[key]
			h.Sequence = 20
			s.heads[key] = h
			return tail(size + 1)
		}},
		{"delete the head", func(s *source) chain.Break {
			delete(s.heads, key)
			return chain.Break{Sequence: 1, ID: id(s, 1), Reason: chain.ReasonBeyond}
		}},
		{"a negative head", func(s *source) chain.Break {
			s.heads[key] = chain.Head{Key: key, Sequence: -3}
			return chain.Break{Sequence: 1, ID: id(s, 1), Reason: chain.ReasonBeyond}
		}},
		{"two things at once", func(s *source) chain.Break {
			s.get(key, 9).Action = "x"
			s.remove(s.get(key, 7), s.get(key, 11))
			return missing(7)
		}},
		{"two things at once, the other way round", func(s *source) chain.Break {
			s.get(key, 3).Action = "x"
			s.remove(s.get(key, 7))
			return chain.Break{Sequence: 3, ID: id(s, 3), Reason: chain.ReasonContent}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newChain(size)
			want := c.do(s)
			finds(t, s, want)
		})
	}
}

// pruned is a chain of 16 events without 3 to 7 and 10 to 11; the anchors of
// both runs are 17 and 18, and 19 and 20 are events.
func pruned() *source {
	s := newChain(16)
	s.prune(key, 1, func(seq int64) bool { return seq >= 3 && seq <= 7 || seq == 10 || seq == 11 })
	s.grow(key, 2)
	return s
}

func TestTamperingAroundRemovedRuns(t *testing.T) {
	whole := newChain(16)
	// forge puts an event at a sequence, rightly linked to before.
	forge := func(s *source, seq int64, before audit.Digest) *audit.Record {
		r := s.event(key)
		r.Sequence, r.PrevHash = seq, before
		r.Hash, _ = chain.HashOf(r, nil)
		s.insert(r)
		return r
	}
	rewrite := func(s *source, seq int64, edit func(p map[string]any)) *audit.Record {
		r := s.get(key, seq)
		var p map[string]any
		if err := json.Unmarshal(r.Payload, &p); err != nil {
			t.Fatal(err)
		}
		edit(p)
		r.Payload, _ = json.Marshal(p)
		return r
	}
	missing := func(seq int64) chain.Break { return chain.Break{Sequence: seq, Reason: chain.ReasonMissing} }
	for _, c := range []struct {
		name string
		do   func(s *source) chain.Break
	}{
		{"insert at the beginning of a run", func(s *source) chain.Break {
			r := forge(s, 3, s.get(key, 2).Hash)
			return chain.Break{Sequence: 3, ID: r.ID, Reason: chain.ReasonPruned}
		}},
		{"insert several at the beginning of a run", func(s *source) chain.Break {
			r := forge(s, 3, s.get(key, 2).Hash)
			forge(s, 4, r.Hash)
			return chain.Break{Sequence: 3, ID: r.ID, Reason: chain.ReasonPruned}
		}},
		{"insert in the middle of a run", func(s *source) chain.Break {
			r := forge(s, 5, audit.Digest{1})
			return chain.Break{Sequence: 5, ID: r.ID, Reason: chain.ReasonPruned}
		}},
		{"insert at the end of a run", func(s *source) chain.Break {
			forge(s, 7, audit.Digest{1})
			return chain.Break{Sequence: 8, ID: s.get(key, 8).ID, Reason: chain.ReasonLink}
		}},
		{"fill a run", func(s *source) chain.Break {
			first := forge(s, 10, s.get(key, 9).Hash)
			forge(s, 11, first.Hash)
			return chain.Break{Sequence: 12, ID: s.get(key, 12).ID, Reason: chain.ReasonLink}
		}},
		{"put a removed record back, changed", func(s *source) chain.Break {
			r := *whole.get(key, 4)
			r.Action = "x"
			s.insert(&r)
			return chain.Break{Sequence: 4, ID: r.ID, Reason: chain.ReasonContent}
		}},
		{"put a removed record back as it was", func(s *source) chain.Break {
			// It is genuine, but nothing that is left can prove that.
			r := *whole.get(key, 4)
			s.insert(&r)
			return chain.Break{Sequence: 4, ID: r.ID, Reason: chain.ReasonPruned}
		}},
		{"delete one more before a run", func(s *source) chain.Break { s.remove(s.get(key, 2)); return missing(2) }},
		{"delete one more after a run", func(s *source) chain.Break { s.remove(s.get(key, 8)); return missing(8) }},
		{"delete an island", func(s *source) chain.Break { s.remove(s.get(key, 8), s.get(key, 9)); return missing(8) }},
		{"delete an anchor", func(s *source) chain.Break { s.remove(s.get(key, 18)); return missing(10) }},
		{"edit an anchor", func(s *source) chain.Break {
			rewrite(s, 17, func(p map[string]any) { p["reason"] = "another" })
			return missing(3)
		}},
		{"hide an anchor", func(s *source) chain.Break { s.get(key, 17).Kind = audit.KindEvent; return missing(3) }},
		{"widen an anchor and rehash it", func(s *source) chain.Break {
			s.remove(s.get(key, 12))
			r := rewrite(s, 18, func(p map[string]any) { p["runs"].([]any)[0].(map[string]any)["last"] = 12 })
			r.Hash, _ = chain.HashOf(r, nil)
			return chain.Break{Sequence: 13, ID: s.get(key, 13).ID, Reason: chain.ReasonLink}
		}},
		{"widen an anchor rightly and rehash it", func(s *source) chain.Break {
			hash := s.get(key, 12).Hash
			s.remove(s.get(key, 12))
			r := rewrite(s, 18, func(p map[string]any) {
				run := p["runs"].([]any)[0].(map[string]any)
				run["last"], run["hash"] = 12, hash.String()
			})
			r.Hash, _ = chain.HashOf(r, nil)
			return chain.Break{Sequence: 19, ID: s.get(key, 19).ID, Reason: chain.ReasonLink}
		}},
		{"forge an anchor after the head", func(s *source) chain.Break {
			r := chain.Anchor(key, []chain.Run{{First: 13, Last: 13, PrevHash: s.get(key, 12).Hash, Hash: s.get(key, 13).Hash}}, "", epoch)
			chain.Seal(s.heads[key], []*audit.Record{r})
			s.remove(s.get(key, 13))
			s.insert(r)
			return missing(13)
		}},
		{"forge an anchor outside the chain", func(s *source) chain.Break {
			r := chain.Anchor(key, []chain.Run{{First: 13, Last: 13, PrevHash: s.get(key, 12).Hash, Hash: s.get(key, 13).Hash}}, "", epoch)
			r.Hash, _ = chain.HashOf(r, nil)
			s.remove(s.get(key, 13))
			s.insert(r)
			return missing(13)
		}},
		{"forge an anchor before what it names", func(s *source) chain.Break {
			// The run is named by a record that must have been written before it existed.
			hash := s.get(key, 19).Hash
			r := s.get(key, 18)
			s.remove(s.get(key, 19))
			rewrite(s, 18, func(p map[string]any) {
				p["runs"] = append(p["runs"].([]any), map[string]any{"first": 19, "last": 19, "prev_hash": r.Hash.String(), "hash": hash.String()})
			})
			r.Hash, _ = chain.HashOf(r, nil)
			return missing(19)
		}},
		{"change the record before a run and rehash it", func(s *source) chain.Break {
			r := s.get(key, 2)
			r.Action = "x"
			r.Hash, _ = chain.HashOf(r, nil)
			return chain.Break{Sequence: 3, Reason: chain.ReasonLink}
		}},
		{"change the record after a run and rehash it", func(s *source) chain.Break {
			r := s.get(key, 8)
			r.Action = "x"
			r.Hash, _ = chain.HashOf(r, nil)
			return chain.Break{Sequence: 9, ID: s.get(key, 9).ID, Reason: chain.ReasonLink}
		}},
		{"link the record after a run elsewhere", func(s *source) chain.Break {
			r := s.get(key, 8)
			r.PrevHash[0] ^= 1
			r.Hash, _ = chain.HashOf(r, nil)
			return chain.Break{Sequence: 8, ID: r.ID, Reason: chain.ReasonLink}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pruned()
			want := c.do(s)
			s.sorted = nil
			if strings.Contains(c.name, "anchor") {
				// A range before an anchor that is not confirmed by what follows it
				// does not believe it, so it alarms at the run already.
				findsInWhole(t, s, want)
				return
			}
			finds(t, s, want)
		})
	}
}

// On engines with segments another writer may remove the end of a chain, with
// the record that the head names.
func TestTamperingWithARemovedTail(t *testing.T) {
	other := chain.Key{Scope: scope, Segment: "w2"}
	whole := newChain(9)
	whole.pruneInto(key, other, 1, func(seq int64) bool { return seq >= 7 })
	everyRange(t, whole)

	s := whole.clone()
	h := s.heads[key]
	h.Hash[0] ^= 1
	s.heads[key] = h
	findsInWhole(t, s, chain.Break{Sequence: 9, Reason: chain.ReasonHead})

	s = whole.clone()
	s.remove(s.get(other, 1))
	findsInWhole(t, s, chain.Break{Sequence: 7, Reason: chain.ReasonTail})

	s = whole.clone()
	s.get(other, 1).Payload = json.RawMessage(`{}`)
	findsInWhole(t, s, chain.Break{Sequence: 7, Reason: chain.ReasonTail})

	// An anchor that does not fit the one before it.
	s = newChain(9)
	s.pruneInto(key, other, 1, func(seq int64) bool { return seq == 4 || seq == 5 })
	r := chain.Anchor(key, []chain.Run{{First: 6, Last: 7, Hash: s.get(key, 7).Hash}}, "", epoch)
	s.remove(s.get(key, 6), s.get(key, 7))
	s.seal(other, r)
	findsInWhole(t, s, chain.Break{Sequence: 6, Reason: chain.ReasonLink})
}

// A forged anchor does not help a range that ends before it either.
func TestForgedAnchorAfterTheRange(t *testing.T) {
	for name, place := range map[string]func(s *source, r *audit.Record){
		"beside a record": func(s *source, r *audit.Record) {
			r.Sequence, r.PrevHash = 14, s.get(key, 13).Hash
		},
		"in the place of a record": func(s *source, r *audit.Record) {
			r.Sequence, r.PrevHash = 14, s.get(key, 13).Hash
			s.remove(s.get(key, 14))
		},
		"in the place of the last": func(s *source, r *audit.Record) {
			r.Sequence, r.PrevHash = 20, s.get(key, 19).Hash
			s.remove(s.get(key, 20))
		},
		"in a removed run":   func(_ *source, r *audit.Record) { r.Sequence = 11 },
		"after the head":     func(s *source, r *audit.Record) { chain.Seal(s.heads[key], []*audit.Record{r}) },
		"in no chain":        func(*source, *audit.Record) {},
		"in a chain of none": func(_ *source, r *audit.Record) { r.Segment, r.Sequence = "w9", 3 },
	} {
		t.Run(name, func(t *testing.T) {
			s := pruned()
			r := chain.Anchor(key, []chain.Run{{First: 9, Last: 9, PrevHash: s.get(key, 8).Hash, Hash: s.get(key, 9).Hash}}, "", epoch)
			s.remove(s.get(key, 9))
			place(s, r)
			r.Hash, _ = chain.HashOf(r, nil)
			s.insert(r)
			b := check(t, s, key, chain.VerifyOptions{From: 5, To: 9}).FirstBroken
			if b == nil || b.Sequence != 9 || b.Reason != chain.ReasonMissing {
				t.Errorf("got %+v", b)
			}
		})
	}
}

// Records of another chain of the store, right in themselves, are no substitute.
func TestAnotherChainInItsPlace(t *testing.T) {
	s := newChain(5)
	other := newSource()
	other.grow(chain.Key{Scope: audit.Scope{Tenant: "other"}}, 5)
	s.recs = other.recs
	s.sorted = map[chain.Key][]*audit.Record{key: other.recs}
	b := check(t, s, key, chain.VerifyOptions{}).FirstBroken
	if b == nil || b.Sequence != 1 || b.Reason != chain.ReasonContent {
		t.Errorf("got %+v", b)
	}
}
