// Package config holds every setting of the program: one documented struct that
// the TOML file, the environment, the flags, the example files and the
// reference page derive from.
package config

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Config is every setting. Its zero value is not usable: [Load] fills in the
// defaults of the tags. The environment name of audit.x_y is
// AUDIT_TRAIL_X_Y, and of any other s.x it is AUDIT_TRAIL_S_X.
type Config struct {
	Audit  Audit  `toml:"audit" doc:"What is recorded and where it is kept."`
	Server Server `toml:"server" doc:"The HTTP server of annals serve."`
	Log    Log    `toml:"log" doc:"The program's own log, on standard error."`

	sources map[string]source
}

// WithoutPassword hides the passwords of a URL or of a connection string.
func WithoutPassword(s string) string {
	if parts := strings.Split(s, ","); len(parts) > 1 && strings.Contains(parts[1], "://") {
		for i, p := range parts {
			parts[i] = WithoutPassword(strings.TrimSpace(p))
		}
		return strings.Join(parts, ",")
	}
	if u, err := url.Parse(s); err == nil && u.Scheme != "" && u.Host+u.Path != "" {
		if _, has := u.User.Password(); has {
			u.User = url.UserPassword(u.User.Username(), "xxxxx")
		}
		if q := u.Query(); q.Has("password") || q.Has("sslpassword") {
			for _, name := range []string{"password", "sslpassword"} {
				if q.Has(name) {
					q.Set(name, "xxxxx")
				}
			}
			u.RawQuery = q.Encode()
		}
		return u.String()
	}
	return keywordPassword.ReplaceAllString(s, "${1}=xxxxx")
}

// keywordPassword finds the password among the keywords of libpq, whose value
// is one word or stands between quotes.
var keywordPassword = regexp.MustCompile(`(?i)\b((?:ssl)?password)\s*=\s*(?:'(?:[^'\\]|\\.)*'|\S*)`)

// Audit says what is recorded and where it is kept.
type Audit struct {
	Enabled bool   `toml:"enabled" default:"true" doc:"false: nothing is recorded and nothing is opened"`
	Backend string `toml:"backend" default:"sqlite" doc:"engine that keeps the records: sqlite, postgres, dynamodb, clickhouse, elasticsearch (OpenSearch too) or memory"`
	URL     string `toml:"url" default:"annals-data/annals.db" secret:"url" doc:"where the engine is: for sqlite the path of the file, for postgres a connection string, for dynamodb an endpoint that is not AWS, such as DynamoDB Local, for clickhouse clickhouse://user:password@host:9000/database, for elasticsearch the addresses of the cluster, separated by commas"`
	Prefix  string `toml:"prefix" default:"annals_" doc:"begins the name of every table, index or key"`

	Region    string `toml:"region" default:"us-east-1" doc:"AWS region of the engine dynamodb"`
	TableName string `toml:"table_name" default:"" doc:"table of the engine dynamodb; empty is prefix and audit: annals_audit"`

	Level             string   `toml:"level" default:"writes_only" doc:"all, writes_only, mutations_only, deletes_only or failures_only"`
	AlwaysLogFailures bool     `toml:"always_log_failures" default:"false" doc:"failures and denials are recorded whatever the level; exclusions still win"`
	ExcludeActions    []string `toml:"exclude_actions" default:"" doc:"actions that are not recorded: exact names or * patterns, any case"`
	ExcludeResources  []string `toml:"exclude_resources" default:"" doc:"resource types that are not recorded: exact names or * patterns, any case"`
	SampleRate        float64  `toml:"sample_rate" default:"1" doc:"share kept of what passed so far, 0 to 1; never applied to failures, denials and deletes"`
	SampleReads       float64  `toml:"sample_reads" default:"1" doc:"the same for reads, instead of sample_rate"`

	Async               bool    `toml:"async" default:"true" doc:"false: a record is written before its acknowledgement; the same as durability sync"`
	Durability          string  `toml:"durability" default:"" doc:"what an acknowledgement of the server means: sync (the store has it), spool (it is on the local disk, fsynced, and survives kill -9) or memory (it is in the bounded queue); empty is spool, or sync with the memory engine or async false; commands that record into a local store always wait for it"`
	OnFull              string  `toml:"on_full" default:"block" doc:"when the queue or the spool is full: block (wait, then refuse), fail (refuse at once), drop (count it and leave a gap record) or, with durability memory, spill (to the spool)"`
	SpoolDir            string  `toml:"spool_dir" default:"annals-data/spool" doc:"directory of the spool and of the dead letters, on a local disk; beside the file of sqlite unless set"`
	SpoolMaxBytes       int64   `toml:"spool_max_bytes" default:"1073741824" doc:"size of what may wait in the spool at most; then on_full decides"`
	BufferEnabled       bool    `toml:"buffer_enabled" default:"true" doc:"false: each event is a batch of its own"`
	BufferFlushInterval Seconds `toml:"buffer_flush_interval" default:"30" doc:"seconds since the first waiting event after which a batch is written; 1 in this program unless set"`
	BufferMaxSize       int     `toml:"buffer_max_size" default:"500" doc:"waiting events that trigger a write"`
	BufferCapacity      int     `toml:"buffer_capacity" default:"100000" doc:"waiting events at most; then on_full decides"`
	BufferCapacityBytes int64   `toml:"buffer_capacity_bytes" default:"268435456" doc:"size of the waiting events at most; then on_full decides; the whole process takes up to 2.5 times this, 128 MiB and what the engine takes outside Go (docs/guides/load.md)"`
	TimeoutSeconds      Seconds `toml:"timeout_seconds" default:"5" doc:"how long a caller waits at most for room, for the disk of the spool or for the store"`
	WriteTimeoutSeconds Seconds `toml:"write_timeout_seconds" default:"30" doc:"how long one attempt to write a batch to the store may take"`

	TTLSeconds             Seconds `toml:"ttl_seconds" default:"0" example:"2592000" doc:"stamps expires_at on each record; 0 is for ever; set without retention_days it alone says when records go"`
	RetentionDays          int     `toml:"retention_days" default:"90" doc:"records older than this are deleted, whatever their expires_at; 0 is for ever; where only ttl_seconds is set it does not apply"`
	CleanupEnabled         bool    `toml:"cleanup_enabled" default:"true" doc:"the server deletes what is due, one replica at a time"`
	CleanupIntervalSeconds Seconds `toml:"cleanup_interval_seconds" default:"3600" doc:"from the beginning of a clean-up to that of the next; the first is at the start"`
	CleanupBatchSize       int     `toml:"cleanup_batch_size" default:"10000" doc:"records that one transaction of a clean-up deletes at most"`

	StorePayload bool `toml:"store_payload" default:"true" doc:"false keeps everything but the payload"`
	Chain        bool `toml:"chain" default:"true" doc:"links the records of each namespace and tenant in a hash chain"`
	FullText     bool `toml:"full_text" default:"true" doc:"keeps an index for full text search, on engines where it is optional"`

	DiscoveryKinds []string `toml:"discovery_kinds" default:"datahub" doc:"toolkit kinds that count as discovery in the statistics of agents"`
	QueryKinds     []string `toml:"query_kinds" default:"trino" doc:"toolkit kinds that count as queries in the statistics of agents"`

	Redact   Redact   `toml:"redact" doc:"What is made unreadable before anything else sees it."`
	TLS      TLS      `toml:"tls" doc:"How the connection to the engine is protected; what is set here wins over the URL."`
	Postgres Postgres `toml:"postgres" doc:"What only the engine postgres knows."`
	DynamoDB DynamoDB `toml:"dynamodb" doc:"What only the engine dynamodb knows."`

	ClickHouse ClickHouse `toml:"clickhouse" doc:"What only the engine clickhouse knows."`

	Elasticsearch Elasticsearch `toml:"elasticsearch" doc:"What only the engine elasticsearch knows."`
}

