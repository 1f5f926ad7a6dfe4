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
	err := each(ctx, len(plans), func(ctx context.Context, i int) error {
		told := c.ladder()
		err := c.verifyChain(ctx, &plans[i], told)
		told(plans[i].to.Sequence)
		return err
	})
	for i := 0; i < len(plans) && err == nil; i++ {
		p, r := &plans[i], plans[i].report
		switch {
		case r.Broken != nil:
			err = fmt.Errorf("%w: %s at the target: sequence %d, %s %s", ErrBroken, name(p.to.Key), r.Broken.Sequence, r.Broken.Reason, r.Broken.ID)
		case r.Target < r.Source:
			err = fmt.Errorf("%s has %d records at the target and %d at the source", name(p.to.Key), r.Target, r.Source)
		}
	}
	return err
}

// verifyChain verifies one chain at the target and counts its records on both
// sides. The target may have more of them: those that retention removed from the
// source after they were copied.
func (c *copier) verifyChain(ctx context.Context, p *plan, progress func(checked int64)) error {
	report, err := chain.Verify(ctx, source{c.dst, c.target}, p.to.Key, chain.VerifyOptions{
		Checkpoints: []chain.Head{p.to}, Progress: func(checked, _ int64) { progress(checked) },
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
	c.count(0, r.Present)
	return nil
}
