package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// policyAnswer is policy.Config with every default filled in.
type policyAnswer struct {
	Enabled           bool         `json:"enabled" doc:"false: nothing is recorded"`
	Level             policy.Level `json:"level" doc:"the recording level" enum:"all,writes_only,mutations_only,deletes_only,failures_only"`
	AlwaysLogFailures bool         `json:"always_log_failures" doc:"failures and denials pass whatever the level"`
	ExcludeActions    []string     `json:"exclude_actions" doc:"actions that are never recorded; exact or * patterns"`
	ExcludeResources  []string     `json:"exclude_resources" doc:"resource types that are never recorded; exact or * patterns"`
	SampleRate        float64      `json:"sample_rate" doc:"share kept of what passed so far"`
	SampleReads       float64      `json:"sample_reads" doc:"the same for reads"`
}

func (a *API) registerPolicy() {
	typed(a, huma.Operation{
		OperationID: "get-policy", Method: http.MethodGet, Path: "/v1/policy", Tags: []string{"policy"},
		Summary: "The policy in force", Description: "What is recorded, with every default filled in.",
	}, func(_ context.Context, c *call, _ *struct{}) (*policyAnswer, error) {
		if _, err := only(c.r); err != nil {
			return nil, err
		}
		return policyOf(a.trail.Policy()), nil
	})
	a.plain(huma.Operation{
		OperationID: "explain-policy", Method: http.MethodPost, Path: "/v1/policy/explain", Tags: []string{"policy"},
		Summary: "Explain a decision", Description: "Says whether the event would be recorded and which rule decides; nothing is recorded.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{typeJSON: {Schema: ref("Event")}}},
		Responses:   jsonResponse("The rules up to the one that decides.", a.schemaOf(policy.Explanation{})),
	}, a.explain)
}

func policyOf(c policy.Config) *policyAnswer {
	p := &policyAnswer{
		Enabled: !c.Disabled, Level: c.Level, AlwaysLogFailures: c.AlwaysLogFailures,
		ExcludeActions: list(c.ExcludeActions), ExcludeResources: list(c.ExcludeResources),
		SampleRate: 1,
	}
	if c.SampleRate != nil {
		p.SampleRate = *c.SampleRate
	}
	p.SampleReads = p.SampleRate
	if c.SampleReads != nil {
		p.SampleReads = *c.SampleReads
	}
	return p
}

func (a *API) explain(w http.ResponseWriter, r *http.Request) error {
	if _, err := only(r); err != nil {
		return err
	}
	kind, err := mediaType(r)
	if err != nil {
		return err
	}
	if kind != typeJSON {
		return withStatus(http.StatusUnsupportedMediaType, audit.CodeInvalid, "Content-Type", "want "+typeJSON)
	}
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	h := hold{of: &a.bodies}
	defer h.release()
	body, err := readBody(w, r, (*buf)[:0], maxSmallBody, &h)
	*buf = body
	if err != nil {
		return err
	}
	if len(trim(body)) == 0 {
		return audit.Invalid("", "the body is empty")
	}
	ev, err := audit.DecodeEvent(body)
	if err != nil {
		return err
	}
	// What the door would refuse has no explanation by policy.
	check := &audit.Record{Event: *ev}
	if err := audit.Normalize(check, audit.FromMicros(1)); err != nil {
		return err
	}
	if ev.ID.IsZero() {
		ev.ID = audit.NewID() // sampling may look at it
	}
	out, err := json.Marshal(a.trail.Explain(ev))
	if err != nil {
		return err
	}
	writeJSON(w, out)
	return nil
}
