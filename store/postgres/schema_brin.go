package postgres

import (
	"fmt"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// The block range indexes (BRIN) over what has no index of its own. Of each
// run of pages they keep a small summary: a Bloom filter of a column's values,
// or its least and greatest one. A question reads all summaries, a few bytes a
// record, and then only those runs that may hold what it looks for. New pages
// have no summary and are always read, until [Store.summarize] makes one; so
// the write pays next to nothing.

// runPages is how many pages one summary is for, about 250 records.
const runPages = 32

// runs is one of these indexes. One row of an index must fit a page, and an
// index has at most 32 columns (PostgreSQL, "Limits"), so there are several.
type runs struct {
	name     string
	offset   int32 // see block
	columns  []string
	distinct int // values of a column expected in a run; 0 where the least and greatest are kept
}

var runIndexes = []*runs{
	{"ids", 1, []string{"request_id", "span_id", "sequence", "request_bytes", "response_bytes", "tokens_full", "tokens_dedup"}, 256},
	{"values", 2, []string{"external_id", "actor_name", "actor_email", "actor_ip", "on_behalf_of", "resource_name", "path"}, 256},
	{"words", 3, []string{
		"kind", "operation", "outcome", "level", "actor_type", "actor_team", "auth_method", "resource_type", "error_code",
		"verdict", "rule", "toolkit_kind", "toolkit", "connection", "persona", "enrichment_mode", "service", "provider",
		"transport", "host", "method", "segment", "user_agent", "purpose", "response_blocks",
	}, 32},
	{"spans", 4, []string{
		"recorded_at", "expires_at", "duration_us", "tokens_full", "tokens_dedup",
		"request_bytes", "response_bytes", "response_blocks", "sequence",
	}, 0},
}

// form is a column as the index holds it: one that another index has too, or is
// only for where it is not NULL, is put so that this one alone can serve the
// condition. table is "r." or empty.
func (x *runs) form(table, name string) string {
	switch {
	case x.distinct > 0 && name == "sequence":
		return "coalesce(" + table + name + ", -1)"
	case x.distinct > 0:
		return table + name
	case name == "recorded_at" || name == "expires_at":
		return "NULLIF(" + table + name + ", timestamptz '-infinity')"
	}
	return "NULLIF(" + table + name + ", -1)"
}

// block is the block of a record in the form that this index alone holds, so
// that a condition on it can only be served here; table is "r." or empty.
func (x *runs) block(table string) string { return fmt.Sprintf("(%sblock + %d)", table, x.offset) }

// searchSchema makes these indexes, and the one over metadata and words.
func searchSchema() []string {
	var out []string
	for _, x := range runIndexes {
		cols := []string{x.block("")}
		for _, name := range x.columns {
			text := x.form("", name)
			if x.distinct > 0 {
				class := "int8_bloom_ops"
				if f, ok := audit.FieldByName(name); ok && f.Kind == audit.Text {
					class = "text_bloom_ops"
				}
				text += fmt.Sprintf(" %s(n_distinct_per_range = %d, false_positive_rate = 0.01)", class, x.distinct)
			}
			cols = append(cols, text)
		}
		out = append(out, fmt.Sprintf(`CREATE INDEX ~records_%s ON @records USING brin(%s) WITH (pages_per_range = %d)`, x.name, strings.Join(cols, ", "), runPages))
	}
	return append(out, `CREATE INDEX ~records_search ON @records USING gin(search)`)
}
