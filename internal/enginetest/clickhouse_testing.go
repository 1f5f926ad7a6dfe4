package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

const clickHouseURLVariable = "ANNALS_TEST_CLICKHOUSE_URL"

var clickHouseServers shared[*ClickHouseServer]

// ClickHouse gives the URL of a fresh, empty database, which is dropped when the
// test ends. Its server is shared by the test binary. ANNALS_TEST_CLICKHOUSE_URL
// names another server to share, whose user may create databases.
func ClickHouse(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv(clickHouseURLVariable)
	if server == "" {
		server = clickHouseServers.server(tb, ClickHouseVersion, LaunchClickHouse).URL()
	}
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatalf("%s is no URL", clickHouseURLVariable) // it may hold a password
	}
	ctx, cancel := context.WithTimeout(context.Background(), launchPatience)
	defer cancel()
	name := "annals_test_" + strings.ToLower(rand.Text())
	if err := clickHouseExec(ctx, server, "CREATE DATABASE "+name); err != nil {
		giveUp(tb, err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropPatience)
		defer cancel()
		if err := clickHouseExec(ctx, server, "DROP DATABASE "+name+" SYNC"); err != nil {
			tb.Error(err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

// StartClickHouse starts a server for this test alone, and closes it when the
// test ends. When the test failed, its log holds the last of the server's.
func StartClickHouse(tb testing.TB) *ClickHouseServer {
	tb.Helper()
	return own(tb, LaunchClickHouse)
}

func clickHouseExec(ctx context.Context, server, statement string) error {
	options, err := clickhouse.ParseDSN(server)
	if err != nil {
		return errors.New("ClickHouse: the address of the server must be a clickhouse:// URL") // it may hold a password
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return fmt.Errorf("ClickHouse: %w", err)
	}
	err = conn.Exec(ctx, statement)
	if err := errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("ClickHouse: %s: %w", statement, err)
	}
	return nil
}
