package spool

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/annals-dev/annals/audit"
)

// ErrFull is what errors.Is finds in the error of an Append that would have
// gone over [Options.MaxBytes], and of a Put over [DeadLetterOptions]. Its code
// is backlog: nothing was accepted.
var ErrFull error = &audit.Error{Code: audit.CodeBacklog, Field: "", Message: "the spool is full, nothing was accepted"}

func full(used, need, limit int64) error {
	return &audit.Error{
		Code: audit.CodeBacklog, Field: "spool.max_bytes",
		Message: fmt.Sprintf("the spool is full: %d bytes wait, %d more would be over the %d that are allowed; nothing was accepted", used, need, limit),
	}
}

func tooLarge(size, limit int) error {
	return &audit.Error{Code: audit.CodeTooLarge, Field: "entry", Message: fmt.Sprintf("has %d bytes, at most %d", size, limit)}
}

// notWritten is the answer to a commit that failed.
func notWritten(cause error) error {
	if errors.Is(cause, syscall.ENOSPC) || errors.Is(cause, syscall.EDQUOT) {
		return audit.Unavailable("the disk of the spool is full; the entry was not acknowledged", cause)
	}
	return audit.Unavailable("the spool cannot write to its disk; the entry was not acknowledged", cause)
}

// leftEarly is the answer to a caller that stopped waiting for a sync under way.
func leftEarly(cause error) error {
	return audit.Unavailable("the spool has not answered yet: the entry may still become durable", cause)
}

// leftOutside is the answer to a caller that stopped waiting before its entry was taken.
func leftOutside(cause error) error {
	return &audit.Error{
		Code: audit.CodeBacklog, Message: "the spool is busy and the caller stopped waiting; nothing was accepted", Cause: cause,
	}
}
