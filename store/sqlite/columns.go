package sqlite

import (
	"strings"

	"github.com/annals-dev/annals/audit"
)

// This file is the one mapping between the fields of a record and the columns
// that hold them. A column has the name of its field. What is absent is NULL,
// which takes one byte and no call to bind it.
//
// Namespace and tenant have no column of their own: a record names their row
// in the table of scopes.

// recordColumns are the columns of the table records, in its order: what scans
// and statistics look at first, what can be long last. Those tables are read
// from front to back, so the rows are kept narrow, and what only whole records
// need is in the table bodies.
var recordColumns = columnsOf(
	"id", "occurred_at", "recorded_at", "kind", "outcome", "duration_ms", "enriched", "actor", "tool_name",
	"toolkit_kind", "session_id", "actor_email", "metadata", "action", "operation", "actor_type", "resource_type",
	"resource", "enrichment_mode", "tokens_full", "tokens_dedup", "request_bytes", "response_bytes", "response_blocks",
	"sequence", "segment", "expires_at", "level", "action_id", "correlation_id", "trace_id", "span_id", "request_id",
	"external_id", "service", "provider", "transport", "host", "method", "toolkit", "connection", "persona",
	"actor_team", "actor_ip", "auth_method", "on_behalf_of", "error_code", "verdict", "rule", "actor_name",
	"resource_name", "path", "purpose", "user_agent", "error",
)

// bodyColumns are the columns of the table bodies.
var bodyColumns = columnsOf(
	"prev_hash", "hash", "details", "parameters", "changes_before", "changes_after", "payload",
)

// allColumns are both, in the order in which rows are selected.
var allColumns = append(recordColumns[:len(recordColumns):len(recordColumns)], bodyColumns...)

var occurredAt = columnsOf("occurred_at")[0]

func columnsOf(names ...string) []*audit.Field {
	out := make([]*audit.Field, len(names))
	for i, name := range names {
		f, ok := audit.FieldByName(name)
		if !ok {
			panic("sqlite: there is no field " + name)
		}
		out[i] = f
	}
	return out
}

// columnType is the type of a field's column. The tables are STRICT, so a value
// of another type, which would read alike and not be found, is refused by SQLite.
func columnType(f *audit.Field) string {
	switch f.Kind {
	case audit.Text, audit.Document:
		return "TEXT"
	case audit.Identity, audit.Hash:
		return "BLOB"
	}
	return "INTEGER"
}

// rowColumns is the select list that decoder reads.
var rowColumns = func() string {
	var b strings.Builder
	b.WriteString("r.n, r.scope")
	for _, f := range recordColumns {
		b.WriteString(", r." + f.Name)
	}
	for _, f := range bodyColumns {
		b.WriteString(", b." + f.Name)
	}
	return b.String()
}()

// firstColumn is the place of the first field in rowColumns.
const firstColumn = 2

// insertSQL gives the statement that stores one row of a table whose first
// columns are keys.
func insertSQL(table string, keys []string, fields []*audit.Field) string {
	names := append([]string{}, keys...)
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return "INSERT INTO " + table + "(" + strings.Join(names, ",") + ") VALUES(?" + strings.Repeat(",?", len(names)-1) + ")"
}
