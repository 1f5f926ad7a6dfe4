package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// epoch is 2000-01-01, from which PostgreSQL's binary form counts microseconds.
const epoch = 946_684_800_000_000

// records runs a query whose select list is rowColumns and gives each row to fn
// as a record of its own, which fn may keep.
func (s *Store) records(ctx context.Context, db querier, sql string, args []any, fn func(*audit.Record) error) error {
	// What the connection could not tell by itself, e.g. behind a pooler, is asked
	// for in binary, as decodeRow reads nothing else.
	rows, err := db.Query(ctx, sql, append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	// A name that is not known yet cannot be asked for while the rows come in on
	// the same connection: those records wait for the end.
	type nameless struct {
		scope int32
		rec   *audit.Record
	}
	var later []nameless
	for rows.Next() {
		rec := new(audit.Record)
		scope, err := decodeRow(rows.RawValues(), rec)
		if err != nil {
			return err
		}
		name, ok := s.scopes.nameOf(scope)
		if !ok || len(later) > 0 { // in the order of the rows
			later = append(later, nameless{scope, rec})
			continue
		}
		rec.Namespace, rec.Tenant = name.Namespace, name.Tenant
		if err := fn(rec); err != nil {
			return err
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	for _, l := range later {
		name, err := s.scopeName(ctx, db, l.scope)
		if err != nil {
			return err
		}
		l.rec.Namespace, l.rec.Tenant = name.Namespace, name.Tenant
		if err := fn(l.rec); err != nil {
			return err
		}
	}
	return nil
}

// decodeRow reads a row of rowColumns in binary form. The record's values share
// one piece of memory of its own.
func decodeRow(raw [][]byte, rec *audit.Record) (scope int32, err error) {
	if len(raw) != firstColumn+len(columns) || len(raw[0]) != 4 {
		return 0, &audit.Error{Code: audit.CodeInternal, Message: fmt.Sprintf("a row of %d columns is none of ours", len(raw))}
	}
	size := 0
	for i, f := range columns {
		if f.Kind == audit.Text || f.Kind == audit.Document {
			size += len(raw[firstColumn+i])
		}
	}
	mem := make([]byte, 0, size)
	for i, f := range columns {
		b := raw[firstColumn+i]
		if len(b) == 0 { // NULL, or a text that somebody made empty
			continue
		}
		switch f.Kind {
		case audit.Text:
			from := len(mem)
			mem = append(mem, b...)
			f.SetText(rec, unsafe.String(&mem[from], len(b)))
		case audit.Document:
			from := len(mem)
			mem = append(mem, b...)
			f.SetBytes(rec, mem[from:len(mem):len(mem)])
		case audit.Identity, audit.Hash:
			want := 16
			if f.Kind == audit.Hash {
				want = 32
			}
			// A value of another length is none of ours, so it does not read at all.
			if len(b) == want {
				f.SetBytes(rec, b)
			}
		case audit.Flag:
			if b[0] != 0 {
				f.SetInt(rec, 1)
			}
		default:
			if len(b) != 8 {
				return 0, &audit.Error{Code: audit.CodeInternal, Message: "the column " + column(f) + " is none of ours"}
			}
			n := int64(binary.BigEndian.Uint64(b))
			if f.Kind == audit.Instant {
				n += epoch
			}
			if n != 0 {
				f.SetInt(rec, n)
			}
		}
	}
	return int32(binary.BigEndian.Uint32(raw[0])), nil
}
