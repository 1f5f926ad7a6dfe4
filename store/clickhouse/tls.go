package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"

	"github.com/annals-dev/annals/audit"
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
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, &audit.Error{Code: audit.CodeInvalid, Field: "tls.ca_file", Message: "cannot be read", Cause: err}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, audit.Invalid("tls.ca_file", "holds no certificate in PEM")
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, &audit.Error{Code: audit.CodeInvalid, Field: "tls.cert_file", Message: "and its key cannot be used", Cause: err}
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	switch t.Mode {
	case "require":
		cfg.InsecureSkipVerify = true
	case "verify-full":
		cfg.InsecureSkipVerify = false
	case "verify-ca":
		// Go has no such mode: the chain is verified here, the name is not.
		cfg.InsecureSkipVerify = true
		roots := cfg.RootCAs
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
			return err
		}
	}
	return cfg, nil
}
