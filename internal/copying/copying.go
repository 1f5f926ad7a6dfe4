// Package copying copies a trail from one store to another, record by record as
// it is: order, ids, chain positions, hashes and anchors stay what they were.
// docs/design/copy.md says in which order and why.
package copying

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Options of a copy; the zero value is ready to use.
type Options struct {
	BatchSize int            // records of a call; 0 is what the target likes best
	Progress  func(Progress) // may be nil; is called often, from one goroutine at a time
}

// Progress says what a copy is at.
type Progress struct {
	Step  Step
	Done  int64
	Total int64 // 0 where it is not known
}

// Step is a part of a copy.
type Step string

// The steps, in their order.
const (
	StepCheck   Step = "checking the source" // every chain is verified before anything is written
	StepHolds   Step = "copying legal holds"
	StepChains  Step = "copying chains"
	StepOutside Step = "copying records outside chains"
	StepVerify  Step = "verifying the target"
)

// Report is what a copy has done. Lists are in order and never nil.
type Report struct {
	Copied  int64           `json:"copied"`  // records that were stored now
	Present int64           `json:"present"` // records that the target had from an attempt before
	Holds   int             `json:"holds"`   // legal holds that the target did not have
	Chains  []ChainReport   `json:"chains"`
	Outside []OutsideReport `json:"outside_chains"`
	Began   time.Time       `json:"began"` // what reached the source later may be missing
	Took    float64         `json:"took_seconds"`
}

// ChainReport is what became of one chain.
type ChainReport struct {
	chain.Key
	Head    chain.Head   `json:"head"`   // up to which it was copied
	Copied  int64        `json:"copied"` // records
	Present int64        `json:"present"`
	Source  int64        `json:"records_at_source"` // up to the head
	Target  int64        `json:"records_at_target"`
	Ahead   int64        `json:"ahead,omitempty"` // how far the target's own chain goes on after the head
	Valid   bool         `json:"valid"`
	Broken  *chain.Break `json:"first_broken"`
}

// OutsideReport is what became of the records of one namespace and tenant that
// are outside any chain.
type OutsideReport struct {
	audit.Scope
	Copied  int64 `json:"copied"`
	Present int64 `json:"present"`
	Source  int64 `json:"records_at_source"` // that the copy has seen
	Target  int64 `json:"records_at_target"`
}

// ErrBroken says that a verification found a break: at the source, and then
// nothing was written; or at the target, at the end.
var ErrBroken = errors.New("a chain is broken")

// copier is one copy.
type copier struct {
	opt      Options
	src, dst audit.Store
	chains   chain.Reader // of the source
	target   chain.Reader
	restorer chain.Restorer
	report   *Report
	batch    int

	mu sync.Mutex // of what follows, and of what several chains add to in the report
	at Progress   // of the step under way
}

// Copy copies everything that the source had when it began. It may be repeated
// after it was cut off at any moment, and then goes on where it had stopped. The
// report is given with an error too, as far as there is one to give.
//
// [ErrBroken]: a chain does not verify. audit.ErrConflict: the target has other
// records under the same ids or in the same chains; nothing of it is changed.
func Copy(ctx context.Context, src, dst audit.Store, opt Options) (*Report, error) {
	began := time.Now()
	c := &copier{
		opt: opt, src: src, dst: dst, batch: max(1, cmp.Or(opt.BatchSize, dst.Capabilities().BatchSize)),
		report: &Report{Chains: []ChainReport{}, Outside: []OutsideReport{}, Began: audit.FromMicros(began.UnixMicro())},
	}
	err := c.run(ctx)
	c.report.Took = time.Since(began).Seconds()
	return c.report, err
}

func (c *copier) run(ctx context.Context) error {
	c.chains, _ = audit.As[chain.Reader](c.src)
	c.target, _ = audit.As[chain.Reader](c.dst)
	c.restorer, _ = audit.As[chain.Restorer](c.dst)
	plans, err := c.plan(ctx)
	if err != nil {
		return err
	}
	if err := c.copyHolds(ctx); err != nil {
		return err
	}
	if err := c.copyChains(ctx, plans); err != nil {
		return err
	}
	if err := c.copyOutside(ctx); err != nil {
		return err
	}
	return c.verify(ctx, plans)
}

// step begins one.
func (c *copier) step(s Step, total int64) {
	c.mu.Lock()
	c.at = Progress{Step: s, Total: total}
	c.mu.Unlock()
	c.tell(0)
}

// tell adds to what is done of the step.
func (c *copier) tell(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at.Done += n
	if c.opt.Progress != nil {
		c.opt.Progress(c.at)
	}
}

// ladder gives a function that tells of one chain's progress, which is given in
// whole, and at the end of all that it counts for.
func (c *copier) ladder() func(reached int64) {
	last := int64(0)
	return func(reached int64) {
		c.tell(reached - last)
		last = reached
	}
}

// parallel is how many chains are worked at, at the same time: there may be many
// short ones, of which each takes several calls.
const parallel = 4

// each calls fn for the numbers below n, and gives the error of the lowest.
func each(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, parallel) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = fn(ctx, i); errs[i] != nil {
					stop()
				}
			}
		})
	}
	workers.Wait()
	var stopped error
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled): // perhaps because of another's
			stopped = err
		default:
			return err
		}
	}
	if stopped == nil && ctx.Err() != nil {
		stopped = audit.Unavailable("the copy was given up", ctx.Err())
	}
	return stopped
}

// name names a chain for people.
func name(k chain.Key) string {
	text := fmt.Sprintf("the chain of namespace %q, tenant %q", k.Namespace, k.Tenant)
	if k.Segment != "" {
		text += fmt.Sprintf(", segment %q", k.Segment)
	}
	return text
}

// source is a store as chain.Verify reads it.
type source struct {
	audit.Store
	chain.Reader
}

// wait waits for a store that shows late what it has.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return audit.Unavailable("the copy was given up", ctx.Err())
	}
}

// patience is how often a call is tried whose error a retry may mend.
const patience = 8

// again waits before attempt n, counted from 1, of a call that failed; it gives
// the error back where there is no point.
func again(ctx context.Context, n int, err error) error {
	if !audit.Retryable(err) || n >= patience || ctx.Err() != nil {
		return err
	}
	if wait(ctx, min(10*time.Second, 100*time.Millisecond<<n)) != nil {
		return err
	}
	return nil
}
