package postgres

import (
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// TLS protects the connections; what is set here wins over the URL. The files
// are read when a connection is made.
type TLS struct {
	// Mode is disable, require, verify-ca or verify-full (libpq, "Protection
	// Provided in Different Modes"); empty leaves it to the URL, which without a
	// word of it prefers encryption and insists on nothing.
	Mode string
	// CAFile holds the authorities that the server's certificate must come from, PEM.
	CAFile string
	// CertFile and KeyFile are the client's certificate and its key, PEM.
	CertFile, KeyFile string
}

var tlsModes = []string{"", "disable", "require", "verify-ca", "verify-full"}

// check names what is wrong.
func (t TLS) check() error {
	if !slices.Contains(tlsModes, t.Mode) {
		return audit.Invalid("tls.mode", "is %q, want disable, require, verify-ca or verify-full", t.Mode)
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return audit.Invalid("tls.cert_file", "and tls.key_file are only useful together")
	}
	for _, f := range []struct{ field, path string }{{"tls.ca_file", t.CAFile}, {"tls.cert_file", t.CertFile}, {"tls.key_file", t.KeyFile}} {
		if f.path == "" {
			continue
		}
		if _, err := os.ReadFile(f.path); err != nil {
			return &audit.Error{Code: audit.CodeInvalid, Field: f.field, Message: "cannot be read", Cause: err}
		}
	}
	return nil
}

// into writes the settings into a connection string, in either of its forms.
func (t TLS) into(conn string) string {
	pairs := [][2]string{{"sslmode", t.Mode}, {"sslrootcert", t.CAFile}, {"sslcert", t.CertFile}, {"sslkey", t.KeyFile}}
	if strings.HasPrefix(conn, "postgres://") || strings.HasPrefix(conn, "postgresql://") {
		u, err := url.Parse(conn)
		if err != nil {
			return conn // the parser of the driver says what is wrong
		}
		q := u.Query()
		for _, p := range pairs {
			if p[1] != "" {
				q.Set(p[0], p[1])
			}
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, p := range pairs {
		if p[1] != "" {
			conn += " " + p[0] + "='" + quote.Replace(p[1]) + "'" // of two the last holds
		}
	}
	return conn
}
