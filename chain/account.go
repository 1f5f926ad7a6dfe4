package chain

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// anchorPage is how many anchors are read at a time; one can hold [MaxRuns].
const anchorPage = 50

// anchor is a prune record that a verification has read.
type anchor struct {
	key      Key // the chain it lies in
	sequence int64
	hash     audit.Digest
	reason   string
	decided  bool
	fault    string // why it does not count; empty when it does
}

// anchoredRun is a removed run and the anchor that names it.
type anchoredRun struct {
	Run
	by *anchor
}

// anchors are the removed runs of one chain.
type anchors struct {
	*verifier
	in    *scanned      // what was read; nil when nothing was
	runs  []anchoredRun // by First
	reach []int64       // the largest Last of the runs up to each
}

// loadAnchors reads every anchor of the chain. An anchor counts when its own
// hash is right, it lies after what it names (where that is the same chain), and
// it was met in the range under verification or else is confirmed by what
// follows it.
func (v *verifier) loadAnchors(ctx context.Context, in *scanned) (*anchors, error) {
	a := &anchors{verifier: v, in: in}
	q, err := (&audit.Query{
		Filters: []audit.Filter{audit.Is("namespace", v.key.Namespace), audit.Is("tenant", v.key.Tenant), audit.Is("kind", string(audit.KindPrune))},
		Order:   audit.OldestFirst, Limit: anchorPage,
	}).Validate()
	if err != nil {
		return nil, err
	}
	var buf []byte
	for {
		page, err := v.src.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			buf = a.take(r, buf)
		}
		if page.Next.IsZero() {
			break
		}
		q.After = page.Next
	}
	slices.SortFunc(a.runs, func(x, y anchoredRun) int { return cmp.Or(cmp.Compare(x.First, y.First), cmp.Compare(x.Last, y.Last)) })
	var far int64
	for _, r := range a.runs {
		far = max(far, r.Last)
		a.reach = append(a.reach, far)
	}
	return a, nil
}

// take keeps the runs of one anchor.
func (a *anchors) take(r *audit.Record, buf []byte) []byte {
	var p anchorPayload
	if r.Kind != audit.KindPrune || json.Unmarshal(r.Payload, &p) != nil || p.Segment != a.key.Segment {
		return buf
	}
	by := &anchor{key: KeyOf(r), sequence: r.Sequence, hash: r.Hash, reason: p.Reason}
	var sum audit.Digest
	sum, buf = HashOf(r, buf)
	switch {
	case sum != r.Hash:
		by.decided, by.fault = true, "was changed"
	case r.Sequence < 1 || by.key.Scope != a.key.Scope:
		by.decided, by.fault = true, "is not in the chain"
	}
	for _, run := range p.Runs {
		if run.First < 1 || run.Last < run.First || by.key == a.key && run.Last >= r.Sequence {
			continue
		}
		a.runs = append(a.runs, anchoredRun{run, by})
	}
	return buf
}

// trust decides whether an anchor counts.
func (a *anchors) trust(ctx context.Context, by *anchor) (bool, error) {
	if by.decided {
		return by.fault == "", nil
	}
	_, ok := a.walked[by.hash]
	if !ok {
		var err error
		if ok, err = a.linked(ctx, by); err != nil {
			return false, err
		}
	}
	by.decided = true
	if !ok {
		by.fault = "is not in the chain"
	}
	return ok, nil
}

// linked reports whether an anchor is the only record of its sequence, and what
// follows confirms it: the record after it, or the head, or
// the run that was removed after it.
func (a *anchors) linked(ctx context.Context, by *anchor) (bool, error) {
	for second := false; ; second = true {
		found, err := a.at(ctx, by.key, by.sequence, by.sequence+1)
		if err != nil {
			return false, err
		}
		mine, next, confirmed := 0, 0, false
		for _, r := range found {
			switch {
			case r.sequence != by.sequence:
				next++
				confirmed = confirmed || r.prev == by.hash
			case r.hash != by.hash:
				return false, nil
			default:
				mine++
			}
		}
		if mine != 1 || next > 0 {
			return mine == 1 && confirmed, nil
		}
		head, err := headOf(ctx, a.src, by.key)
		switch {
		case err != nil || head.Sequence < by.sequence:
			return false, err
		case head.Sequence == by.sequence:
			return head.Hash == by.hash, nil
		case second:
			return by.key != a.key || slices.ContainsFunc(a.runs, func(r anchoredRun) bool {
				return r.First == by.sequence+1 && r.PrevHash == by.hash
			}), nil
		}
		// The chain may have grown after the first look.
	}
}

