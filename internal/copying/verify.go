package copying

import (
	"context"
	"fmt"

	"github.com/annals-dev/annals/chain"
)

// verify reads back what is at the target now, and compares.
func (c *copier) verify(ctx context.Context, plans []plan) error {
	if len(plans) == 0 {
		return nil
	}
	if err := wait(ctx, c.dst.Capabilities().Lag); err != nil {
		return err
	}
	var total int64
	for _, p := range plans {
		total += p.to.Sequence
	}
	c.step(StepVerify, total)
	var first error
	for i := range plans {
		p := &plans[i]
		before := c.done
		if err := c.verifyChain(ctx, p, func(checked int64) {
			c.done = before
			c.tell(StepVerify, checked, total)
		}); err != nil {
			return err
		}
		c.done = before
		c.tell(StepVerify, p.to.Sequence, total)
		r := p.report
		switch {
		case first != nil:
		case r.Broken != nil:
			first = fmt.Errorf("%w: %s at the target: sequence %d, %s %s", ErrBroken, name(p.to.Key), r.Broken.Sequence, r.Broken.Reason, r.Broken.ID)
		case r.Target < r.Source:
			first = fmt.Errorf("%s has %d records at the target and %d at the source", name(p.to.Key), r.Target, r.Source)
		}
	}
	return first
}

// verifyChain verifies one chain at the target and counts its records on both
// sides. The target may have more of them: those that retention removed from the
// source after they were copied.
func (c *copier) verifyChain(ctx context.Context, p *plan, progress func(checked int64)) error {
	report, err := chain.Verify(ctx, source{c.dst, c.target}, p.to.Key, chain.VerifyOptions{
		Checkpoint: &p.to, Progress: func(checked, _ int64) { progress(checked) },
	})
	if err != nil {
		return err
	}
	r := p.report
	r.Valid, r.Broken = report.Valid, report.FirstBroken
	if r.Source, err = chainOf(ctx, c.src, p.to); err != nil {
		return err
	}
	if r.Target, err = chainOf(ctx, c.dst, p.to); err != nil {
		return err
	}
	r.Present = max(0, r.Target-r.Copied)
	c.report.Present += r.Present
	return nil
}
