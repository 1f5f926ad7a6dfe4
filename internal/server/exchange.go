package server

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/api"
)

// exchange is the response writer of one request. It remembers what was
// answered, and turns the multiplexer's own answers into problems.
type exchange struct {
	http.ResponseWriter
	request  *http.Request
	status   int
	bytes    int64
	id       string
	page     bool // answered by the dashboard or the landing page
	replaced bool // the body that follows has been replaced
}

// WriteHeader implements http.ResponseWriter.
func (e *exchange) WriteHeader(status int) {
	if e.status != 0 || e.replaced {
		return
	}
	if status < 200 { // informational, another one follows
		e.ResponseWriter.WriteHeader(status)
		return
	}
	e.status = status
	// A request without a pattern is one that no operation matched.
	if e.request.Pattern == "" && !e.page && status == http.StatusMethodNotAllowed {
		e.replaced = true
		api.WriteStatus(e.ResponseWriter, status, audit.CodeInvalid, "", e.request.Method+" is not allowed here, but "+e.Header().Get("Allow"))
		return
	}
	if e.request.Pattern == "" && !e.page && status == http.StatusNotFound && strings.HasPrefix(e.Header().Get("Content-Type"), "text/plain") {
		e.replaced = true
		api.WriteStatus(e.ResponseWriter, status, audit.CodeNotFound, "", "there is nothing at this path")
		return
	}
	e.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (e *exchange) Write(b []byte) (int, error) {
	if e.replaced {
		return len(b), nil
	}
	if e.status == 0 {
		e.status = http.StatusOK
	}
	n, err := e.ResponseWriter.Write(b)
	e.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// process tells the request ids of one run of the program from those of another.
var process = func() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}()

var requests atomic.Uint64

// RequestID names the request in the log and in the answer to an error; it is
// made when it is first asked for.
func (e *exchange) RequestID() string {
	if e.id == "" {
		e.id = process + "-" + strconv.FormatUint(requests.Add(1), 10)
	}
	return e.id
}
