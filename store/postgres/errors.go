package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-dev/annals/audit"
)

// SQLSTATE codes that have a meaning of their own here (PostgreSQL, appendix A).
const (
	stateUniqueViolation   = "23505"
	stateNoPartition       = "23514" // no partition of relation found for row
	stateUndefinedTable    = "42P01"
	stateUndefinedObject   = "42704"
	stateNoPrivilege       = "42501"
	stateReadOnly          = "25006"
	stateLockNotAvailable  = "55P03"
	stateQueryCanceled     = "57014"
	stateDiskFull          = "53100"
	stateTooManyConns      = "53300"
	stateProgramLimit      = "54000"
	stateDeadlock          = "40P01"
	stateSerialization     = "40001"
	stateDuplicateDatabase = "42P04"
)

// state gives the SQLSTATE of an error, "" where it has none.
func state(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// translate makes an *audit.Error of what PostgreSQL or the network said; the
// driver's text is only its cause. ctx tells a call that was given up.
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
	code := state(err)
	switch code {
	case "":
		return audit.Unavailable("the database did not answer", err)
	case stateQueryCanceled:
		return audit.Unavailable("the database took longer than the statement timeout", err)
	case stateLockNotAvailable, stateDeadlock, stateSerialization:
		return audit.Unavailable("the database was busy with another transaction", err)
	case stateDiskFull:
		return audit.Unavailable("the disk of the database is full: nothing was stored", err)
	case stateTooManyConns:
		return audit.Unavailable("the database has no connection left", err)
	case stateReadOnly:
		return audit.Unavailable("the database accepts no writes: it is a replica, or read-only", err)
	case stateNoPrivilege:
		return audit.Unavailable("the database user lacks a privilege, see docs/backends/postgres.md", err)
	case stateUndefinedTable:
		return audit.Unavailable("a table is missing: run annals migrate", err)
	case stateProgramLimit:
		return &audit.Error{Code: audit.CodeTooLarge, Message: "the record is over a limit of PostgreSQL", Cause: err}
	}
	switch code[:2] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system error
		return audit.Unavailable("the database is not available", err)
	case "22": // data exception
		return &audit.Error{Code: audit.CodeInvalid, Message: "PostgreSQL refuses a value of the record", Cause: err}
	}
	return &audit.Error{Code: audit.CodeInternal, Message: "the database refused the operation", Cause: err}
}

// refused reports whether PostgreSQL refuses a value, which no retry mends: a
// data exception (class 22) or a limit of the server's (class 54).
func refused(err error) bool {
	code := state(err)
	return len(code) == 5 && (code[:2] == "22" || code[:2] == "54")
}

// contended reports whether another transaction got in the way, so that the
// same one may succeed at once.
func contended(err error) bool {
	switch state(err) {
	case stateUniqueViolation, stateDeadlock, stateSerialization, stateNoPartition:
		return true
	}
	return false
}
