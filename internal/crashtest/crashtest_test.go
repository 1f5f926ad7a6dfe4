package crashtest_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/crashtest"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/sqlite"
)

var sqliteEngine = crashtest.Engine{Name: "sqlite", Open: func(ctx context.Context, dir string) (audit.Store, error) {
	return sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "annals.db")})
}}

func TestMain(m *testing.M) {
	crashtest.Main(sqliteEngine, postgresEngine, dynamodbEngine, clickhouseEngine, searchEngine)
	goleak.VerifyTestMain(enginetest.Runner(m))
}

func TestSQLite(t *testing.T) {
	for _, mode := range crashtest.Modes() {
		t.Run(string(mode), func(t *testing.T) { crashtest.Run(t, sqliteEngine, mode) })
	}
}
