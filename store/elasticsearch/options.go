package elasticsearch

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/secure"
)

// Defaults of Options.
const (
	DefaultURL             = "http://127.0.0.1:9200"
	DefaultPrefix          = "annals_"
	DefaultReplicas        = "0-1"
	DefaultRefreshInterval = time.Second
	DefaultRolloverBytes   = 30 << 30
	DefaultRolloverAge     = 30 * 24 * time.Hour
	DefaultCallTimeout     = 15 * time.Second
	DefaultTimeout         = 60 * time.Second
	DefaultParallel        = 2
	DefaultMaxRetries      = 8
)

// Options configure a store. The zero value is a server on this machine.
type Options struct {
	// URL is the address of the cluster, or several of them separated by commas:
	// https://user:password@search.example:9200. Empty is [DefaultURL].
	URL string
	// APIKey is sent instead of a user and password: the encoded form that
	// Elasticsearch gives.
	APIKey string
	// TLS protects the connection where the address begins with https.
	TLS TLS
	// Prefix begins the name of every index, alias and template; empty is
	// [DefaultPrefix].
	Prefix string
	// NoFullText leaves out the index for full text search.
	NoFullText bool
	// Replicas is the number of replicas as index.auto_expand_replicas has it:
	// "0-1" is none on a single node and one on more; empty is [DefaultReplicas].
	Replicas string
	// RefreshInterval is how often the server makes what was written visible to
	// questions; 0 is [DefaultRefreshInterval].
	RefreshInterval time.Duration
	// Visible has every write wait until questions see it (refresh=wait_for): a
	// write then takes as long as RefreshInterval.
	Visible bool
	// RolloverBytes and RolloverAge are the size and the age at which the index
	// that is written to is closed with a new one; 0 are [DefaultRolloverBytes]
	// and [DefaultRolloverAge].
	RolloverBytes int64
	RolloverAge   time.Duration
	// NoCreate opens what is there and changes nothing.
	NoCreate bool

	// CallTimeout bounds one request; 0 is [DefaultCallTimeout].
	CallTimeout time.Duration
	// Timeout bounds one write with all its attempts; 0 is [DefaultTimeout].
	Timeout time.Duration
	// Parallel is how many bulk requests are under way at the same time: more
	// than the server has room for are refused by it; 0 is [DefaultParallel].
	Parallel int
	// MaxRetries is how often a request is repeated that was refused for lack of
	// room or not answered; 0 is [DefaultMaxRetries], negative is never.
	MaxRetries int
	// Now tells the time; nil is time.Now.
	Now func() time.Time

	transport http.RoundTripper // for tests
}

// TLS says how the connection is protected.
type TLS struct {
	// Mode is require (encrypted, the server unproven), verify-ca or verify-full,
	// or disable, which wants an address with http; empty is verify-full where
	// the address begins with https.
	Mode                      string
	CAFile, CertFile, KeyFile string
}

func (o Options) withDefaults() (Options, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Replicas == "" {
		o.Replicas = DefaultReplicas
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return o, err
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		def   time.Duration
	}{
		{"refresh_interval", &o.RefreshInterval, DefaultRefreshInterval},
		{"rollover_age", &o.RolloverAge, DefaultRolloverAge},
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
	case o.RolloverBytes < 0:
		return o, audit.Invalid("rollover_bytes", "is negative")
	case o.RolloverBytes == 0:
		o.RolloverBytes = DefaultRolloverBytes
	}
	switch {
	case o.Parallel < 0:
		return o, audit.Invalid("parallel", "is negative")
	case o.Parallel == 0:
		o.Parallel = DefaultParallel
	}
	switch {
	case o.MaxRetries < 0:
		o.MaxRetries = 0
	case o.MaxRetries == 0:
		o.MaxRetries = DefaultMaxRetries
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// checkPrefix follows the rules for the names of indices ("Create index API"):
// lower case, and none of the signs that mean something in a path.
func checkPrefix(p string) error {
	if len(p) > 64 {
		return audit.Invalid("prefix", "has %d bytes, at most 64", len(p))
	}
	for i := range len(p) {
		c := p[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '_' || c == '-' || c == '.') {
			continue
		}
		return audit.Invalid("prefix", "%q: want lower-case letters, digits, _, - and ., beginning with a letter or digit", p)
	}
	return nil
}

// addresses reads the URL: where the nodes are, and who asks.
func (o *Options) addresses() (nodes []*url.URL, user *url.Userinfo, err error) {
	for text := range strings.SplitSeq(o.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			// The text of the error would hold the password.
			return nil, nil, audit.Invalid("url", "want the address of a cluster, such as https://user:password@search.example:9200, or several separated by commas")
		}
		switch secure := u.Scheme == "https"; {
		case secure && o.TLS.Mode == "disable":
			return nil, nil, audit.Invalid("tls.mode", "is disable, and the address begins with https")
		case !secure && o.TLS.Mode != "" && o.TLS.Mode != "disable":
			return nil, nil, audit.Invalid("tls.mode", "is %s, and the address begins with http", o.TLS.Mode)
		}
		if u.User != nil {
			user = u.User
		}
		u.User = nil
		u.Path = strings.TrimSuffix(u.Path, "/")
		nodes = append(nodes, u)
	}
	return nodes, user, nil
}

// config makes the settings of crypto/tls.
func (t TLS) config() (*tls.Config, error) {
	if !slices.Contains([]string{"", "disable", "require", "verify-ca", "verify-full"}, t.Mode) {
		return nil, audit.Invalid("tls.mode", "is %q, want disable, require, verify-ca or verify-full", t.Mode)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	return cfg, secure.Apply(cfg, t.Mode, t.CAFile, t.CertFile, t.KeyFile)
}
