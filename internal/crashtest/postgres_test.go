package crashtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/crashtest"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/postgres"
)

// postgresURL tells the children where the server is.
const postgresURL = "ANNALS_CRASH_POSTGRES"

const postgresConnections = 6

var postgresEngine = crashtest.Engine{Name: "postgres", Open: func(ctx context.Context, _ string) (audit.Store, error) {
	return postgres.Open(ctx, postgres.Options{URL: os.Getenv(postgresURL), MaxConnections: postgresConnections})
}}

func TestPostgres(t *testing.T) {
	for _, mode := range crashtest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			s := enginetest.StartPostgres(t, enginetest.PostgresOptions{Durable: true})
			t.Setenv(postgresURL, s.URL())
			crashtest.Run(t, postgresEngine, mode)
		})
	}
}

func TestPostgresOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: the server is away for seconds")
	}
	for _, mode := range []crashtest.Mode{crashtest.Sync, crashtest.Server} {
		t.Run(string(mode), func(t *testing.T) {
			s := enginetest.StartPostgres(t, enginetest.PostgresOptions{Durable: true})
			t.Setenv(postgresURL, s.URL())
			crashtest.Outage(t, postgresEngine, mode, crashtest.Interruption{
				Kill: s.Crash, Restart: s.Restart,
				MaxConnections: postgresConnections,
				Connections: func(ctx context.Context) (n int, err error) {
					conn, err := pgx.Connect(ctx, s.URL())
					if err != nil {
						return 0, err
					}
					defer conn.Close(ctx)
					err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1`, postgres.DefaultApplicationName).Scan(&n)
					return n, err
				},
			})
		})
	}
}
