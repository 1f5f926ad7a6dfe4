package clickhouse

import (
	"context"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// schemaVersion counts the changes of the schema.
const schemaVersion = 1

// pointed are the columns whose values name few records each, so that a Bloom
// filter for each granule spares most of the table.
var pointed = []string{"id", "action_id", "correlation_id", "trace_id", "session_id", "request_id", "resource"}

// bounded are the columns whose granules have narrow bounds.
var bounded = []string{"occurred_at", "recorded_at", "expires_at", columnBorn, "sequence"}

// blockNumbers keeps with each row the number that its INSERT had, which is the
// order in which they were committed, and lets DELETE work by small patches.
const blockNumbers = "enable_block_number_column=1,enable_block_offset_column=1"

// tokens is how many of the last INSERTs a repetition is told from.
const tokens = "non_replicated_deduplication_window=1000,replicated_deduplication_window=1000"

// schema gives the statements that make the tables.
func (o *Options) schema() []string {
	var b strings.Builder
	b.WriteString("CREATE TABLE IF NOT EXISTS @records" + o.onCluster() + " (")
	for _, f := range audit.Fields() {
		b.WriteString(f.Name + " " + columnType(f) + " " + codec(f) + ",")
	}
	b.WriteString(columnMonth + " UInt32," + columnInsert + " UInt64," + columnBorn + " UInt64 CODEC(Delta(8),ZSTD(1))," +
		columnMembers + " String CODEC(ZSTD(1))," + columnSearch + " String CODEC(ZSTD(1))," +
		columnSession + " UInt64 DEFAULT if(session_id='',0,sipHash64(namespace,tenant,session_id)) CODEC(LZ4)")
	for _, name := range bounded {
		b.WriteString(",INDEX " + name + "_bounds " + name + " TYPE minmax GRANULARITY 1")
	}
	for _, name := range pointed {
		b.WriteString(",INDEX " + name + "_bloom " + name + " TYPE bloom_filter(0.01) GRANULARITY 1")
	}
	if !o.NoFullText {
		b.WriteString(",INDEX search_text search TYPE text(tokenizer=splitByString([' ']))")
	}
	fsync := ""
	if o.Fsync {
		fsync = ",fsync_after_insert=1,fsync_part_directory=1"
	}
	b.WriteString(") ENGINE=" + o.engine("records", "MergeTree", "") + " PARTITION BY " + columnMonth +
		" ORDER BY (namespace,tenant,occurred_at,id) SETTINGS " + blockNumbers + "," + tokens + fsync)
	return []string{
		b.String(),
		// The ends of the chains, apart from the records; merges keep the last.
		"CREATE TABLE IF NOT EXISTS @heads" + o.onCluster() + " (namespace String, tenant String, segment String, sequence Int64, hash FixedString(32))" +
			" ENGINE=" + o.engine("heads", "ReplacingMergeTree", "sequence") + " ORDER BY (namespace,tenant,segment)" + o.settings(fsync),
		// A log of attempts to save a document, see keeper.go.
		"CREATE TABLE IF NOT EXISTS @documents" + o.onCluster() + " (key String, base Int64, attempt UInt64, value String)" +
			" ENGINE=" + o.engine("documents", "MergeTree", "") + " ORDER BY key SETTINGS " + blockNumbers + "," + tokens + fsync,
		"CREATE TABLE IF NOT EXISTS @meta" + o.onCluster() + " (key String, value String) ENGINE=" + o.engine("meta", "ReplacingMergeTree", "") + " ORDER BY key",
	}
}

func (o *Options) settings(list string) string {
	if list == "" {
		return ""
	}
	return " SETTINGS " + strings.TrimPrefix(list, ",")
}

// onCluster lets every server of the cluster run a statement of the schema.
func (o *Options) onCluster() string {
	if o.Cluster == "" {
		return ""
	}
	return " ON CLUSTER `" + o.Cluster + "`"
}

// engine gives the table engine, on a cluster its replicated form.
func (o *Options) engine(table, name, version string) string {
	if o.Cluster == "" {
		return name + "(" + version + ")"
	}
	if version != "" {
		version = "," + version
	}
	return "Replicated" + name + "('/clickhouse/tables/{shard}/{database}/" + o.Prefix + table + "','{replica}'" + version + ")"
}

// The keys of the table meta.
const (
	metaVersion = "version"
	metaText    = "full_text"
)

// migrate makes the tables or checks them.
func (s *Store) migrate(ctx context.Context) error {
	have, err := s.meta(ctx)
	if err != nil {
		return err
	}
	switch {
	case have[metaVersion] == "" && s.opt.NoMigrate:
		return &audit.Error{Code: audit.CodeUnavailable, Message: "the tables are not there: run annals migrate"}
	case have[metaVersion] == "":
		for _, statement := range s.opt.schema() {
			if err := s.exec(ctx, s.sql(statement)); err != nil {
				return err
			}
		}
		// Of two that make the tables at once both say the same but of full text,
		// and there the table itself decides.
		has, err := s.hasTextIndex(ctx)
		if err != nil {
			return err
		}
		value := "false"
		if has {
			value = "true"
		}
		err = s.exec(ctx, s.sql("INSERT INTO @meta (key,value) VALUES ('"+metaText+"','"+value+"'),('"+metaVersion+"','1')"))
		if err != nil {
			return err
		}
		s.text = has
		return nil
	case have[metaVersion] != "1":
		return &audit.Error{Code: audit.CodeUnsupported, Message: "the tables are of version " + have[metaVersion] + ", which this program does not know"}
	}
	s.text = have[metaText] == "true"
	return nil
}

// meta reads the table of that name; nil where it is not there.
func (s *Store) meta(ctx context.Context) (map[string]string, error) {
	there, err := s.number(ctx, "SELECT count() FROM system.tables WHERE database=currentDatabase() AND name="+text(s.opt.Prefix+"meta"))
	if err != nil || there == 0 {
		return nil, err
	}
	out := map[string]string{}
	err = s.rows(ctx, s.sql("SELECT key,value FROM @meta"), func(r *row) error {
		var key, value string
		if err := r.Scan(&key, &value); err != nil {
			return err
		}
		out[key] = value
		return nil
	})
	return out, err
}

func (s *Store) hasTextIndex(ctx context.Context) (bool, error) {
	n, err := s.number(ctx, "SELECT count() FROM system.data_skipping_indices WHERE database=currentDatabase() AND table="+
		text(s.opt.Prefix+"records")+" AND name='search_text'")
	return n > 0, err
}

// SchemaVersion implements audit.Migrator.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int, err error) {
	m, err := s.meta(ctx)
	if err == nil && m[metaVersion] != "" {
		have = schemaVersion
	}
	return have, schemaVersion, err
}