// ClickHouse configures the engine of that name.
type ClickHouse struct {
	Writer                  string  `toml:"writer" default:"annals" doc:"begins the names of the chain's segments that this process writes; processes may share it"`
	Cluster                 string  `toml:"cluster" default:"" doc:"name of the cluster whose servers all get the tables, replicated; empty is the one server of audit.url"`
	Fsync                   bool    `toml:"fsync" default:"false" doc:"new tables bring each batch to the disk before it is acknowledged, so that it survives the end of the machine too"`
	MaxConnections          int     `toml:"max_connections" default:"8" doc:"connections at most"`
	ConnectTimeoutSeconds   Seconds `toml:"connect_timeout_seconds" default:"5" doc:"how long one attempt to connect, or the wait for a connection, may take"`
	StatementTimeoutSeconds Seconds `toml:"statement_timeout_seconds" default:"30" doc:"time after which the server ends a statement; 0 is never"`
	Migrate                 bool    `toml:"migrate" default:"true" doc:"false never changes the schema: annals migrate does, as another user"`
}

// TLS protects the connection to the engine.
type TLS struct {
	Mode     string `toml:"mode" default:"" doc:"disable, require (encrypted, the server unproven), verify-ca or verify-full (proven, with its name); empty leaves it to the URL"`
	CAFile   string `toml:"ca_file" default:"" doc:"PEM file of the authorities that the server's certificate must come from; empty is the system's"`
	CertFile string `toml:"cert_file" default:"" doc:"PEM file of the client's certificate"`
	KeyFile  string `toml:"key_file" default:"" doc:"PEM file of the key of cert_file"`
}

