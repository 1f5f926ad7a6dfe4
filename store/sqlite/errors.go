package sqlite

import (
	"context"
	"errors"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// translate makes an *audit.Error of what SQLite said; the driver's text is
// only its cause. ctx tells a call that was given up from a busy database.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var ours *audit.Error
	if errors.As(err, &ours) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		return audit.Unavailable("the call was given up", ended)
	}
	switch z.ErrCode(err).ToPrimary() {
	case z.ResultBusy, z.ResultLocked:
		return audit.Unavailable("the database is busy: another process holds its write lock", err)
	case z.ResultFull:
		return audit.Unavailable("the disk is full: nothing was stored", err)
	case z.ResultIOErr:
		return audit.Unavailable("the database file could not be read or written: the disk may be full or failing", err)
	case z.ResultCantOpen:
		return audit.Unavailable("the database file cannot be opened", err)
	case z.ResultReadOnly:
		return audit.Unavailable("the database file may not be written", err)
	case z.ResultCorrupt:
		return &audit.Error{Code: audit.CodeInternal, Message: "the database file is damaged", Cause: err}
	case z.ResultNotADB:
		return &audit.Error{Code: audit.CodeInternal, Message: "the file is not an SQLite database", Cause: err}
	case z.ResultTooBig:
		return &audit.Error{Code: audit.CodeTooLarge, Message: "the record is too large for SQLite", Cause: err}
	}
	return &audit.Error{Code: audit.CodeInternal, Message: "the database refused the operation", Cause: err}
}

// breaks reports whether a connection should not be used again after the error.
func breaks(err error) bool {
	switch z.ErrCode(err).ToPrimary() {
	case z.ResultIOErr, z.ResultCorrupt, z.ResultNotADB, z.ResultCantOpen, z.ResultMisuse, z.ResultNoMem:
		return true
	}
	return false
}
