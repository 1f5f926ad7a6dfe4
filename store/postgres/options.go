package postgres

import (
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Defaults of Options.
const (
	DefaultPrefix           = "annals_"
	DefaultMaxConnections   = 8
	DefaultWriters          = 4
	DefaultStatementTimeout = 30 * time.Second
	DefaultLockTimeout      = 2 * time.Second
	DefaultRollupInterval   = 15 * time.Second
	DefaultApplicationName  = "annals"
)

// maxPrefix is the longest prefix in bytes: with the longest of our names and
// the suffix of a partition's index it stays below the 63 bytes of an
// identifier (PostgreSQL, "Identifiers and Key Words").
const maxPrefix = 24

// Options configure a store. Only URL is required.
type Options struct {
	// URL is where the records are: a connection string of libpq, as URL or as
	// keywords. sslmode, sslrootcert, sslcert and sslkey are understood; what
	// the environment says (PGPASSWORD, PGSSLMODE …) fills in what it leaves out.
	URL string
	// MaintenanceURL is who changes the schema, deletes and keeps the hourly
	// sums; empty is URL. With it, URL may name a user that only inserts and selects.
	MaintenanceURL string
	// ReplicaURL is where questions and statistics are read; empty is URL. What
	// a replica lags behind, an answer lags. Chains, ids and the documents of
	// audit.Keeper are always read from URL.
	ReplicaURL string

	// TLS protects the connections.
	TLS TLS

	// Schema holds the tables and is made when it is missing; empty is public.
	Schema string
	// Prefix begins the name of every table and index; empty is [DefaultPrefix].
	// Lower-case letters, digits and _, not beginning with a digit.
	Prefix string
	// NoFullText makes new tables without the full text index, which costs about
	// half of the writing speed. It has no effect on tables that exist.
	NoFullText bool

	// MaxConnections is how many connections URL may have at most, and as many
	// again the replica; maintenance has at most two. 0 is [DefaultMaxConnections].
	MaxConnections int
	// MinConnections are kept open; 0 opens them when they are needed.
	MinConnections int
	// Writers is how many connections one large batch is written on at the same
	// time, its scopes shared out among them; 0 is [DefaultWriters].
	Writers int
	// ConnectTimeout bounds one attempt to connect; 0 is 5 seconds.
	ConnectTimeout time.Duration
	// MaxConnLifetime and MaxConnIdleTime end connections; 0 is an hour and
	// half an hour.
	MaxConnLifetime, MaxConnIdleTime time.Duration
	// StatementTimeout ends a statement of a question or a write on the server
	// (statement_timeout); 0 is [DefaultStatementTimeout], negative is none.
	StatementTimeout time.Duration
	// LockTimeout is how long a change of the partitions waits for a lock before
	// it lets the writers go on and tries again; 0 is [DefaultLockTimeout].
	LockTimeout time.Duration
	// ApplicationName is what pg_stat_activity shows; empty is [DefaultApplicationName].
	ApplicationName string

	// RollupInterval is how often the hourly sums are brought up to date; 0 is
	// [DefaultRollupInterval], negative never (another process does).
	RollupInterval time.Duration
	// RetentionDays is how old a record may become, in days since it was
	// recorded, where [Store.Cleanup] and [Store.StartCleanupRoutine] delete; 0
	// is for ever, and then they delete only what has expired. An annals.Trail
	// has a setting of its own, and does not use it.
	RetentionDays int
	// NoMigrate opens only tables that are up to date, and never changes them.
	NoMigrate bool
	// Now stamps the anchors that retention leaves; nil is time.Now.
	Now func() time.Time
}

// withDefaults checks the options and fills in what is left out.
func (o Options) withDefaults() (Options, error) {
	if o.URL == "" {
		return o, audit.Invalid("url", "is required")
	}
	if err := o.TLS.check(); err != nil {
		return o, err
	}
	if o.Schema == "" {
		o.Schema = "public"
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if err := checkName("prefix", o.Prefix, maxPrefix); err != nil {
		return o, err
	}
	if err := checkName("schema", o.Schema, 63); err != nil {
		return o, err
	}
	if o.RetentionDays < 0 || o.RetentionDays > maxDays {
		return o, audit.Invalid("retention_days", "is %d, want 0 to %d; 0 is for ever", o.RetentionDays, maxDays)
	}
	for _, n := range []struct {
		field string
		value *int
		def   int
	}{
		{"max_connections", &o.MaxConnections, DefaultMaxConnections},
		{"min_connections", &o.MinConnections, 0},
		{"writers", &o.Writers, DefaultWriters},
	} {
		switch {
		case *n.value < 0:
			return o, audit.Invalid(n.field, "is negative")
		case *n.value == 0:
			*n.value = n.def
		}
	}
	if o.MinConnections > o.MaxConnections {
		return o, audit.Invalid("min_connections", "is more than max_connections, %d", o.MaxConnections)
	}
	// One connection stays free for questions, whatever is written.
	o.Writers = max(1, min(o.Writers, o.MaxConnections-1))
	for _, d := range []struct {
		field string
		value *time.Duration
		def   time.Duration
	}{
		{"connect_timeout", &o.ConnectTimeout, 5 * time.Second},
		{"max_conn_lifetime", &o.MaxConnLifetime, time.Hour},
		{"max_conn_idle_time", &o.MaxConnIdleTime, 30 * time.Minute},
		{"lock_timeout", &o.LockTimeout, DefaultLockTimeout},
	} {
		switch {
		case *d.value < 0:
			return o, audit.Invalid(d.field, "is negative")
		case *d.value == 0:
			*d.value = d.def
		}
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = DefaultStatementTimeout
	}
	if o.RollupInterval == 0 {
		o.RollupInterval = DefaultRollupInterval
	}
	if o.ApplicationName == "" {
		o.ApplicationName = DefaultApplicationName
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// checkName wants what needs no quotes in an identifier, as names cannot be
// bound as parameters.
func checkName(field, name string, limit int) error {
	if len(name) > limit {
		return audit.Invalid(field, "has %d bytes, at most %d", len(name), limit)
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9' {
			continue
		}
		return audit.Invalid(field, "%q: want lower-case letters, digits and _, not beginning with a digit", name)
	}
	if strings.HasPrefix(name, "pg_") {
		return audit.Invalid(field, "names that begin with pg_ belong to PostgreSQL")
	}
	return nil
}