// cover gives the run that accounts best for a sequence: one that begins there
// and links to before (if that is known), else one that began earlier, else one
// that begins there; of several the longest. fault says what is wrong with the
// anchor of a run that does not count.
func (a *anchors) cover(ctx context.Context, seq int64, before *audit.Digest) (best anchoredRun, ok bool, fault string, err error) {
	end, _ := slices.BinarySearchFunc(a.runs, seq+1, func(r anchoredRun, first int64) int { return cmp.Compare(r.First, first) })
	rank := 0
	for i := end - 1; i >= 0 && a.reach[i] >= seq; i-- {
		r := a.runs[i]
		if r.Last < seq {
			continue
		}
		trusted, err := a.trust(ctx, r.by)
		if err != nil {
			return anchoredRun{}, false, "", err
		}
		if !trusted {
			fault = fmt.Sprintf("the anchor at sequence %d that names it %s", r.by.sequence, r.by.fault)
			continue
		}
		this := 1
		switch {
		case r.First < seq:
			this = 2
		case before == nil || r.PrevHash == *before:
			this = 3
		}
		if this > rank || this == rank && r.Last > best.Last {
			best, rank = r, this
		}
	}
	return best, rank > 0, fault, nil
}

// account decides whether removed runs cover the gap, and gives it as a run, or
// the first sequence where they do not.
//
// The first run must begin where the gap begins, because its PrevHash alone
// confirms the record before; each further one must go on from the hash where
// the last ended, or overlap it; the last must end with the hash that the record
// after the gap links to, or reach further: then that record is the rest of a
// run under removal, and the records after it confirm it.
func (a *anchors) account(ctx context.Context, g gap) (Pruned, *Break, error) {
	whole := Pruned{Run: Run{First: g.first, Last: g.last}}
	var reasons []string
	before := g.left
	for seq := g.first; ; {
		run, ok, fault, err := a.cover(ctx, seq, before)
		switch {
		case err != nil:
			return Pruned{}, nil, err
		case !ok:
			if fault == "" && seq < g.last {
				fault = fmt.Sprintf("no anchor accounts for the sequences %d to %d", seq, g.last)
			}
			return Pruned{}, &Break{Sequence: seq, Reason: ReasonMissing, Detail: fault}, nil
		case run.First < seq && seq == g.first && before != nil:
			first := max(run.First, a.startOf(seq-1))
			return Pruned{}, &Break{Sequence: first, Reason: ReasonPruned, Detail: fmt.Sprintf("retention removed the sequences %d to %d", run.First, run.Last)}, nil
		case run.First == seq && before != nil && run.PrevHash != *before:
			return Pruned{}, &Break{Sequence: seq, Reason: ReasonLink, Detail: "the removed run that begins there does not link to the record before"}, nil
		}
		if why := run.by.reason; why != "" && !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
		if seq == g.first && run.First == seq {
			whole.PrevHash = run.PrevHash
		}
		if run.Last < g.last {
			before, seq = &run.Hash, run.Last+1
			continue
		}
		if run.Last == g.last {
			if g.right != nil && run.Hash != *g.right {
				return Pruned{}, &Break{Sequence: g.last + 1, Reason: ReasonLink, Detail: "its prev_hash is not the hash at the end of the removed run before it"}, nil
			}
			whole.Hash = run.Hash
		} else if g.right != nil {
			whole.Hash = *g.right
		}
		whole.Reason = strings.Join(reasons, "; ")
		return whole, nil, nil
	}
}

// startOf gives the first record of the stretch that ends at the sequence.
func (a *anchors) startOf(last int64) int64 {
	if a.in != nil {
		for _, s := range a.in.stretches {
			if s.first <= last && last <= s.last {
				return s.first
			}
		}
	}
	return last
}

// around widens a gap by every removed run that overlaps it, however far they reach.
func (a *anchors) around(g gap) (first, last int64) {
	first, last = g.first, g.last
	for grown := true; grown; {
		grown = false
		for _, r := range a.runs {
			if r.by.fault == "" && r.First <= last && r.Last >= first && (r.First < first || r.Last > last) {
				first, last, grown = min(first, r.First), max(last, r.Last), true
			}
		}
	}
	return first, last
}
