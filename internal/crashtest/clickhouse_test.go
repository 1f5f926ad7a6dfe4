package crashtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/crashtest"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/clickhouse"
)

// clickhouseURL tells the children where the server is.
const clickhouseURL = "ANNALS_CRASH_CLICKHOUSE"

var clickhouseEngine = crashtest.Engine{Name: "clickhouse", Open: func(ctx context.Context, _ string) (audit.Store, error) {
	return clickhouse.Open(ctx, clickhouse.Options{URL: os.Getenv(clickhouseURL)})
}}

// Every child that is killed leaves segments behind, which verify all the same.
func TestClickHouse(t *testing.T) {
	modes := crashtest.Modes()
	if testing.Short() {
		modes = []crashtest.Mode{crashtest.Spool}
	}
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Setenv(clickhouseURL, enginetest.StartClickHouse(t).URL())
			crashtest.Run(t, clickhouseEngine, mode)
		})
	}
}

func TestClickHouseOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: the server is away for seconds")
	}
	for _, mode := range []crashtest.Mode{crashtest.Sync, crashtest.Server} {
		t.Run(string(mode), func(t *testing.T) {
			s := enginetest.StartClickHouse(t)
			t.Setenv(clickhouseURL, s.URL())
			crashtest.Outage(t, clickhouseEngine, mode, crashtest.Interruption{Kill: s.Crash, Restart: s.Restart})
		})
	}
}
