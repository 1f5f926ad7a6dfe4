package dynamodb

import "github.com/annals-dev/annals/audit"

// DynamoDB charges for every begun kilobyte of an item, names included, and for
// each index once more. Under the names of audit.Fields an agent's call with 600
// bytes of texts and documents is an item of 1,240; under these it is one of 950,
// and costs half. A field without an entry keeps its name.
var shortNames = map[string]string{
	"external_id": "xid",
	"occurred_at": "at", "recorded_at": "rec", "expires_at": "exp", "duration_ms": "dur",
	"action": "act", "operation": "op", "outcome": "out", "level": "lvl",
	"sequence": attrSequence, "segment": "seg", "prev_hash": attrPrev, "hash": attrHash,

	"actor": "who", "actor_type": "wt", "actor_name": "wn", "actor_email": "wm", "actor_team": "wg", "actor_ip": "wip",
	"user_agent": "wua", "session_id": "ws", "auth_method": "wam", "on_behalf_of": "wob",

	"resource": "r", "resource_type": "rt", "resource_name": "rn",
	"error": "err", "error_code": "ec", "verdict": "ver",

	"tool_name": "t", "toolkit_kind": "tk", "toolkit": "tn", "connection": "tc", "persona": "tp", "purpose": "tu",
	"enriched": "te", "enrichment_mode": "tm", "tokens_full": "tf", "tokens_dedup": "td",

	"service": "sv", "provider": "sp", "transport": "st", "host": "sh",
	"request_id": "q", "correlation_id": "qc", "trace_id": "qt", "span_id": "qs", "method": "qm", "path": "qp",
	"request_bytes": "qb", "response_bytes": "pb", "response_blocks": "pn",

	"details": "det", "parameters": "par", "changes_before": "cb", "changes_after": "ca", "metadata": "meta", "payload": "pay",
}

// nameOf gives the attribute of a field.
func nameOf(field string) string {
	if short, ok := shortNames[field]; ok {
		return short
	}
	return field
}

// attributeOf gives the attribute of a dimension.
func attributeOf(d *audit.Field) string { return nameOf(d.Name) }
