package annals

import (
	"context"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Chains gives the heads of all chains of the scope, or of every chain when
// scope is nil.
func (t *Trail) Chains(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	r, err := t.chainReader()
	if err != nil {
		return nil, err
	}
	return r.Heads(ctx, scope)
}

// Verify re-reads and re-hashes the chains of one scope: one report for each
// segment, of which engines with compare-and-set have one. Checkpoints may be of
// any of them; one whose chain is not there any more has a report that says so.
// A scope without a chain and without a checkpoint is ErrNotFound. An error means
// that nothing was decided.
func (t *Trail) Verify(ctx context.Context, scope audit.Scope, opt chain.VerifyOptions) (reports []*chain.Report, err error) {
	r, err := t.chainReader()
	if err != nil {
		return nil, err
	}
	done := t.observe(ctx, "verify")
	checked := 0
	defer func() { done(checked, err) }()
	heads, err := r.Heads(ctx, &scope)
	if err != nil {
		return nil, err
	}
	keys, kept, err := chainsOf(scope, heads, opt.Checkpoints)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, &audit.Error{Code: audit.CodeNotFound, Message: "there is no chain in this namespace and tenant"}
	}
	for _, key := range keys {
		opt.Checkpoints = kept[key]
		report, err := chain.Verify(ctx, source{t.store, r}, key, opt)
		if err != nil {
			return nil, err
		}
		checked += int(report.RecordsChecked)
		reports = append(reports, report)
	}
	return reports, nil
}

// chainsOf gives the chains of a scope, those that only checkpoints remember
// among them, by segment, and the checkpoints of each.
func chainsOf(scope audit.Scope, heads, checkpoints []chain.Head) (keys []chain.Key, kept map[chain.Key][]chain.Head, err error) {
	for _, h := range heads {
		keys = append(keys, h.Key)
	}
	kept = map[chain.Key][]chain.Head{}
	for _, cp := range checkpoints {
		if cp.Scope != scope {
			return nil, nil, audit.Invalid("checkpoints", "one belongs to another namespace and tenant")
		}
		if cp.Sequence != 0 && !slices.Contains(keys, cp.Key) {
			keys = append(keys, cp.Key)
		}
		kept[cp.Key] = append(kept[cp.Key], cp)
	}
	slices.SortStableFunc(keys, func(a, b chain.Key) int { return strings.Compare(a.Segment, b.Segment) })
	return keys, kept, nil
}

func (t *Trail) chainReader() (chain.Reader, error) {
	r, ok := audit.As[chain.Reader](t.store)
	if !ok {
		return nil, audit.Unsupported("the engine %s has no hash chain", t.caps.Engine)
	}
	return r, nil
}

type source struct {
	audit.Store
	chain.Reader
}
