package clickhouse

import (
	"regexp"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Defaults of Options.
const (
	DefaultPrefix           = "annals_"
	DefaultWriter           = "annals"
	DefaultMaxConnections   = 8
	DefaultConnectTimeout   = 5 * time.Second
	DefaultStatementTimeout = 30 * time.Second
)

// Limits of names.
const (
	maxPrefix = 64
	maxWriter = 64
)

// Options configure a store. Only URL is required.
type Options struct {
	// URL is where the records are: clickhouse://user:password@host:9000/database,
	// with several hosts separated by commas. The database is made when it is
	// missing; without one it is "default".
	URL string
	// TLS protects the connections.
	TLS TLS
	// Prefix begins the name of every table; empty is [DefaultPrefix]. Lower-case
	// letters, digits and _, not beginning with a digit.
	Prefix string
	// Writer begins the names of the chain's segments that this process writes;
	// empty is [DefaultWriter]. Processes may share it: each has segments of its
	// own, and goes on with one that another closed in order. Letters, digits, - and _.
	Writer string
	// Cluster names the cluster whose servers all get the tables (ON CLUSTER),
	// as ReplicatedMergeTree; empty is the one server of the URL.
	Cluster string
	// NoFullText makes new tables without the text index. It has no effect on
	// tables that exist.
	NoFullText bool
	// Fsync makes the server bring each batch to the disk before it is
	// acknowledged, in new tables. Without it, ClickHouse's own default, a batch
	// survives the end of every process, and not that of the machine.
	Fsync bool

	// MaxConnections is how many connections there are at most; 0 is [DefaultMaxConnections].
	MaxConnections int
	// ConnectTimeout bounds one attempt to connect, and the wait for a
	// connection; 0 is [DefaultConnectTimeout].
	ConnectTimeout time.Duration
	// StatementTimeout ends a statement on the server (max_execution_time, whole
	// seconds); 0 is [DefaultStatementTimeout], negative is none.
	StatementTimeout time.Duration
	// NoMigrate opens only tables that are up to date, and never changes them.
	NoMigrate bool
	// Now stamps the anchors that retention leaves; nil is time.Now.
	Now func() time.Time
}

var (
	prefixForm = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	writerForm = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// withDefaults checks the options and fills in what is left out.
func (o Options) withDefaults() (Options, error) {
	if o.URL == "" {
		return o, audit.Invalid("url", "is required")
	}
	if err := o.TLS.check(); err != nil {
		return o, err
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if len(o.Prefix) > maxPrefix || !prefixForm.MatchString(o.Prefix) {
		return o, audit.Invalid("prefix", "%.80q: want at most %d lower-case letters, digits and _, not beginning with a digit", o.Prefix, maxPrefix)
	}
	if o.Writer == "" {
		o.Writer = DefaultWriter
	}
	if len(o.Writer) > maxWriter || !writerForm.MatchString(o.Writer) {
		return o, audit.Invalid("writer", "%.80q: want at most %d letters, digits, - and _", o.Writer, maxWriter)
	}
	if strings.ContainsAny(o.Cluster, "`'\\\x00") {
		return o, audit.Invalid("cluster", "%.80q: want the name of a cluster", o.Cluster)
	}
	switch {
	case o.MaxConnections < 0:
		return o, audit.Invalid("max_connections", "is negative")
	case o.MaxConnections == 1:
		return o, audit.Invalid("max_connections", "is 1, at least 2: one for writing, one for questions")
	case o.MaxConnections == 0:
		o.MaxConnections = DefaultMaxConnections
	}
	switch {
	case o.ConnectTimeout < 0:
		return o, audit.Invalid("connect_timeout", "is negative")
	case o.ConnectTimeout == 0:
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = DefaultStatementTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
