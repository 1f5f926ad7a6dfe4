package copying

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// plan says what is to be done with one chain.
type plan struct {
	from, to chain.Head // where the target's chain ends now, and where the source's did
	ahead    bool       // the target has it all, and has gone on
	report   *ChainReport
}

// plan looks at every chain of both stores before anything is written: it
// verifies what is to be copied, and wants what the target has of a chain to be
// its beginning.
func (c *copier) plan(ctx context.Context) ([]plan, error) {
	if c.chains == nil {
		return nil, nil // a source without chains
	}
	heads, err := c.chains.Heads(ctx, nil)
	if err != nil || len(heads) == 0 {
		return nil, err
	}
	if c.restorer == nil || c.target == nil {
		return nil, audit.Unsupported("the target's engine cannot take in the chains of another store")
	}
	there, err := c.target.Heads(ctx, nil)
	if err != nil {
		return nil, err
	}
	have := make(map[chain.Key]chain.Head, len(there))
	for _, h := range there {
		have[h.Key] = h
	}
	var total int64
	for _, h := range heads {
		total += h.Sequence
	}
	c.step(StepCheck, total)
	plans := make([]plan, len(heads))
	c.report.Chains = make([]ChainReport, len(heads)) // never grows: plans point into it
	for i, h := range heads {
		from, ok := have[h.Key]
		if !ok {
			from = chain.Head{Key: h.Key}
		}
		plans[i] = plan{from: from, to: h, report: &c.report.Chains[i]}
		plans[i].report.Key, plans[i].report.Head = h.Key, h
	}
	return plans, each(ctx, len(plans), func(ctx context.Context, i int) error {
		p, told := &plans[i], c.ladder()
		end := p.to.Sequence
		if err := c.check(ctx, p, told); err != nil {
			return err
		}
		told(end)
		return nil
	})
}

// check compares one chain. Where the target's head moves meanwhile it looks
// again: a server may still carry out the last call of a copy that was killed.
func (c *copier) check(ctx context.Context, p *plan, told func(reached int64)) error {
	for n := 1; ; n++ {
		check := c.checkRest
		if p.from.Sequence > p.to.Sequence {
			check = c.checkAhead
		}
		err := check(ctx, p, told)
		if !errors.Is(err, chain.ErrHeadMoved) {
			return err
		}
		heads, e := c.target.Heads(ctx, &p.from.Scope)
		if e != nil {
			return e
		}
		for _, h := range heads {
			if h.Key == p.from.Key && h != p.from {
				p.from, err = h, nil
			}
		}
		if err != nil || n == patience {
			return diverged(p)
		}
	}
}

// checkRest verifies what the target does not have yet, together with the link
// to what it has.
func (c *copier) checkRest(ctx context.Context, p *plan, told func(reached int64)) error {
	opt := chain.VerifyOptions{From: min(p.from.Sequence+1, max(p.to.Sequence, 1))}
	if p.from.Sequence > 0 {
		opt.Checkpoints = []chain.Head{p.from}
	}
	opt.Progress = func(checked, _ int64) { told(p.from.Sequence + checked) }
	report, err := chain.Verify(ctx, source{c.src, c.chains}, p.to.Key, opt)
	if err != nil {
		return err
	}
	if b := report.FirstBroken; b != nil {
		if b.Reason == chain.ReasonCheckpoint {
			return diverged(p)
		}
		p.report.Broken = b
		return fmt.Errorf("%w: %s at the source: sequence %d, %s %s; nothing was copied", ErrBroken, name(p.to.Key), b.Sequence, b.Reason, b.ID)
	}
	if report.CheckpointPruned {
		return &audit.Error{Code: audit.CodeConflict, Message: fmt.Sprintf(
			"%s: since the copy was cut off after %d, retention has removed from the source what lies on both sides of that, so that the rest cannot be told to follow: empty the target and copy again",
			name(p.to.Key), p.from.Sequence)}
	}
	p.to = report.Head // the one that was verified
	p.report.Head = p.to
	// What the engine cannot keep it says now.
	return c.restorer.Restore(ctx, p.from, p.from, nil)
}

// checkAhead looks at a chain that the target has more of: it has to hold the
// source's head, and is then complete.
func (c *copier) checkAhead(ctx context.Context, p *plan, _ func(int64)) error {
	p.ahead = true
	p.report.Ahead = p.from.Sequence - p.to.Sequence
	if p.to.Sequence == 0 {
		return fmt.Errorf("%w: %s at the source has records and no head; nothing was copied", ErrBroken, name(p.to.Key))
	}
	report, err := chain.Verify(ctx, source{c.dst, c.target}, p.to.Key, chain.VerifyOptions{From: p.to.Sequence, To: p.to.Sequence, Checkpoints: []chain.Head{p.to}})
	if err != nil {
		return err
	}
	if report.FirstBroken != nil || report.CheckpointPruned {
		return diverged(p)
	}
	return nil
}

func diverged(p *plan) error {
	return &audit.Error{Code: audit.CodeConflict, Message: fmt.Sprintf(
		"%s has other records at the target, up to %d: a copy needs a target that has nothing of it, or what an attempt before has copied",
		name(p.to.Key), p.from.Sequence)}
}
