package enginetest

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// PostgresOption is an option of [Postgres].
type PostgresOption func(*PostgresOptions)

// OnVersion asks for a major version of [PostgresVersions].
func OnVersion(version string) PostgresOption {
	return func(o *PostgresOptions) { o.Version = version }
}

// Postgres gives the URL of a fresh, empty database, which is dropped when the test
// ends. Its server is shared by the test binary and not durable; for another, see
// [StartPostgres]. ANNALS_TEST_POSTGRES_URL names another server to share: its role
// must be allowed to create databases, and it decides the version.
func Postgres(tb testing.TB, options ...PostgresOption) string {
	tb.Helper()
	var o PostgresOptions
	for _, option := range options {
		option(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), launchPatience)
	defer cancel()
	var address string
	var drop func(context.Context) error
	var err error
	if server := os.Getenv(postgresURLVariable); server != "" {
		if address, drop, err = createDatabase(ctx, server); err != nil {
			err = fmt.Errorf("%s: %w", postgresURLVariable, err)
		}
	} else {
		address, drop, err = sharedPostgres(tb, o).CreateDatabase(ctx)
	}
	if err != nil {
		giveUp(tb, err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropPatience)
		defer cancel()
		if err := drop(ctx); err != nil {
			tb.Error(err)
		}
	})
	return address
}

// StartPostgres starts a server for this test alone, and closes it when the test
// ends. When the test failed, its log holds the last of the server's.
func StartPostgres(tb testing.TB, options PostgresOptions) *PostgresServer {
	tb.Helper()
	return own(tb, func(ctx context.Context) (*PostgresServer, error) { return LaunchPostgres(ctx, options) })
}

var postgresServers shared[*PostgresServer]

func sharedPostgres(tb testing.TB, o PostgresOptions) *PostgresServer {
	tb.Helper()
	o.Version = postgresVersion(o.Version)
	// Tests may run in parallel, with a pool of connections each.
	o.Settings = []string{"max_connections=200"}
	return postgresServers.server(tb, o.Version, func(ctx context.Context) (*PostgresServer, error) { return LaunchPostgres(ctx, o) })
}
