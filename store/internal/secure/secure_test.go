package secure

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// What each mode proves, against a server whose certificate is its own authority.
func TestModes(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	const right, wrong = "example.com", "other.example"
	for _, c := range []struct {
		mode, ca, name string
		ok             bool
	}{
		{"require", "", wrong, true},
		{"verify-ca", ca, wrong, true}, {"verify-ca", "", right, false},
		{"verify-full", ca, right, true}, {"verify-full", ca, wrong, false}, {"verify-full", "", right, false},
		{"", ca, right, true}, {"", "", right, false},
	} {
		cfg := &tls.Config{ServerName: c.name}
		if err := Apply(cfg, c.mode, c.ca, "", ""); err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), cfg)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for field, files := range map[string][3]string{"tls.ca_file": {filepath.Join(dir, "none"), "", ""}, "tls.cert_file": {"", ca, ca}} {
		var e *audit.Error
		if err := Apply(&tls.Config{}, "", files[0], files[1], files[2]); !errors.As(err, &e) || e.Field != field {
			t.Errorf("got %v, want an error of %s", err, field)
		}
	}
}
