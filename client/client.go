// Package client talks to a running Annals server. A [Client] has the methods
// of annals.Trail with the same meaning and, wherever possible, the same
// signatures, so that a program can hold either.
package client

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// DefaultAttempts is how often a call is tried in all.
const DefaultAttempts = 5

// Options configure a Client; the zero value is ready to use.
type Options struct {
	// HTTPClient sends the requests; nil is a client of its own with no limit on
	// the whole call, since exports and live tails have none: bound calls by
	// their context.
	HTTPClient *http.Client
	// Attempts is how often a call is tried in all when the server did not
	// answer, had no room, or could not reach its store; 0 is DefaultAttempts, 1
	// tries once. Between attempts the client waits, longer each time, or as
	// long as the server says. Every call may be repeated without harm: events
	// get their ids before the first attempt.
	Attempts int
	// Backoff is the pause after the first attempt, 0 is 100 ms. It doubles up
	// to 5 s, and each pause is shortened by a random share of up to a half.
	Backoff time.Duration
	// UserAgent names the program to the server; "" is "annals-client".
	UserAgent string
}

// Client asks one server. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
	opt  Options
}

// New makes a client of the server at baseURL, e.g. http://127.0.0.1:8480. It
// does not connect; an error names what is wrong with the options.
func New(baseURL string, opt Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, audit.Invalid("server", "%q is not an address such as http://127.0.0.1:8480", baseURL)
	}
	if opt.Attempts < 0 {
		return nil, audit.Invalid("attempts", "is negative")
	}
	if opt.Backoff < 0 {
		return nil, audit.Invalid("backoff", "is negative")
	}
	if opt.Attempts == 0 {
		opt.Attempts = DefaultAttempts
	}
	if opt.Backoff == 0 {
		opt.Backoff = 100 * time.Millisecond
	}
	if opt.UserAgent == "" {
		opt.UserAgent = "annals-client"
	}
	if opt.HTTPClient == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 64
		opt.HTTPClient = &http.Client{Transport: t}
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return &Client{base: base, http: opt.HTTPClient, opt: opt}, nil
}

// Close lets go of idle connections. The client may be used on.
func (c *Client) Close() { c.http.CloseIdleConnections() }
