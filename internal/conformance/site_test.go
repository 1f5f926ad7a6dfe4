package conformance

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/store/storetest"
)

// site is a server over one engine. Nothing listens: it is asked directly.
type site struct {
	engine  string
	harness storetest.Harness
	store   audit.Store
	trail   *annals.Trail
	handler http.Handler
}

// openSite opens a new store behind the server, whose time stands still where now is set.
func openSite(t *testing.T, engine string, now time.Time) *site {
	t.Helper()
	s := &site{engine: engine, harness: engines[engine](t)}
	s.store = s.harness.New(t)
	log := slog.New(slog.DiscardHandler)
	opt := annals.Options{Policy: policy.Config{Level: policy.All}, Durability: recorder.Sync, Logger: log, Timeout: time.Minute}
	if !now.IsZero() {
		opt.Now = func() time.Time { return now }
	}
	trail, err := annals.New(s.store, opt)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(trail, server.Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := trail.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.trail, s.handler = trail, srv.Handler()
	return s
}

func (s *site) settle(t *testing.T) {
	if s.harness.Settle != nil {
		s.harness.Settle(t, s.store)
	}
}

func (s *site) do(method, path, query, kind string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://127.0.0.1/", bytes.NewReader(body))
	req.URL.Path, req.URL.RawQuery = "/v1/"+path, query
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, req)
	return w
}

// fill stores the records in their chains.
func (s *site) fill(t *testing.T, recs []*audit.Record) {
	t.Helper()
	appender, ok := audit.As[chain.Appender](s.store)
	if !ok {
		t.Fatalf("%s has no chains", s.engine)
	}
	for some := range slices.Chunk(storetest.CloneAll(recs), 400) {
		results, err := appender.AppendChained(t.Context(), some)
		if err != nil {
			t.Fatalf("%s: %v", s.engine, err)
		}
		for i, r := range results {
			if r.Err != nil || r.Duplicate {
				t.Fatalf("%s: %v: %+v", s.engine, some[i].Ref(), r)
			}
		}
	}
	s.settle(t)
}
