package sqlite

import (
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Defaults of Options.
const (
	DefaultPrefix      = "annals_"
	DefaultBusyTimeout = 10 * time.Second
)

// maxPrefix is the longest prefix in bytes.
const maxPrefix = 32

// Options configure a store. Only Path is required.
type Options struct {
	// Path is the file; it is made with mode 0600 when it is missing, and its
	// directory with mode 0700.
	Path string
	// Prefix begins the name of every table and index, so that the file may
	// hold other things too; empty is [DefaultPrefix]. Lower-case letters,
	// digits and _, not beginning with a digit.
	Prefix string
	// NoFullText makes a new file without the full text index, which costs
	// about half of the writing speed. It has no effect on a file that exists:
	// that keeps what it was made with, see Capabilities.
	NoFullText bool
	// Readers is how many connections read at the same time at most; 0 is
	// twice GOMAXPROCS, at least 4. They are opened when they are needed.
	Readers int
	// BusyTimeout is how long a write waits for another process to finish
	// its own; 0 is [DefaultBusyTimeout]. After it the error is retryable.
	BusyTimeout time.Duration
	// LosePowerFailure gives up durability against the loss of power: commits
	// are not flushed to the disk one by one (PRAGMA synchronous=NORMAL). What
	// was acknowledged still survives the end of the process, and the file
	// stays sound.
	LosePowerFailure bool
	// ReadOnly opens an existing file for reading; every write is ErrUnsupported.
	ReadOnly bool
	// Now stamps the anchors that retention leaves; nil is time.Now.
	Now func() time.Time
}

// withDefaults checks the options and fills in what is left out.
func (o Options) withDefaults() (Options, error) {
	switch o.Path {
	case "":
		return o, audit.Invalid("path", "is required")
	case ":memory:":
		return o, audit.Invalid("path", "names a file; the engine memory is for what no file shall hold")
	}
	abs, err := filepath.Abs(o.Path)
	if err != nil {
		return o, &audit.Error{Code: audit.CodeInvalid, Field: "path", Message: "cannot be made absolute", Cause: err}
	}
	o.Path = abs
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return o, err
	}
	switch {
	case o.Readers < 0:
		return o, audit.Invalid("readers", "is negative")
	case o.Readers == 0:
		o.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	switch {
	case o.BusyTimeout < 0:
		return o, audit.Invalid("busy_timeout", "is negative")
	case o.BusyTimeout == 0:
		o.BusyTimeout = DefaultBusyTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// checkPrefix wants what can stand in an identifier, as names cannot be bound
// as parameters.
func checkPrefix(p string) error {
	if len(p) > maxPrefix {
		return audit.Invalid("prefix", "has %d bytes, at most %d", len(p), maxPrefix)
	}
	for i := range len(p) {
		c := p[i]
		if c >= 'a' && c <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9' {
			continue
		}
		return audit.Invalid("prefix", "%q: want lower-case letters, digits and _, not beginning with a digit", p)
	}
	if strings.HasPrefix(p, "sqlite_") {
		return audit.Invalid("prefix", "names that begin with sqlite_ belong to SQLite")
	}
	return nil
}
