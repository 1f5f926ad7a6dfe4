package clickhouse

import (
	"crypto/tls"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/secure"
)

// TLS protects the connections; what is set here wins over the URL.
type TLS struct {
	// Mode is disable, require (encrypted, the server unproven), verify-ca (it
	// has a certificate of the authorities) or verify-full (and of its name);
	// empty leaves it to the URL (secure=true, skip_verify=true).
	Mode string
	// CAFile holds the authorities that the server's certificate must come from,
	// PEM; empty is the system's.
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
	return nil
}

// config gives what the driver takes, nil for a connection in the clear. given
// is what the URL said.
func (t TLS) config(given *tls.Config) (*tls.Config, error) {
	if t.Mode == "disable" {
		return nil, nil
	}
	if t.Mode == "" && given == nil && t.CAFile == "" && t.CertFile == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if given != nil {
		cfg = given.Clone()
	}
	if err := secure.Apply(cfg, t.Mode, t.CAFile, t.CertFile, t.KeyFile); err != nil {
		return nil, err
	}
	return cfg, nil
}
