package postgres

import "strings"

// unitRows and blockUnits: a block is 2^15 records in about the order of their
// arrival. A batch takes one unit of the sequence for every 128 of its records,
// and its records carry the block of the first unit it took.
const (
	unitRows   = 128
	blockUnits = 256
)

// In the statements of this package @name is a table or sequence with schema
// and prefix, ~name the same without the schema, for the names of indexes.

// coreSchema is the first schema without the sums. Every index of a value
// begins with the block: an insert then touches only those pages that the
// newest 32,768 records live on, so that its cost does not grow with the table,
// whatever the values.
func coreSchema() []string {
	var cols strings.Builder
	for _, f := range columns {
		cols.WriteString(", " + column(f) + " " + columnType(f))
		switch f.Name {
		case "id", "occurred_at", "recorded_at":
			cols.WriteString(" NOT NULL")
		}
	}
	out := []string{
		`CREATE TABLE @scopes(
			scope integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			namespace text COLLATE "C" NOT NULL,
			tenant text COLLATE "C" NOT NULL,
			UNIQUE(namespace, tenant))`,

		// What the tables were made with.
		`CREATE TABLE @meta(key text PRIMARY KEY, value text NOT NULL)`,

		// Small documents beside the records, see audit.Keeper. A version is a
		// row, so that saving is an insert: of two that save over the same
		// version the primary key lets one through. NULL says that it was deleted.
		`CREATE TABLE @documents(
			key text COLLATE "C" NOT NULL,
			version bigint NOT NULL,
			value bytea,
			PRIMARY KEY(key, version))`,

		// One row for each batch that a chain grew by. The last is the chain's
		// head, and the primary key the last word on who may append to it.
		`CREATE TABLE @batches(
			scope integer NOT NULL,
			first_sequence bigint NOT NULL,
			last_sequence bigint NOT NULL,
			hash bytea NOT NULL,
			PRIMARY KEY(scope, first_sequence))`,

		`CREATE SEQUENCE @units`,

		// Records that were captured in transactions of the application and are not
		// among the others yet, see Tx. Many rows come and go, so that the space of
		// those that went is used again early.
		`CREATE TABLE @outbox(
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			record bytea NOT NULL,
			refused text) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,

		// The bounds of blocks that nothing is added to any more; deletions may
		// leave them too wide, never too narrow. A block without a row has no bounds.
		`CREATE TABLE @blocks(
			block integer PRIMARY KEY,
			min_occurred timestamptz NOT NULL,
			max_occurred timestamptz NOT NULL)`,

		`CREATE TABLE @records(block integer NOT NULL, scope integer NOT NULL` + cols.String() + `, search tsvector,
			PRIMARY KEY(occurred_at, id, scope)) PARTITION BY RANGE (occurred_at)`,
		`CREATE TABLE @records_default PARTITION OF @records DEFAULT`,

		`CREATE INDEX ~records_id ON @records(id, scope)`,
		`CREATE INDEX ~records_chain ON @records(scope, sequence) WHERE sequence IS NOT NULL`,
		`CREATE INDEX ~records_scope ON @records(block, scope, ` + blockTime("") + `)`,
		`CREATE INDEX ~records_failed ON @records(block, ` + blockTime("") + `) WHERE outcome IN ('failure', 'denied')`,
	}
	for _, name := range indexed {
		out = append(out, `CREATE INDEX ~records_`+name+` ON @records(block, `+name+`, `+blockTime("")+`) WHERE `+name+` IS NOT NULL`)
	}
	return append(out, searchSchema()...)
}

// blockTime is the time of a record in the form that the indexes by block hold,
// so that what asks for them in the order of time cannot be answered by the
// primary key: PostgreSQL would take that on a partition that it believes to be
// small, and keep the plan. table is "r." or empty.
func blockTime(table string) string {
	return "GREATEST(" + table + "occurred_at, timestamptz '-infinity')"
}

// indexed are the fields with an index of their own, the most selective first.
var indexed = []string{"correlation_id", "trace_id", "action_id", "session_id", "resource", "actor", "tool_name", "action"}

// sql puts schema and prefix into a statement.
func (s *Store) sql(text string) string { return s.names.Replace(text) }

func newNames(opt Options) *strings.Replacer {
	return strings.NewReplacer("@@", "@@", "^@", "^@", "@", opt.Schema+"."+opt.Prefix, "~", opt.Prefix)
}
