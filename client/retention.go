package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

// Retention gives the settings, what the server's process has deleted so far,
// and the legal holds.
func (c *Client) Retention(ctx context.Context) (*retention.Status, error) {
	var out retention.Status
	if err := c.get(ctx, "/v1/retention", nil, &out); err != nil {
		return nil, plain(err)
	}
	return &out, nil
}

// retentionAnswer has the one that was asked for.
type retentionAnswer struct {
	Run  *retention.Run  `json:"run"`
	Plan *retention.Plan `json:"plan"`
}

// RetentionRun has the server delete what is due now. ErrConflict: a run is
// under way already, or the server's clock was set.
func (c *Client) RetentionRun(ctx context.Context) (*retention.Run, error) {
	out, err := c.retention(ctx, "run")
	if err == nil && out.Run == nil {
		err = unreadable
	}
	return out.Run, err
}

// RetentionPlan counts what RetentionRun would delete, and deletes nothing.
func (c *Client) RetentionPlan(ctx context.Context) (*retention.Plan, error) {
	out, err := c.retention(ctx, "plan")
	if err == nil && out.Plan == nil {
		err = unreadable
	}
	return out.Plan, err
}

var unreadable error = &audit.Error{Code: audit.CodeInternal, Message: "the server's answer cannot be read"}

func (c *Client) retention(ctx context.Context, action string) (out retentionAnswer, err error) {
	err = c.post(ctx, "/v1/retention", nil, []byte(`{"action":"`+action+`"}`), &out)
	return out, plain(err)
}

// AddHold adds a legal hold. One without an id is sent with one of the
// client's, so that repeated attempts are one hold.
func (c *Client) AddHold(ctx context.Context, h retention.Hold) (out retention.Hold, err error) {
	if h.ID == "" {
		h.ID = audit.NewID().String()
	}
	body, err := json.Marshal(struct {
		ID        string `json:"id"`
		Reason    string `json:"reason"`
		CreatedBy string `json:"created_by,omitempty"`
		Params    string `json:"params"`
	}{h.ID, h.Reason, h.CreatedBy, h.Params})
	if err != nil {
		return out, &audit.Error{Code: audit.CodeInternal, Message: "the request cannot be written", Cause: err}
	}
	err = c.post(ctx, "/v1/retention/holds", nil, body, &out)
	return out, plain(err)
}

// RemoveHold ends a legal hold and gives it back, or ErrNotFound, also where a
// first attempt removed it and its answer was lost.
func (c *Client) RemoveHold(ctx context.Context, id string) (out retention.Hold, err error) {
	if id == "" {
		return out, audit.Invalid("id", "is empty")
	}
	err = c.answer(ctx, request{method: http.MethodDelete, path: "/v1/retention/holds/" + escape(id)}, &out)
	return out, plain(err)
}
