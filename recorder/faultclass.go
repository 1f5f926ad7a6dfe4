package recorder

import (
	"context"
	"errors"

	"github.com/annals-dev/annals/audit"
)

// class says whose fault an error of a whole call is.
type class uint8

const (
	classOdd    class = iota // nobody knows: a fault of the store's code, or one record's
	classDown                // the store's: all records wait for it
	classRecord              // some record's: the batch is split until it is alone
)

// classOf classes an error. What the store may not do (unauthorized, forbidden:
// credentials that ran out, a disk that is full) is the store's fault too: the
// records are good and wait until somebody has mended it.
func classOf(err error) class {
	if isContext(err) {
		return classDown
	}
	switch audit.CodeOf(err) {
	case audit.CodeUnavailable, audit.CodeBacklog, audit.CodeUnauthorized, audit.CodeForbidden:
		return classDown
	case audit.CodeInvalid, audit.CodeConflict, audit.CodeTooLarge:
		return classRecord
	}
	return classOdd
}

// isContext reports whether a call ended because its time did.
func isContext(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
