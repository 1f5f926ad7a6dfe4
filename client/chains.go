package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
)

// Chains gives the heads of all chains of the scope, or of every chain when
// scope is nil.
func (c *Client) Chains(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	var out struct {
		Chains []chain.Head `json:"chains"`
	}
	err := c.get(ctx, "/v1/chains", scopeParams(scope), &out)
	return out.Chains, plain(err)
}

// Verify has the server re-read and re-hash the chains of one scope: one report
// for each segment. Workers is the server's own; Progress is called once, at
// the end.
func (c *Client) Verify(ctx context.Context, scope audit.Scope, opt chain.VerifyOptions) ([]*chain.Report, error) {
	body, err := json.Marshal(struct {
		audit.Scope
		From        int64        `json:"from,omitempty"`
		To          int64        `json:"to,omitempty"`
		Checkpoints []chain.Head `json:"checkpoints,omitempty"`
	}{scope, opt.From, opt.To, opt.Checkpoints})
	if err != nil {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: "the request cannot be written", Cause: err}
	}
	var out struct {
		RecordsChecked int64           `json:"records_checked"`
		Segments       []*chain.Report `json:"segments"`
	}
	if err := c.post(ctx, "/v1/chains/verify", nil, body, &out); err != nil {
		return nil, plain(err)
	}
	if opt.Progress != nil {
		opt.Progress(out.RecordsChecked, out.RecordsChecked)
	}
	return out.Segments, nil
}

// Policy gives the recording policy in force at the server.
func (c *Client) Policy(ctx context.Context) (policy.Config, error) {
	var p struct {
		Enabled           bool         `json:"enabled"`
		Level             policy.Level `json:"level"`
		AlwaysLogFailures bool         `json:"always_log_failures"`
		ExcludeActions    []string     `json:"exclude_actions"`
		ExcludeResources  []string     `json:"exclude_resources"`
		SampleRate        float64      `json:"sample_rate"`
		SampleReads       float64      `json:"sample_reads"`
	}
	if err := c.get(ctx, "/v1/policy", nil, &p); err != nil {
		return policy.Config{}, plain(err)
	}
	return policy.Config{
		Disabled: !p.Enabled, Level: p.Level, AlwaysLogFailures: p.AlwaysLogFailures,
		ExcludeActions: p.ExcludeActions, ExcludeResources: p.ExcludeResources,
		SampleRate: &p.SampleRate, SampleReads: &p.SampleReads,
	}, nil
}

// Explain says whether the server would record the event and which rule decides.
func (c *Client) Explain(ctx context.Context, ev *audit.Event) (policy.Explanation, error) {
	var out policy.Explanation
	rec := audit.Record{Event: *ev}
	if err := checkDocuments(&rec); err != nil {
		return out, err
	}
	body, err := ev.MarshalJSON()
	if err != nil {
		return out, err
	}
	err = c.post(ctx, "/v1/policy/explain", nil, body, &out)
	return out, plain(err)
}

// checkDocuments finds a document that would make the event no JSON.
func checkDocuments(rec *audit.Record) error {
	for _, f := range audit.Fields() {
		if f.Kind != audit.Document || f.Absent(rec) {
			continue
		}
		if _, err := audit.CompactDocument(f.Bytes(rec)); err != nil {
			return audit.Invalid(f.Path, "is not JSON")
		}
	}
	return nil
}

// Ping checks that the server answers and is ready. It is tried once.
func (c *Client) Ping(ctx context.Context) error {
	resp, err := c.send(ctx, request{method: http.MethodGet, path: "/readyz"})
	if err != nil {
		return plain(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // a few bytes that say what the status says
	_ = resp.Body.Close()                 // it was read
	return nil
}
