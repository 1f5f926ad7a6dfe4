package elasticsearch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/annals-dev/annals/audit"
)

// client speaks HTTP to the nodes of a cluster. A node that does not answer is
// passed over by the next attempt.
type client struct {
	nodes  []*url.URL
	auth   string // the header Authorization
	http   *http.Client
	idle   func()
	opt    *Options
	closed func() bool

	at atomic.Int64 // the node that answered last
}

func newClient(opt *Options, closed func() bool) (*client, error) {
	nodes, user, err := opt.addresses()
	if err != nil {
		return nil, err
	}
	c := &client{nodes: nodes, opt: opt, closed: closed, idle: func() {}}
	switch {
	case opt.APIKey != "":
		c.auth = "ApiKey " + opt.APIKey
	case user != nil:
		r := http.Request{Header: http.Header{}}
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
		c.auth = r.Header.Get("Authorization")
	}
	transport := opt.transport
	if transport == nil {
		secure, err := opt.TLS.config()
		if err != nil {
			return nil, err
		}
		t := &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: opt.CallTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:     secure,
			TLSHandshakeTimeout: opt.CallTimeout,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     time.Minute,
		}
		transport, c.idle = t, t.CloseIdleConnections
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// request is one call of the REST interface.
type request struct {
	method, path string
	query        string // of the URL, encoded
	body         []byte
	lines        bool // the body is newline-delimited JSON
	// once says that the call must not be repeated after an answer that was lost.
	once bool
	// large says that the answer may be too much for the server's memory, so that
	// asking for the same again is of no use.
	large bool
	// long says that the call may take longer than Options.CallTimeout.
	long bool
}

// breaker is the type of the error of a server whose memory does not suffice.
const breaker = "circuit_breaking_exception"

// answer is what came back. again is set when an attempt before had no answer,
// so that it may have done what was asked.
type answer struct {
	status int
	body   []byte
	again  bool
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 30

// do makes the call, again and again while the server has no room or does not
// answer. An answer of any other status is the caller's to judge.
func (c *client) do(ctx context.Context, r request) (answer, error) {
	var lost bool
	for attempt := 0; ; attempt++ {
		a, wait, err := c.attempt(ctx, &r)
		a.again = lost
		var retry bool
		switch {
		case err != nil:
			lost, retry = true, !r.once
		case a.status == http.StatusTooManyRequests:
			f := refusal(a)
			retry = !r.large || !f.is(breaker) // nothing was done
			err = f
		case a.status == http.StatusServiceUnavailable || a.status == http.StatusBadGateway || a.status == http.StatusGatewayTimeout:
			lost, retry = true, !r.once
			err = refusal(a)
		default:
			return a, nil
		}
		if !retry || attempt >= c.opt.MaxRetries || ctx.Err() != nil {
			return a, c.unavailable(ctx, err, attempt+1)
		}
		if sleep(ctx, max(wait, backoff(attempt))) != nil {
			return a, c.unavailable(ctx, err, attempt+1)
		}
	}
}

func (c *client) attempt(ctx context.Context, r *request) (_ answer, wait time.Duration, err error) {
	timeout := c.opt.CallTimeout
	if r.long {
		timeout = max(timeout, c.opt.Timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	at := c.at.Load()
	node := c.nodes[int(at)%len(c.nodes)]
	address := node.String() + r.path
	if r.query != "" {
		address += "?" + r.query
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, 0, err
	}
	if r.body == nil {
		req.Body, req.ContentLength = nil, 0
	} else if r.lines {
		req.Header.Set("Content-Type", "application/x-ndjson")
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.at.CompareAndSwap(at, (at+1)%int64(len(c.nodes)))
		return answer{}, 0, err
	}
	defer res.Body.Close()
	var buf bytes.Buffer
	if n := res.ContentLength; n > 0 && n < maxAnswer {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err = io.Copy(&buf, io.LimitReader(res.Body, maxAnswer)); err != nil {
		return answer{}, 0, err
	}
	if seconds, e := strconv.Atoi(res.Header.Get("Retry-After")); e == nil && seconds > 0 {
		wait = min(time.Duration(seconds)*time.Second, 10*time.Second)
	}
	return answer{status: res.StatusCode, body: buf.Bytes()}, wait, nil
}

// unavailable is the error of a call that was given up.
func (c *client) unavailable(ctx context.Context, err error, attempts int) error {
	if c.closed() {
		return audit.ErrClosed
	}
	if ctx.Err() != nil {
		return audit.Unavailable("the call to the search cluster was given up", errors.Join(context.Cause(ctx), err))
	}
	if attempts > 1 {
		return audit.Unavailable("the search cluster did not answer or had no room, after "+strconv.Itoa(attempts)+" attempts", err)
	}
	return audit.Unavailable("the search cluster did not answer or had no room", err)
}

// backoff is how long to wait before the next attempt: about 20 ms at first, at
// most about 2 s, with jitter so that writers do not come back together.
func backoff(attempt int) time.Duration {
	d := min(20*time.Millisecond<<min(attempt, 10), 2*time.Second)
	return d/2 + rand.N(d)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
