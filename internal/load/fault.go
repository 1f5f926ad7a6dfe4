package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// fault is an attempt that failed.
type fault struct {
	kind  string        // status 429, timeout, reset, refused, answer or other
	text  string        // for people
	again bool          // a repetition may succeed
	pause time.Duration // that the server asked for
	open  bool          // the server may have accepted the events all the same
}

// broken classifies an error of the connection.
func broken(err error) *fault {
	f := &fault{kind: "other", text: err.Error(), open: true}
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		f.kind, f.again = "timeout", true
	case errors.Is(err, syscall.ECONNREFUSED):
		f.kind, f.again, f.open = "refused", true, false
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.kind, f.again = "reset", true
	}
	return f
}

// refused classifies an answer that is not 200. After one of 500 and more the
// server may have accepted events; after any other it has not.
func refused(resp *http.Response, body []byte) *fault {
	var problem struct{ Detail string }
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		problem.Detail = string(body) // not from Annals, but from a proxy
	}
	f := &fault{kind: "status " + strconv.Itoa(resp.StatusCode), text: clip(problem.Detail), open: resp.StatusCode >= 500}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.again = true
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		f.pause = min(time.Duration(s)*time.Second, maxPause)
	}
	return f
}

// unreadable is an answer of which the driver cannot tell what it says.
func unreadable(text string) *fault { return &fault{kind: "answer", text: text, open: true} }

func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
