package copying

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// batchBytes bounds a batch; a record has at most a megabyte.
const batchBytes = 8 << 20

// copyChains copies what the target lacks of each chain.
func (c *copier) copyChains(ctx context.Context, plans []plan) error {
	var total int64
	for _, p := range plans {
		total += max(0, p.to.Sequence-p.from.Sequence)
	}
	c.step(StepChains, total)
	return each(ctx, len(plans), func(ctx context.Context, i int) error { return c.copyChain(ctx, &plans[i]) })
}

func (c *copier) copyChain(ctx context.Context, p *plan) error {
	if p.ahead || p.from.Sequence == p.to.Sequence {
		return nil
	}
	at := p.from
	var batch batch
	send := func(to chain.Head) error {
		err := c.restore(ctx, at, to, batch.recs)
		if err != nil {
			return fmt.Errorf("%s: %w", name(p.to.Key), err)
		}
		n := int64(len(batch.recs))
		p.report.Copied += n
		c.count(n, 0)
		c.tell(to.Sequence - at.Sequence)
		at = to
		batch.clear()
		return nil
	}
	err := c.chains.Walk(ctx, p.to.Key, p.from.Sequence+1, p.to.Sequence, func(recs []*audit.Record) error {
		for _, r := range recs {
			if batch.full(c.batch) {
				if err := send(chain.HeadAt(batch.recs[len(batch.recs)-1])); err != nil {
					return err
				}
			}
			batch.add(r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Also where nothing is left of the end but an anchor elsewhere.
	return send(p.to)
}

// count adds to the sums of the report.
func (c *copier) count(copied, present int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Copied += copied
	c.report.Present += present
}

// restore stores one batch and has patience. After an error that leaves open how
// far it came the target says so.
func (c *copier) restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	for n := 1; ; n++ {
		err := c.restorer.Restore(ctx, from, to, recs)
		if err == nil {
			return nil
		}
		// By an attempt before, or by a call of a copy that was killed and that the
		// server has still carried out.
		moved := errors.Is(err, chain.ErrHeadMoved)
		if !moved {
			if err := again(ctx, n, err); err != nil {
				return err
			}
		}
		heads, e := c.target.Heads(ctx, &from.Scope)
		if e != nil && moved {
			return err
		}
		if e != nil {
			continue // it is tried as it was
		}
		old := from
		for _, h := range heads {
			if h == to {
				return nil
			}
			for i, r := range recs {
				if h == chain.HeadAt(r) {
					from, recs = h, recs[i+1:]
					break
				}
			}
		}
		if moved && from == old {
			return err
		}
	}
}

// batch gathers records, which it copies, as those of a walk are used again.
type batch struct {
	recs []*audit.Record
	size int
}

func (b *batch) add(r *audit.Record) {
	b.recs = append(b.recs, clone(r))
	b.size += sizeOf(r)
}

func (b *batch) full(n int) bool {
	return len(b.recs) > 0 && (len(b.recs) >= n || b.size >= batchBytes)
}

func (b *batch) clear() { b.recs, b.size = b.recs[:0], 0 }

// clone gives a copy that shares no memory with r, as that may be used again.
func clone(r *audit.Record) *audit.Record {
	c := *r
	for _, f := range audit.Fields() {
		switch f.Kind {
		case audit.Text:
			if v := f.Text(r); v != "" {
				f.SetText(&c, strings.Clone(v))
			}
		case audit.Document:
			f.SetBytes(&c, slices.Clone(f.Bytes(r)))
		}
	}
	return &c
}

func sizeOf(r *audit.Record) int {
	n := 1 << 10
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			n += len(f.Bytes(r))
		}
	}
	return n
}