// Postgres configures the engine of that name.
type Postgres struct {
	MaintenanceURL          string  `toml:"maintenance_url" default:"" secret:"url" doc:"connection string of the user that changes the schema, deletes and keeps the sums; empty is audit.url, whose user otherwise needs no more than INSERT and SELECT"`
	ReplicaURL              string  `toml:"replica_url" default:"" secret:"url" doc:"connection string of a replica that questions and statistics are read from; empty is audit.url"`
	Schema                  string  `toml:"schema" default:"public" doc:"schema of the tables; it is made when it is missing"`
	MaxConnections          int     `toml:"max_connections" default:"8" doc:"connections to audit.url at most, and as many to the replica; maintenance has two more"`
	MinConnections          int     `toml:"min_connections" default:"0" doc:"connections that are kept open"`
	Writers                 int     `toml:"writers" default:"4" doc:"connections that one large batch is shared out among, by tenant"`
	ConnectTimeoutSeconds   Seconds `toml:"connect_timeout_seconds" default:"5" doc:"how long one attempt to connect may take"`
	ConnLifetimeSeconds     Seconds `toml:"connection_lifetime_seconds" default:"3600" doc:"age at which a connection is replaced"`
	ConnIdleSeconds         Seconds `toml:"connection_idle_seconds" default:"1800" doc:"time without work after which a connection is closed"`
	StatementTimeoutSeconds Seconds `toml:"statement_timeout_seconds" default:"30" doc:"time after which the server ends a statement; 0 is never"`
	LockTimeoutSeconds      Seconds `toml:"lock_timeout_seconds" default:"2" doc:"how long a change of the partitions waits for its lock before it lets the writers pass and tries again"`
	ApplicationName         string  `toml:"application_name" default:"annals" doc:"name in pg_stat_activity"`
	RollupIntervalSeconds   Seconds `toml:"rollup_interval_seconds" default:"15" doc:"how often a server brings the hourly sums of the statistics up to date; 0 is never, where another process does"`
	Migrate                 bool    `toml:"migrate" default:"true" doc:"false never changes the schema: annals migrate does, as another user"`
}

// DynamoDB configures the engine of that name.
type DynamoDB struct {
	Sweep              bool    `toml:"sweep" default:"false" doc:"true leaves deletion to the clean-up, which reads the whole table and pays for each deletion; false lets the TTL of DynamoDB delete, at no cost, within a few days"`
	PutOnly            bool    `toml:"put_only" default:"false" doc:"true writes without BatchWriteItem, whose right is a right to delete too; it matters only where chain is false"`
	MaxRetries         int     `toml:"max_retries" default:"9" doc:"how often a call is repeated that was throttled, cut off or not answered"`
	CallTimeoutSeconds Seconds `toml:"call_timeout_seconds" default:"5" doc:"how long one attempt of a call may take"`
	TimeoutSeconds     Seconds `toml:"timeout_seconds" default:"20" doc:"how long one write may take with all its attempts; less than write_timeout_seconds"`
	Parallel           int     `toml:"parallel" default:"32" doc:"calls that one operation has under way at the same time"`
}

// Elasticsearch configures the engine of that name, which is OpenSearch too.
type Elasticsearch struct {
	APIKey                 string  `toml:"api_key" default:"" secret:"key" doc:"key that is sent instead of a user and password, in the encoded form that Elasticsearch gives"`
	Replicas               string  `toml:"replicas" default:"0-1" doc:"replicas of each index, fewest-most: 0-1 is none on a single node, and one on more"`
	RefreshIntervalSeconds Seconds `toml:"refresh_interval_seconds" default:"1" doc:"how often what was written becomes visible to questions; in force from the next index on"`
	Visible                bool    `toml:"visible" default:"false" doc:"true has every write wait until questions see it"`
	RolloverBytes          int64   `toml:"rollover_bytes" default:"32212254720" doc:"size at which the index that is written to is closed with a new one"`
	RolloverDays           int     `toml:"rollover_days" default:"30" doc:"age at which the index that is written to is closed with a new one"`
	Parallel               int     `toml:"parallel" default:"2" doc:"bulk requests under way at the same time; more than the cluster has room for are refused by it"`
	CallTimeoutSeconds     Seconds `toml:"call_timeout_seconds" default:"15" doc:"how long one request may take"`
	WriteTimeoutSeconds    Seconds `toml:"write_timeout_seconds" default:"60" doc:"how long one write with all its attempts may take"`
}

// Redact says what is made unreadable.
type Redact struct {
	Enabled     bool     `toml:"enabled" default:"false" doc:"redaction is on"`
	Fields      []string `toml:"fields" default:"" doc:"keys at any depth (password) or paths (payload.card.number), any case; * is any key"`
	Placeholder string   `toml:"placeholder" default:"[REDACTED]" doc:"stands in the place of a redacted value"`
}

// Server configures annals serve.
type Server struct {
	Addr                   string  `toml:"addr" default:"127.0.0.1:8480" doc:"address to listen on; loopback only, as there are no tokens yet"`
	ShutdownTimeoutSeconds Seconds `toml:"shutdown_timeout_seconds" default:"15" doc:"how long a shutdown may drain"`
}

// Log configures the program's own log.
type Log struct {
	Level  string `toml:"level" default:"info" doc:"debug, info, warn or error"`
	Format string `toml:"format" default:"text" doc:"text or json"`
}

// Seconds is a duration that is written as a number of seconds.
type Seconds time.Duration

// Duration gives the duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }
