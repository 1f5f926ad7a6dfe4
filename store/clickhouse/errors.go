package clickhouse

import (
	"context"
	"errors"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/annals-dev/annals/audit"
)

// Codes of ClickHouse's exceptions that have a meaning of their own here
// (ClickHouse, src/Common/ErrorCodes.cpp).
const (
	codeUnknownTable      = 60
	codeUnknownDatabase   = 81
	codeTimeout           = 159
	codeReadOnly          = 164
	codeTooManyQueries    = 202
	codeMemory            = 241
	codeTableReadOnly     = 242
	codeNoSpace           = 243
	codeTooManyParts      = 252
	codeCancelled         = 394
	codeNoAccess          = 497
	codeAuthentication    = 516
	codeTooManyPartitions = 691
)

// codeOf gives the code of an exception, 0 where the server sent none.
func codeOf(err error) int32 {
	var e *driver.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// translate makes an *audit.Error of what ClickHouse or the network said; the
// driver's text is only its cause. ctx tells a call that was given up.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var ours *audit.Error
	if errors.As(err, &ours) {
		return err
	}
	if errors.Is(err, driver.ErrConnectionClosed) {
		return audit.ErrClosed
	}
	if ended := ctx.Err(); ended != nil {
		return audit.Unavailable("the call was given up", ended)
	}
	switch codeOf(err) {
	case 0:
		return audit.Unavailable("the database did not answer", err)
	case codeTimeout, codeCancelled:
		return audit.Unavailable("the database took longer than the statement timeout", err)
	case codeTooManyQueries, codeMemory, codeTooManyParts, codeTooManyPartitions:
		return audit.Unavailable("the database has more to do than it can", err)
	case codeNoSpace:
		return audit.Unavailable("the disk of the database is full: nothing was stored", err)
	case codeReadOnly, codeTableReadOnly:
		return audit.Unavailable("the database accepts no writes", err)
	case codeNoAccess:
		return audit.Unavailable("the database user lacks a privilege, see docs/backends/clickhouse.md", err)
	case codeAuthentication:
		return &audit.Error{Code: audit.CodeUnavailable, Field: "url", Message: "the database does not know the user or the password", Cause: err}
	case codeUnknownTable, codeUnknownDatabase:
		return audit.Unavailable("a table is missing: run annals migrate", err)
	}
	return &audit.Error{Code: audit.CodeInternal, Message: "the database refused the operation", Cause: err}
}
