package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

type retentionRequest struct {
	Body struct {
		Action string `json:"action" enum:"run,plan" doc:"run: delete what is due now; plan: count it and delete nothing"`
	}
}

type retentionAnswer struct {
	Run  *retention.Run  `json:"run,omitempty" doc:"the account of the run that was asked for"`
	Plan *retention.Plan `json:"plan,omitempty" doc:"the plan that was asked for"`
}

type holdRequest struct {
	Body struct {
		ID        string `json:"id,omitempty" doc:"a UUID of the caller's, so that trying again adds nothing twice; chosen here where it is left out"`
		Reason    string `json:"reason" doc:"why, for people"`
		CreatedBy string `json:"created_by,omitempty" doc:"who adds it"`
		Params    string `json:"params" doc:"what is held: filters and a window as the parameters of a question, e.g. tenant=acme&from=2026-01-01; neither q, open, order, limit nor cursor"`
	}
}

type holdRef struct {
	ID string `path:"id" doc:"id of the hold"`
}

func (a *API) registerRetention() {
	tags := []string{"retention"}
	typed(a, huma.Operation{
		OperationID: "get-retention", Method: http.MethodGet, Path: "/v1/retention", Tags: tags,
		Summary: "Settings, state and legal holds", Description: "How long records are kept, what this process has deleted so far, and what legal holds keep.",
	}, func(ctx context.Context, c *call, _ *struct{}) (*retention.Status, error) {
		if _, err := only(c.r); err != nil {
			return nil, err
		}
		return a.trail.Retention(ctx)
	})
	typed(a, huma.Operation{
		OperationID: "act-retention", Method: http.MethodPost, Path: "/v1/retention", Tags: tags,
		Summary:     "Run now, or plan",
		Description: "Deletes what is due now, or counts it without deleting. A run is 409 while another one is under way, here or in another process, and once after the clock was set. It may take its time; a client that goes away ends it after the batch under way.",
	}, a.actRetention)
	typed(a, huma.Operation{
		OperationID: "add-hold", Method: http.MethodPost, Path: "/v1/retention/holds", Tags: tags,
		Summary:     "Add a legal hold",
		Description: "What a hold selects is deleted neither because it has expired nor because of its age, until the hold is removed. When the answer comes, every deletion heeds the hold.",
	}, func(ctx context.Context, c *call, in *holdRequest) (retention.Hold, error) {
		if _, err := only(c.r); err != nil {
			return retention.Hold{}, err
		}
		unlimited(c.w) // it waits for the batch under way
		b := &in.Body
		return a.trail.AddHold(ctx, retention.Hold{ID: b.ID, Reason: b.Reason, CreatedBy: b.CreatedBy, Params: b.Params})
	})
	typed(a, huma.Operation{
		OperationID: "remove-hold", Method: http.MethodDelete, Path: "/v1/retention/holds/{id}", Tags: tags,
		Summary: "Remove a legal hold", Description: "What it kept may be deleted by the next run. The hold is given back.",
	}, func(ctx context.Context, c *call, in *holdRef) (retention.Hold, error) {
		if _, err := only(c.r); err != nil {
			return retention.Hold{}, err
		}
		return a.trail.RemoveHold(ctx, in.ID)
	})
}

func (a *API) actRetention(ctx context.Context, c *call, in *retentionRequest) (out *retentionAnswer, err error) {
	if _, err := only(c.r); err != nil {
		return nil, err
	}
	unlimited(c.w)
	out = &retentionAnswer{}
	switch in.Body.Action {
	case "run":
		out.Run, err = a.trail.RetentionRun(ctx)
	case "plan":
		out.Plan, err = a.trail.RetentionPlan(ctx)
	default:
		err = audit.Invalid("action", "want run or plan")
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}
