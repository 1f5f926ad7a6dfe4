package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// TxOption says which tables a transaction captures into.
type TxOption func(*Options)

// WithPrefix gives the prefix of the tables, as Options.Prefix; without it
// [DefaultPrefix].
func WithPrefix(prefix string) TxOption { return func(o *Options) { o.Prefix = prefix } }

// Tx captures records in a transaction of the application on the file of a
// store, which then brings them among the others, see audit.Relayer.
//
// Where the store is open in the same process the transaction's driver must be
// modernc.org/sqlite, or one that is made of it: two copies of SQLite in one
// process undo each other's locks on a file, which damages it ("How To Corrupt
// An SQLite Database File", section 2.2.1).
func Tx(tx *sql.Tx, options ...TxOption) audit.Outbox {
	opt := Options{Path: "-"} // the application has its connection
	for _, o := range options {
		o(&opt)
	}
	opt, err := opt.withDefaults()
	return &outbox{tx, strings.ReplaceAll("INSERT INTO @outbox(record) VALUES(?)", "@", opt.Prefix), err}
}

// outbox is the table outbox in somebody's transaction.
type outbox struct {
	tx        *sql.Tx
	statement string
	err       error // what is wrong with the options
}

// Enqueue implements audit.Outbox.
func (o *outbox) Enqueue(ctx context.Context, recs []*audit.Record) error {
	if o.err != nil {
		return o.err
	}
	for _, r := range recs {
		switch {
		case r.ID.IsZero():
			return audit.Invalid("id", "is required")
		case r.Sequence != 0 || !r.Hash.IsZero():
			return audit.Invalid("sequence", "a record that already has a place in a chain cannot be captured")
		}
		if _, err := o.tx.ExecContext(ctx, o.statement, chain.AppendEncoding(nil, r)); err != nil {
			return audit.Unavailable("the transaction did not take the record", err)
		}
	}
	return nil
}
