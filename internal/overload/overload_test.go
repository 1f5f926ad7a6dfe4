package overload_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/overload"
	"github.com/annals-dev/annals/store/sqlite"
)

var sqliteEngine = overload.Engine{
	Name: "sqlite",
	Open: func(ctx context.Context, dir string) (audit.Store, error) {
		return sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "annals.db")})
	},
	Memory: 448 << 20, // the page cache of its writer, once it is full, and of a reader
}

func TestMain(m *testing.M) {
	overload.Main(sqliteEngine)
	goleak.VerifyTestMain(m)
}

func TestSQLite(t *testing.T) {
	for _, c := range overload.Cases() {
		t.Run(c.Name(), func(t *testing.T) { overload.Run(t, sqliteEngine, c) })
	}
}
