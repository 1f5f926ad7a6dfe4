package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Execer is the part of pgx.Tx that capturing needs.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// TxOption says which tables a transaction captures into.
type TxOption func(*Options)

// InSchema names the schema of the tables, as Options.Schema; without it public.
func InSchema(name string) TxOption { return func(o *Options) { o.Schema = name } }

// WithPrefix gives the prefix of the tables, as Options.Prefix; without it
// [DefaultPrefix].
func WithPrefix(prefix string) TxOption { return func(o *Options) { o.Prefix = prefix } }

// Tx captures records in a transaction of the application on the database of a
// store. Its user needs INSERT on the table outbox, and no more. A store that is
// open on the same tables brings them among the others, see audit.Relayer.
func Tx(tx Execer, options ...TxOption) audit.Outbox {
	return newOutbox(options, enqueueMany, func(ctx context.Context, statement string, records [][]byte) error {
		_, err := tx.Exec(ctx, statement, records)
		return err
	})
}

// SQLTx is [Tx] for database/sql, with any driver that knows byte slices.
func SQLTx(tx *sql.Tx, options ...TxOption) audit.Outbox {
	return newOutbox(options, enqueueOne, func(ctx context.Context, statement string, records [][]byte) error {
		for _, r := range records {
			if _, err := tx.ExecContext(ctx, statement, r); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	enqueueMany = `INSERT INTO @outbox(record) SELECT r FROM unnest($1::bytea[]) WITH ORDINALITY AS u(r, n) ORDER BY n`
	enqueueOne  = `INSERT INTO @outbox(record) VALUES($1)`
)

// outbox is the table outbox in somebody's transaction.
type outbox struct {
	statement string
	err       error // what is wrong with the options
	insert    func(ctx context.Context, statement string, records [][]byte) error
}

func newOutbox(options []TxOption, statement string, insert func(context.Context, string, [][]byte) error) *outbox {
	opt := Options{URL: "-"} // the application has its connection
	for _, o := range options {
		o(&opt)
	}
	opt, err := opt.withDefaults()
	return &outbox{newNames(opt).Replace(statement), err, insert}
}

// Enqueue implements audit.Outbox.
func (o *outbox) Enqueue(ctx context.Context, recs []*audit.Record) error {
	if o.err != nil {
		return o.err
	}
	records := make([][]byte, len(recs))
	for i, r := range recs {
		switch {
		case r.ID.IsZero():
			return audit.Invalid("id", "is required")
		case r.Sequence != 0 || !r.Hash.IsZero():
			return audit.Invalid("sequence", "a record that already has a place in a chain cannot be captured")
		}
		records[i] = chain.AppendEncoding(nil, r)
	}
	if len(records) == 0 {
		return nil
	}
	return translate(ctx, o.insert(ctx, o.statement, records))
}
