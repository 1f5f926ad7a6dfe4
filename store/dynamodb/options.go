package dynamodb

import (
	"net/http"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Defaults of Options.
const (
	DefaultRegion      = "us-east-1"
	DefaultPrefix      = "annals_"
	DefaultMaxRetries  = 9
	DefaultCallTimeout = 5 * time.Second
	DefaultTimeout     = 20 * time.Second
	DefaultParallel    = 32
)

// Options configure a store. The zero value is the table annals_audit of
// us-east-1, with the credentials that the environment gives.
type Options struct {
	// URL is the endpoint of something else than AWS, such as DynamoDB Local:
	// http://127.0.0.1:8000. With it the table, its indexes and its TTL are made
	// when they are missing, and fixed credentials are used. Without it AWS is
	// meant, with the standard chain of credentials, and the table must exist.
	URL string
	// NoCreate wants the table to be there with a URL too.
	NoCreate bool
	// Region is the AWS region; empty is [DefaultRegion].
	Region string
	// TableName names the table; empty is Prefix and "audit".
	TableName string
	// Prefix begins the name of a table that TableName does not name; empty is
	// [DefaultPrefix].
	Prefix string

	// Sweep leaves deletion to DeleteExpired, as on other engines: no record
	// gets the attribute that DynamoDB's own TTL looks at. A run of retention
	// then reads the whole table, and pays for every deletion. Without it
	// DynamoDB deletes what has expired, at no cost, within a few days.
	Sweep bool
	// Ceiling is how long after it was recorded a record expires at the latest,
	// whatever its own expires_at; 0 is no ceiling. It should be the ceiling of
	// retention: what it covers, DeleteExpired has not to search and to pay for.
	Ceiling time.Duration

	// PutOnly makes AppendFresh do what Append does, and so without BatchWriteItem:
	// who may call that may delete. See the append-only policy in
	// docs/backends/dynamodb.md.
	PutOnly bool

	// MaxRetries is how often a call is repeated that was throttled, cut off or
	// not answered; 0 is [DefaultMaxRetries], negative is never.
	MaxRetries int
	// CallTimeout bounds one attempt of a call; 0 is [DefaultCallTimeout].
	CallTimeout time.Duration
	// Timeout bounds one write with all its attempts, and the time that a chained
	// write may have to wait for others; 0 is [DefaultTimeout].
	Timeout time.Duration
	// Parallel is how many calls one operation has under way at the same time;
	// 0 is [DefaultParallel].
	Parallel int
	// Now tells the time; nil is time.Now.
	Now func() time.Time

	// For tests.
	transport http.RoundTripper
	refresh   time.Duration // instead of holdsRefresh
}

// withDefaults checks the options and fills in what is left out.
func (o Options) withDefaults() (Options, error) {
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	field := "table_name"
	if o.TableName == "" {
		field, o.TableName = "prefix", o.Prefix+"audit"
	}
	if err := checkTableName(field, o.TableName); err != nil {
		return o, err
	}
	if o.URL != "" && !strings.HasPrefix(o.URL, "http://") && !strings.HasPrefix(o.URL, "https://") {
		return o, audit.Invalid("url", "want the address of an endpoint, such as http://127.0.0.1:8000")
	}
	switch {
	case o.Ceiling < 0:
		return o, audit.Invalid("ceiling", "is negative")
	case o.MaxRetries < 0:
		o.MaxRetries = 0
	case o.MaxRetries == 0:
		o.MaxRetries = DefaultMaxRetries
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		def   time.Duration
	}{
		{"call_timeout", &o.CallTimeout, DefaultCallTimeout},
		{"timeout", &o.Timeout, DefaultTimeout},
	} {
		switch {
		case *d.value < 0:
			return o, audit.Invalid(d.field, "is negative")
		case *d.value == 0:
			*d.value = d.def
		}
	}
	switch {
	case o.Parallel < 0:
		return o, audit.Invalid("parallel", "is negative")
	case o.Parallel == 0:
		o.Parallel = DefaultParallel
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.refresh == 0 {
		o.refresh = holdsRefresh
	}
	return o, nil
}

// checkTableName follows the naming rules of DynamoDB ("Supported data types and
// naming rules").
func checkTableName(field, name string) error {
	if len(name) < 3 || len(name) > 255 {
		return audit.Invalid(field, "%q: the name of a table has 3 to 255 bytes", name)
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' {
			continue
		}
		return audit.Invalid(field, "%q: the name of a table has letters, digits, _, - and . only", name)
	}
	return nil
}
