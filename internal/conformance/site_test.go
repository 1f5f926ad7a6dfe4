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

// openSite opens a new store behind the server, with these options besides.
func openSite(t *testing.T, engine string, change func(*annals.Options)) *site {
	t.Helper()
	s := &site{engine: engine, harness: engines[engine](t)}
	s.store = s.harness.New(t)
	log := slog.New(slog.DiscardHandler)
	metrics := server.NewMetrics("test")
	opt := annals.Options{
		Policy: policy.Config{Level: policy.All}, Durability: recorder.Sync, Logger: log, Observer: metrics,
		Timeout: time.Minute, FlushSize: s.store.Capabilities().BatchSize,
	}
	change(&opt)
	trail, err := annals.New(s.store, opt)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(trail, server.Options{Logger: log, Metrics: metrics})
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

// openSites opens one for every engine, in short runs those without a server.
func openSites(t *testing.T, change func(engine string, opt *annals.Options)) map[string]*site {
	t.Helper()
	sites := map[string]*site{}
	for engine := range engines {
		if !testing.Short() || slices.Contains([]string{"memory", "sqlite"}, engine) {
			sites[engine] = openSite(t, engine, func(opt *annals.Options) { change(engine, opt) })
		}
	}
	return sites
}

// at makes the time stand still.
func at(now time.Time) func(string, *annals.Options) {
	return func(_ string, opt *annals.Options) { opt.Now = func() time.Time { return now } }
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
