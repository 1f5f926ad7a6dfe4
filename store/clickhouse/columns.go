package clickhouse

import (
	"strings"

	"github.com/annals-dev/annals/audit"
)

// This file is the one mapping between the fields of a record and the columns
// that hold them. A column has the name of its field; numbers are those of
// Field.Int. What is absent is the column's default: the empty text or 0.

// few are texts that take few values, which a dictionary holds in a byte or two
// a record. A dictionary that becomes too large is cut off by the server, so a
// wrong guess costs room and nothing else.
var few = map[string]bool{
	"namespace": true, "tenant": true, "kind": true, "action": true, "operation": true, "outcome": true, "level": true,
	"actor_type": true, "actor_team": true, "auth_method": true, "resource_type": true, "error_code": true, "verdict": true, "rule": true,
	"tool_name": true, "toolkit_kind": true, "toolkit": true, "connection": true, "persona": true, "enrichment_mode": true,
	"service": true, "provider": true, "transport": true, "host": true, "method": true, "segment": true, "user_agent": true,
	"actor": true, "actor_name": true, "actor_email": true, "actor_ip": true, "on_behalf_of": true, "path": true, "purpose": true,
}

// columnType is the type of a field's column.
func columnType(f *audit.Field) string {
	switch f.Kind {
	case audit.Text:
		if few[f.Name] {
			return "LowCardinality(String)"
		}
		return "String"
	case audit.Document:
		return "String"
	case audit.Identity:
		return "FixedString(16)"
	case audit.Hash:
		return "FixedString(32)"
	case audit.Flag:
		return "UInt8"
	}
	return "Int64"
}

// codec is how the column's blocks are compressed.
func codec(f *audit.Field) string {
	switch {
	case f.Kind == audit.Instant:
		return "CODEC(Delta(8), ZSTD(1))"
	case f.Name == "sequence":
		return "CODEC(Delta(8), LZ4)"
	case f.Kind == audit.Hash:
		return "CODEC(LZ4)" // there is nothing to gain in hashes, and much where there are none
	case f.Kind == audit.Document, f.Kind == audit.Text && !few[f.Name], f.Kind == audit.Identity:
		return "CODEC(ZSTD(1))"
	}
	return ""
}

// Columns that are no fields.
const (
	columnMonth   = "month"   // UInt32: year·100 + month of recorded_at, the partition
	columnInsert  = "ins"     // UInt64: one number for each INSERT, which never comes twice
	columnBorn    = "born"    // UInt64: milliseconds in an id of version 7, 0 in any other
	columnMembers = "members" // String: the members of metadata, see members.go
	columnSession = "session" // UInt64: a hash of namespace, tenant and session_id, which the server makes; 0 without a session
	columnSearch  = "search"  // String: the tokens of full text, separated by blanks
)

// rowColumns is the select list that rows are read by.
var rowColumns = func() string {
	names := make([]string, 0, len(audit.Fields()))
	for _, f := range audit.Fields() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ",")
}()

// chainFields are the place of a record in a chain, contentFields all others.
var chainFields, contentFields = func() (places, content []*audit.Field) {
	for _, f := range audit.Fields() {
		switch f.Name {
		case "segment", "sequence", "prev_hash", "hash":
			places = append(places, f)
		default:
			content = append(content, f)
		}
	}
	return places, content
}()

// month gives the partition of a record: by the time it was recorded, which a
// batch has in common, which late arrivals do not spread, and which the ceiling
// of retention goes by. Times outside of 1970 to 2200 share the partition 0.
func month(r *audit.Record) uint32 {
	y, m, _ := r.RecordedAt.UTC().Date()
	if y < 1970 || y > 2200 {
		return 0
	}
	return uint32(y*100 + int(m))
}

// born gives the milliseconds in an id of version 7, 0 for any other. Ids of our
// own making grow with time, so ranges of it rule out nearly all of the table.
func born(id audit.ID) uint64 {
	if id[6]>>4 != 7 {
		return 0
	}
	return uint64(id[0])<<40 | uint64(id[1])<<32 | uint64(id[2])<<24 | uint64(id[3])<<16 | uint64(id[4])<<8 | uint64(id[5])
}
