package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CreateDatabase makes an empty database and gives its URL. drop removes it, even
// while clients are connected to it.
func (s *PostgresServer) CreateDatabase(ctx context.Context) (address string, drop func(context.Context) error, err error) {
	if address, drop, err = createDatabase(ctx, s.url); err != nil {
		return "", nil, fmt.Errorf("%w: %s", err, &s.log)
	}
	return address, drop, nil
}

func createDatabase(ctx context.Context, server string) (address string, drop func(context.Context) error, err error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", nil, errors.New("PostgreSQL: the address of the server must be a postgres:// URL") // it may hold a password
	}
	name := "annals_test_" + strings.ToLower(rand.Text())
	// template0 is never in use, so that many can be made at the same time.
	if err := execute(ctx, server, "create database "+name+" template template0"); err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	drop = func(ctx context.Context) error {
		return execute(ctx, server, "drop database if exists "+name+" with (force)")
	}
	return u.String(), drop, nil
}

func execute(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("PostgreSQL: %s: %w", statement, err)
	}
	return nil
}
