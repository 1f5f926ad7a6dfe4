package elasticsearch

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/annals-dev/annals/audit"
)

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		opt   Options
		field string
	}{
		{Options{Prefix: "Upper_"}, "prefix"},
		{Options{Prefix: "_a"}, "prefix"},
		{Options{Prefix: "a/b"}, "prefix"},
		{Options{Prefix: "a*"}, "prefix"},
		{Options{Prefix: strings.Repeat("a", 65)}, "prefix"},
		{Options{URL: "search.example:9200"}, "url"},
		{Options{URL: "ftp://search.example"}, "url"},
		{Options{URL: "https://u:secret@search.example?x=1"}, "url"},
		{Options{URL: "http://a:9200,b"}, "url"},
		{Options{URL: "http://a", TLS: TLS{Mode: "require"}}, "tls.mode"},
		{Options{URL: "https://a", TLS: TLS{Mode: "disable"}}, "tls.mode"},
		{Options{URL: "https://a", TLS: TLS{Mode: "prefer"}}, "tls.mode"},
		{Options{URL: "https://a", TLS: TLS{CAFile: "no such file"}}, "tls.ca_file"},
		{Options{URL: "https://a", TLS: TLS{CertFile: "no such file"}}, "tls.cert_file"},
		{Options{RefreshInterval: -1}, "refresh_interval"},
		{Options{RolloverBytes: -1}, "rollover_bytes"},
		{Options{RolloverAge: -1}, "rollover_age"},
		{Options{Parallel: -1}, "parallel"},
		{Options{CallTimeout: -1}, "call_timeout"},
		{Options{Timeout: -1}, "timeout"},
	} {
		_, err := Open(t.Context(), c.opt)
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != c.field || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: got %v, want an error about %s", c.opt, err, c.field)
		}
	}
}

// What a server says of itself decides what it is asked.
func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name, root, nodes string
		want              server
		code              audit.Code
	}{
		{"OpenSearch", `{"version":{"distribution":"opensearch","number":"3.8.0"}}`, "", server{"OpenSearch", "3.8.0", 3, true}, ""},
		{"Elasticsearch", `{"version":{"number":"9.5.3"}}`, "", server{"Elasticsearch", "9.5.3", 9, false}, ""},
		{"one without a root", "", `{"nodes":{"x":{"version":"9.5.3"}}}`, server{"Elasticsearch", "9.5.3", 9, false}, ""},
		{"an old one", `{"version":{"number":"6.8.0"}}`, "", server{}, audit.CodeInvalid},
		{"another server", `<html>`, "", server{}, audit.CodeInvalid},
		{"another server without a root", "", `{}`, server{}, audit.CodeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := c.nodes
				if r.URL.Path == "/" {
					body = c.root
				}
				if body == "" {
					w.WriteHeader(http.StatusMethodNotAllowed)
				}
				_, _ = w.Write([]byte(body))
			}))
			defer srv.Close()
			opt, err := Options{URL: srv.URL}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			s := &Store{opt: opt}
			if s.client, err = newClient(&s.opt, s.closed); err != nil {
				t.Fatal(err)
			}
			defer s.client.idle()
			got, err := s.detect(t.Context())
			if audit.CodeOf(err) != c.code || err == nil && got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// The user and password of the address, and an api key, go into a header and
// nowhere else; a node that is away is passed over.
func TestNodesAndCredentials(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"type":"security_exception","reason":"no"},"status":401}`))
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, opt := range []Options{{URL: "http://127.0.0.1:1, http://annals:secret@" + host}, {URL: srv.URL, APIKey: "a2V5"}} {
		_, err := Open(t.Context(), opt)
		if audit.CodeOf(err) != audit.CodeUnavailable || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
	if want := "Basic YW5uYWxzOnNlY3JldA== ApiKey a2V5"; strings.Join(seen, " ") != want {
		t.Errorf("sent %q, want %q", seen, want)
	}
}

// Ten processes that start together make the indices once.
func TestManyOpenTogether(t *testing.T) {
	opt := serverOptions(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			s, err := Open(t.Context(), opt)
			if err != nil {
				t.Error(err)
				return
			}
			if have, want, err := s.SchemaVersion(t.Context()); have != want || err != nil {
				t.Errorf("version %d, want %d: %v", have, want, err)
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A look makes nothing, and says that there is nothing.
func TestNoCreate(t *testing.T) {
	opt := serverOptions(t)
	look := opt
	look.NoCreate = true
	if _, err := Open(t.Context(), look); audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	results, err := openStore(t, opt).Append(t.Context(), events("a", 1))
	stored(t, results, err)
	s := openStore(t, look)
	if state, err := s.State(t.Context()); err != nil || state["written to"] == "" {
		t.Errorf("%v, %v", state, err)
	}
}

// A write that waits is seen by the next question.
func TestVisible(t *testing.T) {
	opt := serverOptions(t)
	opt.Visible = true
	s := openStore(t, opt)
	if s.Capabilities().Lag != 0 {
		t.Error("it says that it lags")
	}
	results, err := s.Append(t.Context(), events("a", 3))
	stored(t, results, err)
	results, err = s.AppendChained(t.Context(), events("a", 3))
	stored(t, results, err)
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 6 {
		t.Errorf("%d, %v", n, err)
	}
}
