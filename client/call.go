package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/annals-dev/annals/audit"
)

const (
	maxPause  = 5 * time.Second
	maxAnswer = 1 << 30 // bytes of an answer that is read whole
)

// request describes one call.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	kind   string // of the body
	body   []byte
	header http.Header
}

// get asks for a value.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	return c.answer(ctx, request{method: http.MethodGet, path: path, query: query}, into)
}

// post sends a value and asks for another.
func (c *Client) post(ctx context.Context, path string, query url.Values, body []byte, into any) error {
	return c.answer(ctx, request{method: http.MethodPost, path: path, query: query, kind: "application/json", body: body}, into)
}

func (c *Client) answer(ctx context.Context, rq request, into any) error {
	return c.retry(ctx, func() error {
		resp, err := c.send(ctx, rq)
		if err != nil {
			return err
		}
		defer drain(resp.Body)
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return cut(ctx, err)
		}
		return decode(body, into)
	})
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return &audit.Error{Code: audit.CodeInternal, Message: "the server's answer cannot be read", Cause: err}
	}
	return nil
}

// retry runs a call until it succeeds, fails for good, or has had its attempts.
func (c *Client) retry(ctx context.Context, call func() error) error {
	pause := c.opt.Backoff
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil || attempt >= c.opt.Attempts || !passing(err) || ctx.Err() != nil {
			return err
		}
		if wait(ctx, max(jitter(pause), asked(err))) != nil {
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

// passing reports whether the same call may succeed in a moment.
func passing(err error) bool {
	switch audit.CodeOf(err) {
	case audit.CodeUnavailable, audit.CodeBacklog:
		return true
	}
	return false
}

func jitter(d time.Duration) time.Duration { return d - time.Duration(rand.Int64N(int64(d)/2+1)) }

// wait waits, unless ctx ends first or would end before.
func wait(ctx context.Context, d time.Duration) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retryAfter is an error with the pause that the server asked for.
type retryAfter struct {
	error
	pause time.Duration
}

func (e *retryAfter) Unwrap() error { return e.error }

func asked(err error) time.Duration {
	var r *retryAfter
	if errors.As(err, &r) {
		return min(r.pause, maxPause)
	}
	return 0
}

// send sends one request and gives an answer of status 200, whose body the
// caller closes, or the error that the server reported.
func (c *Client) send(ctx context.Context, rq request) (*http.Response, error) {
	u := *c.base
	path, err := url.PathUnescape(rq.path)
	if err != nil {
		return nil, audit.Invalid("path", "cannot be written")
	}
	u.Path, u.RawPath = c.base.Path+path, c.base.EscapedPath()+rq.path
	u.RawQuery = rq.query.Encode()
	var body io.Reader
	if rq.body != nil {
		body = bytes.NewReader(rq.body)
	}
	r, err := http.NewRequestWithContext(ctx, rq.method, u.String(), body)
	if err != nil {
		return nil, audit.Invalid("server", "the request cannot be made")
	}
	for name, values := range rq.header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", c.opt.UserAgent)
	if rq.kind != "" {
		r.Header.Set("Content-Type", rq.kind)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, cut(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer drain(resp.Body)
	return nil, problem(resp)
}

// cut is the error for a connection that failed.
func cut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return audit.Unavailable("the server does not answer", err)
}

func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4096) // so that the connection can be used again
	_ = body.Close()                        // it was read
}

// rejection is an error whose answer says what became of each event.
type rejection struct {
	error
	results []result
}

func (e *rejection) Unwrap() error { return e.error }

// problem reads the server's error.
func problem(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what is there is enough
	var p struct {
		Code      audit.Code `json:"code"`
		Field     string     `json:"field"`
		Detail    string     `json:"detail"`
		RequestID string     `json:"request_id"`
		Results   []result   `json:"results"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		p.Code, p.Field, p.Results = codeOf(resp.StatusCode), "", nil
		p.Detail = "the server answered " + resp.Status
	}
	if p.RequestID != "" {
		p.Detail += " (request " + p.RequestID + ")"
	}
	var err error = &rejection{&audit.Error{Code: p.Code, Field: p.Field, Message: p.Detail}, p.Results}
	if s, e := strconv.Atoi(resp.Header.Get("Retry-After")); e == nil && s > 0 {
		err = &retryAfter{err, time.Duration(s) * time.Second}
	}
	return err
}

// codeOf gives the code for an answer that did not come from Annals, e.g. from
// a proxy in front of it.
func codeOf(status int) audit.Code {
	switch status {
	case http.StatusUnauthorized:
		return audit.CodeUnauthorized
	case http.StatusForbidden:
		return audit.CodeForbidden
	case http.StatusNotFound:
		return audit.CodeNotFound
	case http.StatusRequestEntityTooLarge:
		return audit.CodeTooLarge
	case http.StatusTooManyRequests:
		return audit.CodeBacklog
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return audit.CodeUnavailable
	}
	if status >= 500 {
		return audit.CodeInternal
	}
	return audit.CodeInvalid
}
