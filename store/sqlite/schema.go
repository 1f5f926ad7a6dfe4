package sqlite

import "strings"

// blockBits: a block is 2^14 records in the order of their arrival.
const (
	blockBits = 14
	blockSize = 1 << blockBits
)

// migrations bring a file from one schema version to the next; the version is
// the number of those that ran. An entry never changes once it was released.
// @ stands for the prefix.
var migrations = [][]string{schema1, schema2, schema3}

// schema1 is the first schema. Every secondary index begins with the block,
// n>>14: an insert then touches only those index pages that the newest 16,384
// records live on, so that its cost does not grow with the table, whatever the
// values. The expression takes no room in the row and cannot disagree with n.
var schema1 = []string{
	`CREATE TABLE @scopes(
		scope INTEGER PRIMARY KEY,
		namespace TEXT NOT NULL,
		tenant TEXT NOT NULL,
		UNIQUE(namespace, tenant)) STRICT`,

	// Small documents beside the records, see audit.Keeper.
	`CREATE TABLE @documents(
		key TEXT PRIMARY KEY,
		value BLOB NOT NULL,
		version INTEGER NOT NULL) STRICT, WITHOUT ROWID`,

	// What the chains' ends are, apart from the records.
	`CREATE TABLE @heads(
		scope INTEGER PRIMARY KEY,
		sequence INTEGER NOT NULL,
		hash BLOB NOT NULL) STRICT`,

	// The bounds of what a block holds, and whether any of its metadata has a
	// backslash; deletions may leave them too wide, never too narrow.
	`CREATE TABLE @blocks(
		block INTEGER PRIMARY KEY,
		last_n INTEGER NOT NULL,
		min_occurred INTEGER NOT NULL,
		max_occurred INTEGER NOT NULL,
		min_recorded INTEGER NOT NULL,
		min_expires INTEGER,
		escaped INTEGER NOT NULL) STRICT`,

	`CREATE TABLE @records(
		n INTEGER PRIMARY KEY,
		scope INTEGER NOT NULL,
		id BLOB NOT NULL,
		occurred_at INTEGER NOT NULL,
		recorded_at INTEGER, kind TEXT, outcome TEXT, duration_ms INTEGER, enriched INTEGER,
		actor TEXT, tool_name TEXT, toolkit_kind TEXT, session_id TEXT, actor_email TEXT, metadata TEXT,
		action TEXT, operation TEXT, actor_type TEXT, resource_type TEXT, resource TEXT, enrichment_mode TEXT,
		tokens_full INTEGER, tokens_dedup INTEGER, request_bytes INTEGER, response_bytes INTEGER, response_blocks INTEGER,
		sequence INTEGER, segment TEXT, expires_at INTEGER, level TEXT,
		action_id TEXT, correlation_id TEXT, trace_id TEXT, span_id TEXT, request_id TEXT, external_id TEXT,
		service TEXT, provider TEXT, transport TEXT, host TEXT, method TEXT, toolkit TEXT, connection TEXT, persona TEXT,
		actor_team TEXT, actor_ip TEXT, auth_method TEXT, on_behalf_of TEXT, error_code TEXT, verdict TEXT, rule TEXT,
		actor_name TEXT, resource_name TEXT, path TEXT, purpose TEXT, user_agent TEXT, error TEXT) STRICT`,

	`CREATE TABLE @bodies(
		n INTEGER PRIMARY KEY,
		prev_hash BLOB, hash BLOB,
		details TEXT, parameters TEXT, changes_before TEXT, changes_after TEXT, payload TEXT) STRICT`,

	// Ids of our own making grow, so this index grows at its end, whatever the number of tenants.
	`CREATE UNIQUE INDEX @records_id ON @records(id, scope)`,
	`CREATE UNIQUE INDEX @records_chain ON @records(scope, sequence) WHERE sequence IS NOT NULL`,

	`CREATE INDEX @records_time ON @records(n >> 14, occurred_at)`,
	`CREATE INDEX @records_scope ON @records(n >> 14, scope, occurred_at)`,
	`CREATE INDEX @records_action ON @records(n >> 14, action, occurred_at)`,
	`CREATE INDEX @records_actor ON @records(n >> 14, actor, occurred_at) WHERE actor IS NOT NULL`,
	`CREATE INDEX @records_resource ON @records(n >> 14, resource, occurred_at) WHERE resource IS NOT NULL`,
	`CREATE INDEX @records_tool_name ON @records(n >> 14, tool_name, occurred_at) WHERE tool_name IS NOT NULL`,
	`CREATE INDEX @records_session_id ON @records(n >> 14, session_id, occurred_at) WHERE session_id IS NOT NULL`,
	`CREATE INDEX @records_action_id ON @records(n >> 14, action_id, occurred_at) WHERE action_id IS NOT NULL`,
	`CREATE INDEX @records_correlation_id ON @records(n >> 14, correlation_id, occurred_at) WHERE correlation_id IS NOT NULL`,
	`CREATE INDEX @records_trace_id ON @records(n >> 14, trace_id, occurred_at) WHERE trace_id IS NOT NULL`,
	`CREATE INDEX @records_failed ON @records(n >> 14, occurred_at) WHERE outcome IN ('failure', 'denied')`,
}

// schema2 has a place for the records that were captured in transactions of the
// application and are not among the others yet, see Tx.
var schema2 = []string{
	`CREATE TABLE @outbox(
		id INTEGER PRIMARY KEY,
		record BLOB NOT NULL,
		refused TEXT) STRICT`,
}

// schema3 has a place for chains that were copied from an engine whose writers
// have segments: each such segment is a chain beside the scope's own, and its
// head is in a table of its own. Together a scope's chains may have a sequence
// several times.
var schema3 = []string{
	`CREATE TABLE @segments(
		scope INTEGER NOT NULL,
		segment TEXT NOT NULL,
		sequence INTEGER NOT NULL,
		hash BLOB NOT NULL,
		PRIMARY KEY(scope, segment)) STRICT, WITHOUT ROWID`,
	`DROP INDEX @records_chain`,
	`CREATE UNIQUE INDEX @records_chain ON @records(scope, sequence, ifnull(segment, '')) WHERE sequence IS NOT NULL`,
}

// createMeta holds the schema version and what the file was made with.
const createMeta = `CREATE TABLE @meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID`

// createText is the full text index of a file that has one: which tokens occur
// in which record, and nothing else. The tokens come from audit.SearchText, so
// the tokenizer has only to cut at blanks.
const createText = `CREATE VIRTUAL TABLE @text USING fts5(
	tokens, content='', contentless_delete=1, detail=none, columnsize=1, tokenize="ascii")`

// The keys of the table meta.
const (
	metaVersion = "version"
	metaText    = "full_text"
)

// applicationID marks a file that Annals made ("annl"), for file(1) and its like.
const applicationID = 0x616e6e6c

// sql puts the prefix into a statement.
func (s *Store) sql(text string) string { return strings.ReplaceAll(text, "@", s.opt.Prefix) }
