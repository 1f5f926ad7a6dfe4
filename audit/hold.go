package audit

import (
	"context"
	"encoding/json"
	"net/url"
)

// HoldsKey names the document of a [Keeper] that has the legal holds in force, a
// JSON list in the order of their making. Package retention writes it; engines
// that delete by themselves read it with [ParseHolds].
const HoldsKey = "retention.holds"

// Holder is a store whose engine deletes records by itself, at a time that lies
// with the record, as DynamoDB does by its TTL: it has to be told of legal holds.
// Fallback: none is needed where only DeleteExpired deletes, as its [Cut] has
// the holds.
type Holder interface {
	// ApplyHolds makes the holds in the document under [HoldsKey] the ones that the
	// engine's own deletion heeds. When it returns nil, no record that one of them
	// selects will be deleted by the engine, nor will one that is being written by
	// any process; and records that only an earlier hold selected are deleted again
	// in their time. It is idempotent, and quick where nothing changed. The store
	// reads the document itself, after it has read what it applied last, so that
	// of two calls at the same time the one with the older list cannot win.
	ApplyHolds(ctx context.Context) error
}

// ParseHold reads what a legal hold selects: filters and a window as URL
// parameters, e.g. tenant=acme&from=2026-01-01; no full text, open, order, limit
// or cursor. An error names the parameter.
func ParseHold(params string) (*Query, error) {
	v, err := url.ParseQuery(params)
	if err != nil {
		return nil, Invalid("params", "cannot be read as URL parameters")
	}
	if len(v) == 0 {
		return nil, Invalid("params", "is empty: kind=event holds everything")
	}
	for _, name := range []string{ParamText, ParamOpen, ParamOrder, ParamLimit, ParamCursor} {
		if v.Has(name) {
			return nil, Invalid("params", "%s has no place in a hold, which has filters and a window only", name)
		}
	}
	q, _, err := ParseParams(v)
	if err != nil {
		return nil, err
	}
	if q, err = q.Validate(); err != nil {
		return nil, err
	}
	q.Limit = 0
	return q, nil
}

// ParseHolds reads the document under [HoldsKey] and gives what each hold selects.
// A document that cannot be read in full is an error: nothing may be deleted then.
func ParseHolds(doc []byte) ([]*Query, error) {
	var list []struct {
		ID     string `json:"id"`
		Params string `json:"params"`
	}
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, &Error{Code: CodeInternal, Message: "the legal holds in the store cannot be read: nothing is deleted", Cause: err}
	}
	out := make([]*Query, len(list))
	for i, h := range list {
		q, err := ParseHold(h.Params)
		if err != nil {
			return nil, &Error{Code: CodeInternal, Message: "the legal hold " + h.ID + " cannot be read: nothing is deleted", Cause: err}
		}
		out[i] = q
	}
	return out, nil
}
