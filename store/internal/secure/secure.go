// Package secure makes the settings of crypto/tls for the engines whose drivers
// take them. PostgreSQL's driver has rules of its own.
package secure

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/annals-dev/annals/audit"
)

// Apply adds to cfg the authorities in the file ca, the client's certificate in cert and key
// (all PEM, each "" for none), and what the mode says: require encrypts and proves
// nothing, verify-ca proves the chain and not the name, verify-full both. Any other
// mode leaves cfg as it is in this. An error names the field tls.ca_file or tls.cert_file.
func Apply(cfg *tls.Config, mode, ca, cert, key string) error {
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return &audit.Error{Code: audit.CodeInvalid, Field: "tls.ca_file", Message: "cannot be read", Cause: err}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return audit.Invalid("tls.ca_file", "holds no certificate in PEM")
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return &audit.Error{Code: audit.CodeInvalid, Field: "tls.cert_file", Message: "and its key cannot be used", Cause: err}
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	switch mode {
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
	return nil
}
