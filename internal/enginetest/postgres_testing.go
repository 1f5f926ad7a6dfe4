package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// The times a start may take, the fetch of its programs included, and a drop.
const (
	launchPatience = 5 * time.Minute
	dropPatience   = 30 * time.Second
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
		var s *PostgresServer
		if s, err = sharedPostgres(ctx, o); err == nil {
			address, drop, err = s.CreateDatabase(ctx)
		}
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
	ctx, cancel := context.WithTimeout(context.Background(), launchPatience)
	defer cancel()
	s, err := LaunchPostgres(ctx, options)
	if err != nil {
		giveUp(tb, err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Log("PostgreSQL's log:\n" + s.Log())
		}
	})
	return s
}

// shared are the servers of this test binary, by the version asked for.
var shared = struct {
	sync.Mutex
	servers map[string]*PostgresServer
	failed  map[string]error
}{servers: map[string]*PostgresServer{}, failed: map[string]error{}}

func sharedPostgres(ctx context.Context, o PostgresOptions) (*PostgresServer, error) {
	o.Version = postgresVersion(o.Version)
	shared.Lock()
	defer shared.Unlock()
	if s, err := shared.servers[o.Version], shared.failed[o.Version]; s != nil || err != nil {
		return s, err
	}
	// Tests may run in parallel, with a pool of connections each.
	o.Settings = []string{"max_connections=200"}
	s, err := LaunchPostgres(ctx, o)
	if err != nil {
		shared.failed[o.Version] = err // so that not every test waits for the same failure
		return nil, err
	}
	shared.servers[o.Version] = s
	return s, nil
}

func stopShared() (err error) {
	shared.Lock()
	defer shared.Unlock()
	for _, s := range shared.servers {
		err = errors.Join(err, s.Close())
	}
	err = errors.Join(err, stopSharedSearch())
	clear(shared.servers)
	clear(shared.failed)
	return errors.Join(err, stopSharedClickHouse())
}
