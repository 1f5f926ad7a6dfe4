package postgres

import (
	"strings"

	"github.com/annals-dev/annals/audit"
)

// This file is the one mapping between the fields of a record and the columns
// that hold them. A column has the name of its field, but for duration_ms,
// whose column says that it holds microseconds. What is absent is NULL.
//
// Namespace and tenant have no column of their own: a record names their row
// in the table of scopes.

// The columns of the table records that no field is held in.
const (
	columnBlock  = "block"
	columnScope  = "scope"
	columnSearch = "search"
)

// columns are the fields with a column, in the order of the table: first what
// has a fixed width and is never absent, then what scans and statistics look
// at, last what can be long.
var columns = columnsOf(
	"id", "occurred_at", "recorded_at", "duration_ms", "enriched", "tokens_full", "tokens_dedup",
	"request_bytes", "response_bytes", "response_blocks", "expires_at", "sequence", "prev_hash", "hash",
	"kind", "outcome", "operation", "level", "actor", "actor_email", "action", "tool_name", "toolkit_kind",
	"session_id", "enrichment_mode", "resource_type", "resource", "action_id", "correlation_id", "trace_id",
	"span_id", "request_id", "external_id", "service", "provider", "transport", "host", "method", "toolkit",
	"connection", "persona", "actor_type", "actor_team", "actor_ip", "auth_method", "on_behalf_of",
	"error_code", "verdict", "rule", "segment", "actor_name", "resource_name", "path", "purpose", "user_agent",
	"error", "metadata", "details", "parameters", "changes_before", "changes_after", "payload",
)

func columnsOf(names ...string) []*audit.Field {
	out := make([]*audit.Field, len(names))
	for i, name := range names {
		f, ok := audit.FieldByName(name)
		if !ok {
			panic("postgres: there is no field " + name)
		}
		out[i] = f
	}
	return out
}

// column gives the name of a field's column.
func column(f *audit.Field) string {
	if f.Kind == audit.Span {
		return strings.TrimSuffix(f.Name, "_ms") + "_us"
	}
	return f.Name
}

// columnType is the type of a field's column. Documents are text, because what
// is hashed are the bytes that came in at the door, which jsonb does not keep.
func columnType(f *audit.Field) string {
	switch f.Kind {
	case audit.Text, audit.Document:
		return `text COLLATE "C"` // compared by bytes, as every engine does
	case audit.Identity:
		return "uuid"
	case audit.Hash:
		return "bytea"
	case audit.Flag:
		return "boolean"
	case audit.Instant:
		return "timestamptz"
	}
	return "bigint"
}

// rowColumns is the select list that decoder reads, of the table records as r.
var rowColumns = func() string {
	var b strings.Builder
	b.WriteString("r." + columnScope)
	for _, f := range columns {
		b.WriteString(", r." + column(f))
	}
	return b.String()
}()

// firstColumn is the place of the first field in rowColumns.
const firstColumn = 1
