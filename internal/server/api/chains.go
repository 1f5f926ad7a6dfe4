package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

type chainsAnswer struct {
	Chains []chain.Head `json:"chains"`
}

type verifyRequest struct {
	Body struct {
		Namespace   string       `json:"namespace,omitempty" doc:"the chain's namespace"`
		Tenant      string       `json:"tenant,omitempty" doc:"the chain's tenant"`
		From        int64        `json:"from,omitempty" minimum:"0" doc:"first sequence; the chain's beginning where it is left out"`
		To          int64        `json:"to,omitempty" minimum:"0" doc:"last sequence; the head where it is left out"`
		Checkpoints []chain.Head `json:"checkpoints,omitempty" doc:"heads that were kept elsewhere; the chain must still hold them"`
	}
}

// verifyAnswer sums up all segments of a scope; engines with compare-and-set
// have one.
type verifyAnswer struct {
	Valid          bool            `json:"valid" doc:"every segment is valid"`
	RecordsChecked int64           `json:"records_checked"`
	FirstBroken    *chain.Break    `json:"first_broken,omitempty" doc:"where the first segment that is broken is broken first"`
	Head           chain.Head      `json:"head" doc:"of the segment that is broken first, or else of the last one"`
	Segments       []*chain.Report `json:"segments"`
}

func (a *API) registerChains() {
	typed(a, huma.Operation{
		OperationID: "list-chains", Method: http.MethodGet, Path: "/v1/chains", Tags: []string{"integrity"},
		Summary: "List the chains", Description: "The head of every chain, or of those of one scope, by namespace, tenant and segment.",
		Parameters: scopeParams(),
	}, func(ctx context.Context, c *call, _ *struct{}) (chainsAnswer, error) {
		params, err := only(c.r, paramNamespace, paramTenant)
		if err != nil {
			return chainsAnswer{}, err
		}
		heads, err := a.trail.Chains(ctx, scopeOf(params))
		return chainsAnswer{list(heads)}, err
	})
	typed(a, huma.Operation{
		OperationID: "verify-chain", Method: http.MethodPost, Path: "/v1/chains/verify", Tags: []string{"integrity"},
		Summary:     "Verify a chain",
		Description: "Reads and hashes every record of the range again. The answer is 200 whether or not the chain is valid; an error means that nothing was decided. A scope without a chain is 404, unless a checkpoint says that there was one. On a large chain it takes its time.",
	}, a.verify)
}

func (a *API) verify(ctx context.Context, c *call, in *verifyRequest) (*verifyAnswer, error) {
	if _, err := only(c.r); err != nil {
		return nil, err
	}
	b := &in.Body
	if b.To != 0 && b.To < b.From {
		return nil, audit.Invalid("to", "is before from")
	}
	unlimited(c.w)
	reports, err := a.trail.Verify(ctx, audit.Scope{Namespace: b.Namespace, Tenant: b.Tenant}, chain.VerifyOptions{From: b.From, To: b.To, Checkpoints: b.Checkpoints})
	if err != nil {
		return nil, err
	}
	out := &verifyAnswer{Valid: true, Segments: reports}
	for _, r := range reports {
		r.Pruned = list(r.Pruned)
		out.RecordsChecked += r.RecordsChecked
		if out.Valid {
			out.Head = r.Head
		}
		if !r.Valid && out.Valid {
			out.Valid, out.FirstBroken = false, r.FirstBroken
		}
	}
	return out, nil
}
