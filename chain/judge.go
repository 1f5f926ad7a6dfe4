package chain

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// maxAttempts is how often a hole is looked at that no anchor accounts for:
// retention may have been at work between two batches of a walk, and the second
// look then finds records and anchors in step.
const maxAttempts = 5

// gap is a hole in what was read. left is the Hash of the record before it and
// right the PrevHash of the record after it; nil is unknown.
type gap struct {
	first, last int64
	left, right *audit.Digest
}

// outcome is the result of reading and judging one range.
type outcome struct {
	records int64
	broken  *Break
	pruned  []Pruned
}

// pass reads a range and judges what was read.
func (v *verifier) pass(ctx context.Context, from, to int64, attempt int, progress func(checked, total int64)) (*outcome, error) {
	s, err := v.scan(ctx, from, to, progress)
	if err != nil {
		return nil, err
	}
	if attempt == 0 {
		v.walked = s.anchors
	}
	j := judge{verifier: v, from: from, to: to, attempt: attempt, scanned: s}
	j.out = outcome{records: s.records, broken: s.broken}
	if err := j.run(ctx); err != nil {
		return nil, err
	}
	return &j.out, nil
}

// judge decides what the holes and the ends of a range mean.
type judge struct {
	*verifier
	from, to int64
	attempt  int
	scanned  *scanned
	anchors  *anchors // loaded when first needed, which is after the reading
	out      outcome
}

// past reports whether a break was found at or before the sequence, so that
// nothing from there on can come first.
func (j *judge) past(seq int64) bool { return j.out.broken != nil && j.out.broken.Sequence <= seq }

func (j *judge) fail(b *Break) { j.out.broken = lower(j.out.broken, b) }

func (j *judge) run(ctx context.Context) error {
	before, absent, err := j.beforeFirst(ctx)
	if err != nil {
		return err
	}
	next := j.from
	for _, s := range j.scanned.stretches {
		if j.past(next) {
			return nil
		}
		switch {
		case s.first > next:
			if err := j.hole(ctx, gap{next, s.first - 1, before, &s.prev}); err != nil {
				return err
			}
		case before != nil && *before != s.prev:
			j.fail(&Break{Sequence: s.first, Reason: ReasonLink})
		case absent && next == j.from:
			if err := j.runBefore(ctx, s.first, s.prev); err != nil {
				return err
			}
		}
		before, next = &s.hash, s.last+1
	}
	// A break at the very last record still lets a mismatch there count, by rank.
	if j.out.broken != nil && j.out.broken.Sequence < j.to {
		return nil
	}
	if j.to == j.head.Sequence {
		return j.tail(ctx, next, before)
	}
	return j.afterLast(ctx, next, before)
}

// beforeFirst gives the hash that the range's first record must link to:
// nothing for the first of all, else that of the record before, if it is there
// once and unchanged. absent reports that there is none.
func (j *judge) beforeFirst(ctx context.Context) (before *audit.Digest, absent bool, err error) {
	if j.from == 1 {
		return &audit.Digest{}, false, nil
	}
	found, err := j.at(ctx, j.key, j.from-1, j.from-1)
	if len(found) == 1 && found[0].intact {
		before = &found[0].hash
	}
	return before, len(found) == 0, err
}

// runBefore checks the range's first record against the removed run that ends
// just before it.
func (j *judge) runBefore(ctx context.Context, first int64, prev audit.Digest) error {
	a, err := j.load(ctx)
	if err != nil {
		return err
	}
	run, ok, _, err := a.cover(ctx, first-1, nil)
	if err == nil && ok && run.Last == first-1 && run.Hash != prev {
		j.fail(&Break{Sequence: first, Reason: ReasonLink, Detail: "its prev_hash is not the hash at the end of the removed run before it"})
	}
	return err
}

// tail checks the end of the chain against its head.
func (j *judge) tail(ctx context.Context, next int64, before *audit.Digest) error {
	if next <= j.to {
		return j.hole(ctx, gap{next, j.to, before, &j.head.Hash})
	}
	if before != nil && *before != j.head.Hash {
		j.fail(&Break{Sequence: j.to, Reason: ReasonHead})
	}
	return nil
}

// afterLast checks the end of a range against the record after it, or against
// the removed run that begins there.
func (j *judge) afterLast(ctx context.Context, next int64, before *audit.Digest) error {
	after := j.to + 1
	found, err := j.at(ctx, j.key, after, after)
	if err != nil {
		return err
	}
	var right *audit.Digest
	if len(found) == 1 && found[0].intact {
		right = &found[0].prev
	}
	switch {
	case next <= j.to:
		return j.hole(ctx, gap{next, j.to, before, right})
	case right != nil && before != nil && *before != *right:
		j.fail(&Break{Sequence: after, ID: found[0].id, Reason: ReasonLink})
		return nil
	case len(found) > 0 || before == nil:
		return nil
	}
	a, err := j.load(ctx)
	if err != nil {
		return err
	}
	if _, ok, _, err := a.cover(ctx, after, before); err != nil || !ok {
		return err // what is after the range is not judged
	}
	return j.hole(ctx, gap{after, after, before, nil})
}

// hole judges a gap. If no anchor accounts for it, the gap and whatever removed
// runs it touches are read again before that is believed.
func (j *judge) hole(ctx context.Context, g gap) error {
	a, err := j.load(ctx)
	if err != nil {
		return err
	}
	run, broken, err := a.account(ctx, g)
	if err != nil {
		return err
	}
	if broken == nil {
		if run.First <= j.to {
			j.out.pruned = append(j.out.pruned, run)
		}
		return nil
	}
	if j.attempt+1 < maxAttempts {
		if err := wait(ctx, j.lag); err != nil {
			return err
		}
		first, last := a.around(g)
		again, err := j.pass(ctx, first, min(last, j.head.Sequence), j.attempt+1, nil)
		if err != nil {
			return err
		}
		if again.broken == nil {
			j.out.pruned = append(j.out.pruned, again.pruned...)
			return nil
		}
		broken = again.broken
	}
	if broken.Reason == ReasonMissing && j.to == j.head.Sequence && g.last == j.to {
		broken.Reason = ReasonTail
	}
	if broken.Reason == ReasonLink && broken.Sequence > j.head.Sequence {
		broken.Sequence, broken.Reason = j.head.Sequence, ReasonHead
	}
	j.fail(broken)
	return nil
}

func (j *judge) load(ctx context.Context) (*anchors, error) {
	if j.anchors == nil {
		a, err := j.loadAnchors(ctx, j.scanned)
		if err != nil {
			return nil, err
		}
		j.anchors = a
	}
	return j.anchors, nil
}
