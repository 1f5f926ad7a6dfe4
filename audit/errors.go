package audit

import (
	"errors"
	"fmt"
)

// Code classes an error so that a program can act on it. The texts of drivers
// never reach a client; the code and our own message do.
type Code string

// The codes, each with what it means for the caller.
const (
	CodeInvalid      Code = "invalid"      // the input is wrong; a retry cannot help
	CodeNotFound     Code = "not_found"    // there is no such record
	CodeConflict     Code = "conflict"     // the id is taken by a record with other content
	CodeUnsupported  Code = "unsupported"  // this engine cannot do that
	CodeBacklog      Code = "backlog"      // the queue is full; nothing was accepted
	CodeUnavailable  Code = "unavailable"  // the store did not answer; a retry may help
	CodeUnauthorized Code = "unauthorized" // no valid credentials
	CodeForbidden    Code = "forbidden"    // valid credentials without the right
	CodeTooLarge     Code = "too_large"    // over a documented limit
	CodeInternal     Code = "internal"     // a fault of ours
)

// Error is what every exported function of Annals returns when it fails.
type Error struct {
	Code    Code
	Field   string // the wire name of the offending field, e.g. "actor.id"; empty where none is
	Message string // for people; says what is wrong with Field
	Cause   error  // for logs; never sent to a client
}

// Error gives the field, the message and the cause.
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is makes errors.Is(err, ErrNotFound) and its like hold for every error of
// that code. [ErrClosed] is the exception: only itself is meant.
func (e *Error) Is(target error) bool {
	if target == ErrClosed {
		return false
	}
	var t *Error
	return errors.As(target, &t) && t.Field == "" && t.Cause == nil && t.Code == e.Code
}

// Errors to compare against with errors.Is; each matches every error of its
// code, but ErrClosed only itself.
var (
	ErrInvalid     error = &Error{Code: CodeInvalid, Message: "invalid"}
	ErrNotFound    error = &Error{Code: CodeNotFound, Message: "not found"}
	ErrConflict    error = &Error{Code: CodeConflict, Message: "the id is taken by a record with other content"}
	ErrUnsupported error = &Error{Code: CodeUnsupported, Message: "not supported by this engine"}
	ErrBacklog     error = &Error{Code: CodeBacklog, Message: "the queue is full, nothing was accepted"}
	ErrUnavailable error = &Error{Code: CodeUnavailable, Message: "the store is unavailable"}
	ErrTooLarge    error = &Error{Code: CodeTooLarge, Message: "too large"}
	ErrClosed      error = &Error{Code: CodeUnavailable, Message: "the trail is closed"}
)

// Invalid makes an error of code invalid about one field.
func Invalid(field, format string, args ...any) error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Unsupported makes an error that says what this engine cannot do.
func Unsupported(format string, args ...any) error {
	return &Error{Code: CodeUnsupported, Message: fmt.Sprintf(format, args...)}
}

// Unavailable wraps a driver's error that a retry may mend.
func Unavailable(what string, cause error) error {
	return &Error{Code: CodeUnavailable, Message: what, Cause: cause}
}

// CodeOf gives the code of the first *Error in err's chain, CodeInternal for
// any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Retryable reports whether the same call may succeed later.
func Retryable(err error) bool {
	if errors.Is(err, ErrClosed) {
		return false
	}
	switch CodeOf(err) {
	case CodeUnavailable, CodeBacklog, CodeInternal:
		return true
	}
	return false
}
