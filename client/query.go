package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
)

// Query answers one page of a question; see annals.Trail.Query.
func (c *Client) Query(ctx context.Context, q *audit.Query, cursor string) (*annals.Page, error) {
	params := q.Params()
	if cursor != "" {
		params.Set(audit.ParamCursor, cursor)
	}
	page := &annals.Page{}
	if err := c.get(ctx, "/v1/events", params, page); err != nil {
		return nil, plain(err)
	}
	return page, nil
}

// Get gives one record, or ErrNotFound.
func (c *Client) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	return c.Find(ctx, ref.ID.String(), &audit.Scope{Namespace: ref.Namespace, Tenant: ref.Tenant})
}

// Find gives the record with the id, which may be the sender's own. Where
// scope is nil and several tenants have the id it asks for the tenant.
func (c *Client) Find(ctx context.Context, id string, scope *audit.Scope) (*audit.Record, error) {
	rid, _, err := audit.IDFrom(id)
	if err != nil {
		return nil, err
	}
	// The UUID stands for the sender's own id and is safe in every path.
	return c.record1(ctx, "/v1/events/"+rid.String(), scope)
}

// GetAction gives the newest record of an action; an intent only while there is
// no other. scope nil looks in every tenant.
func (c *Client) GetAction(ctx context.Context, actionID string, scope *audit.Scope) (*audit.Record, error) {
	if actionID == "" {
		return nil, audit.Invalid("action_id", "is empty")
	}
	return c.record1(ctx, "/v1/actions/"+escape(actionID), scope)
}

// escape writes one segment of a path. A segment of dots alone would be taken
// for a step up.
func escape(s string) string {
	if s == "." || s == ".." {
		return "%2E" + s[1:]
	}
	return url.PathEscape(s)
}

func (c *Client) record1(ctx context.Context, path string, scope *audit.Scope) (*audit.Record, error) {
	rec := &audit.Record{}
	if err := c.get(ctx, path, scopeParams(scope), rec); err != nil {
		return nil, plain(err)
	}
	return rec, nil
}

func scopeParams(s *audit.Scope) url.Values {
	if s == nil {
		return nil
	}
	return url.Values{"namespace": {s.Namespace}, "tenant": {s.Tenant}}
}

// filters are the parameters of a question without those that mean nothing to
// a statistic.
func filters(q *audit.Query) url.Values {
	v := q.Params()
	v.Del(audit.ParamLimit)
	v.Del(audit.ParamOrder)
	return v
}

// Export calls fn with every record that the question selects, in its order,
// as they arrive; Limit is ignored. A connection that ends before the export
// does is ErrUnavailable, so what fn saw until then is never taken for the
// whole. The first attempt alone decides: fn never sees a record twice.
func (c *Client) Export(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	params := q.Params()
	params.Del(audit.ParamLimit)
	params.Set("format", "ndjson")
	var resp *http.Response
	err := c.retry(ctx, func() (err error) {
		resp, err = c.send(ctx, request{method: http.MethodGet, path: "/v1/export", query: params})
		return err
	})
	if err != nil {
		return plain(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return cut(ctx, err)
		}
		end := err != nil
		if len(bytes.TrimSpace(line)) > 0 {
			rec, err := audit.DecodeRecord(line)
			if err != nil {
				return &audit.Error{Code: audit.CodeInternal, Message: "the server's answer cannot be read", Cause: err}
			}
			if err := fn(rec); err != nil {
				return err
			}
		}
		if end {
			return nil
		}
	}
}

// readLine reads one line of any length.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	whole := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.ReadSlice('\n')
		whole = append(whole, line...)
	}
	return whole, err
}
