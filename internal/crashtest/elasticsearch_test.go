package crashtest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/crashtest"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/elasticsearch"
)

// searchURL tells the children where the server is.
const searchURL = "ANNALS_CRASH_SEARCH"

var searchEngine = crashtest.Engine{Name: "elasticsearch", Open: func(ctx context.Context, _ string) (audit.Store, error) {
	return elasticsearch.Open(ctx, elasticsearch.Options{URL: os.Getenv(searchURL), RefreshInterval: 100 * time.Millisecond})
}}

func TestOpenSearch(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: each round starts a server of its own")
	}
	for _, mode := range crashtest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			s := enginetest.StartSearch(t, enginetest.SearchOptions{})
			t.Setenv(searchURL, s.URL())
			crashtest.Run(t, searchEngine, mode)
		})
	}
}

func TestOpenSearchOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: the server is away for seconds")
	}
	for _, mode := range []crashtest.Mode{crashtest.Sync, crashtest.Server} {
		t.Run(string(mode), func(t *testing.T) {
			s := enginetest.StartSearch(t, enginetest.SearchOptions{})
			t.Setenv(searchURL, s.URL())
			crashtest.Outage(t, searchEngine, mode, crashtest.Interruption{Kill: s.Crash, Restart: s.Start})
		})
	}
}
