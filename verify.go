package annals

import (
	"context"

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
// segment, of which engines with compare-and-set have one. A scope without a
// chain is ErrNotFound. An error means that nothing was decided.
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
	if len(heads) == 0 {
		return nil, &audit.Error{Code: audit.CodeNotFound, Message: "there is no chain in this namespace and tenant"}
	}
	for _, h := range heads {
		report, err := chain.Verify(ctx, source{t.store, r}, h.Key, opt)
		if err != nil {
			return nil, err
		}
		checked += int(report.RecordsChecked)
		reports = append(reports, report)
	}
	return reports, nil
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
