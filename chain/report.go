package chain

import (
	"cmp"
	"context"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// Report is the result of verifying one chain.
type Report struct {
	Key
	Valid          bool     `json:"valid"`
	RecordsChecked int64    `json:"records_checked"`
	FirstBroken    *Break   `json:"first_broken,omitempty"`
	Head           Head     `json:"head"`
	Pruned         []Pruned `json:"pruned"`    // holes of the range, made by retention and vouched for by an anchor
	Unchained      int64    `json:"unchained"` // records of the scope outside any chain, e.g. from before the chain was switched on
	From           int64    `json:"from"`
	To             int64    `json:"to"`
	// CheckpointPruned is set when retention removed a checkpoint's record and
	// the one after it: then its hash cannot be compared any more.
	CheckpointPruned bool `json:"checkpoint_pruned,omitempty"`
}

// Pruned is a hole that retention made.
type Pruned struct {
	Run
	// Reason is that of the anchors that account for it, each once, in the order
	// of the sequences, with "; " between two.
	Reason string `json:"reason,omitempty"`
}

// Break says where a chain is broken first, in the order of sequences.
type Break struct {
	Sequence int64    `json:"sequence"`
	ID       audit.ID `json:"id,omitzero"` // of the record at that sequence, where there is one
	Reason   Reason   `json:"reason"`
	Detail   string   `json:"detail,omitempty"`
}

// Reason says how a chain is broken.
type Reason string

// The reasons. Where one sequence gives several, the first of this list is reported.
const (
	ReasonDuplicate  Reason = "sequence_twice"    // two records claim one sequence
	ReasonContent    Reason = "content_changed"   // the record's content does not give its hash
	ReasonLink       Reason = "link_broken"       // the record's prev_hash is not the hash of the one before
	ReasonPruned     Reason = "inside_pruned_run" // a record stands where retention removed a run, and nothing after it confirms it
	ReasonMissing    Reason = "record_missing"    // a sequence is absent and no anchor accounts for it
	ReasonTail       Reason = "tail_missing"      // the head names a record that is not there
	ReasonHead       Reason = "head_mismatch"     // the head's hash is not that of the last record
	ReasonBeyond     Reason = "beyond_head"       // there is a record after the head
	ReasonCheckpoint Reason = "checkpoint_broken" // the chain does not hold the checkpoint any more
)

// Reasons are all reasons, in the order in which they win.
func Reasons() []Reason {
	return []Reason{
		ReasonDuplicate, ReasonContent, ReasonLink, ReasonPruned, ReasonMissing,
		ReasonTail, ReasonHead, ReasonBeyond, ReasonCheckpoint,
	}
}

func (r Reason) rank() int {
	for i, other := range Reasons() {
		if r == other {
			return i
		}
	}
	return len(Reasons())
}

// lower gives the break that comes first; either may be nil.
func lower(a, b *Break) *Break {
	switch {
	case a == nil:
		return b
	case b == nil || a.Sequence < b.Sequence:
		return a
	case b.Sequence < a.Sequence || b.Reason.rank() < a.Reason.rank():
		return b
	}
	return a
}

// identify fills in the id of the record at the break, where there is one. Of
// two records with one sequence it names the one that its own hash and its
// neighbours speak for less, of equal ones the last.
func (v *verifier) identify(ctx context.Context, b *Break) error {
	if b == nil || !b.ID.IsZero() {
		return nil
	}
	found, err := v.at(ctx, v.key, max(b.Sequence-1, 1), b.Sequence+1)
	if err != nil {
		return err
	}
	least := 1 << 10
	for _, r := range found {
		if r.sequence != b.Sequence {
			continue
		}
		score := 0
		if r.intact {
			score += 4
		}
		if b.Sequence == 1 && r.prev.IsZero() {
			score += 2
		}
		for _, other := range found {
			switch {
			case other.sequence < r.sequence && other.hash == r.prev:
				score += 2
			case other.sequence > r.sequence && other.prev == r.hash:
				score++
			}
		}
		if score <= least {
			least, b.ID = score, r.id
		}
	}
	return nil
}

// within gives the runs that lie in the range, in order, each once. A second
// look at a hole may have given one twice, or more than the range.
func within(runs []Pruned, from, to int64) []Pruned {
	slices.SortFunc(runs, func(a, b Pruned) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last)) })
	out := []Pruned{}
	end := int64(0)
	for _, r := range runs {
		if r.First <= to && r.Last >= from && r.Last > end {
			out = append(out, r)
			end = r.Last
		}
	}
	return out
}
