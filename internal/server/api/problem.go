package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
)

// Problem is the body of every error: RFC 9457 problem details, type
// application/problem+json, with the code and the field of an audit.Error.
type Problem struct {
	Title     string     `json:"title" doc:"the status in words"`
	Status    int        `json:"status" doc:"the HTTP status"`
	Code      audit.Code `json:"code" doc:"what a program acts on: invalid, not_found, conflict, unsupported, backlog, unavailable, unauthorized, forbidden, too_large or internal"`
	Field     string     `json:"field,omitempty" doc:"the parameter, header or field that is wrong"`
	Detail    string     `json:"detail" doc:"what is wrong, for people"`
	RequestID string     `json:"request_id,omitempty" doc:"with this id the server's log tells more; of many failures of one kind it has one in ten seconds, and all at level debug"`
	// Results is there when no event of a request was accepted.
	Results json.RawMessage `json:"results,omitempty" doc:"what became of each event, where none was accepted"`
}

const problemType = "application/problem+json"

// retryAfter is how many seconds a sender is asked to wait when there was no
// room or no store: long enough for a batch to be written.
const retryAfter = "1"

func (p *Problem) Error() string { return p.Detail }

// GetStatus makes Problem a huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders makes Problem a huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	p.setHeaders(h)
	return h
}

func (p *Problem) setHeaders(h http.Header) {
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
}

// ContentType makes huma send Problem as application/problem+json.
func (p *Problem) ContentType(string) string { return problemType }

// StatusOf gives the HTTP status that stands for a code.
func StatusOf(code audit.Code) int {
	switch code {
	case audit.CodeInvalid:
		return http.StatusBadRequest
	case audit.CodeNotFound:
		return http.StatusNotFound
	case audit.CodeConflict:
		return http.StatusConflict
	case audit.CodeUnsupported:
		return http.StatusNotImplemented
	case audit.CodeBacklog:
		return http.StatusTooManyRequests
	case audit.CodeUnavailable:
		return http.StatusServiceUnavailable
	case audit.CodeUnauthorized:
		return http.StatusUnauthorized
	case audit.CodeForbidden:
		return http.StatusForbidden
	case audit.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError
}

// statusError is an error of ours with an HTTP status that its code does not tell.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

func withStatus(status int, code audit.Code, field, message string) error {
	return &statusError{&audit.Error{Code: code, Field: field, Message: message}, status}
}

// public gives the part of an error that a client may see: our own code, field
// and message, never the text of a cause.
func public(err error) (code audit.Code, field, message string) {
	var e *audit.Error
	switch {
	case errors.As(err, &e) && e.Code != audit.CodeInternal:
		return e.Code, e.Field, e.Message
	case errors.Is(err, context.DeadlineExceeded):
		return audit.CodeUnavailable, "", "the answer took too long"
	case errors.Is(err, context.Canceled):
		return audit.CodeUnavailable, "", "the request was ended before it was answered"
	}
	return audit.CodeInternal, "", "an internal error"
}

// problemOf makes the answer to an error.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	code, field, message := public(err)
	status := StatusOf(code)
	var s *statusError
	if errors.As(err, &s) {
		status = s.status
	}
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Field: field, Detail: message}
}

// identified is implemented by the server's response writer.
type identified interface{ RequestID() string }

// report makes the answer to an error and logs what the client is not told.
func (a *API) report(w http.ResponseWriter, r *http.Request, err error) *Problem {
	p := problemOf(err)
	if p.Status < 500 {
		return p
	}
	if r.Context().Err() != nil {
		return p // the client has gone; nobody waits for the answer
	}
	if i, ok := w.(identified); ok {
		p.RequestID = i.RequestID()
	}
	a.faults.note(r, p, err)
	return p
}

// WriteError answers with the problem that the error stands for, and logs what
// the client is not told.
func (a *API) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, a.report(w, r, err))
}

// WriteStatus answers with a problem of a status that has no code of its own,
// e.g. 405.
func WriteStatus(w http.ResponseWriter, status int, code audit.Code, field, message string) {
	writeProblem(w, problemOf(withStatus(status, code, field, message)))
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(p)
	if err != nil { // results of our own making
		body = []byte(`{"title":"Internal Server Error","status":500,"code":"internal","detail":"an internal error"}`)
	}
	h := w.Header()
	p.setHeaders(h)
	h.Set("Content-Type", problemType)
	h.Del("Content-Length")
	h.Del("Content-Disposition")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// huma asks through a package variable for its error type. Nothing else in the
// program uses huma, so the variable is ours.
func init() {
	huma.NewError = humaError
	huma.DefaultArrayNullable = false // our lists are empty, never null
}

// humaError gives what huma found wrong with a request our form: the first of
// the faults, with the field's name as the client wrote it.
func humaError(status int, message string, errs ...error) huma.StatusError {
	for _, err := range errs {
		var p *Problem
		if errors.As(err, &p) {
			return p
		}
	}
	field := ""
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) {
			detail := d.ErrorDetail()
			message = detail.Message
			if _, name, ok := strings.Cut(detail.Location, "."); ok {
				field = name
			}
			break
		}
	}
	code := audit.CodeInvalid
	switch {
	case status == http.StatusUnprocessableEntity:
		status = http.StatusBadRequest
	case status == http.StatusUnsupportedMediaType:
		field = "Content-Type"
	case status == http.StatusRequestEntityTooLarge:
		code = audit.CodeTooLarge
		message = fmt.Sprintf("the body is larger than %d bytes", maxSmallBody)
	case status >= 500:
		code, message = audit.CodeInternal, "an internal error"
	}
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Field: field, Detail: message}
}
