package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions say which server [StartPostgres] and [LaunchPostgres] start. The
// zero value is for functional tests: any version, a Unix socket, nothing durable.
type PostgresOptions struct {
	Version  string   // the major version, as PostgresVersions gives it; empty: the one found first
	Durable  bool     // as PostgreSQL comes; otherwise fsync and its like are off
	TCP      bool     // a port of 127.0.0.1 with a password, instead of a Unix socket
	Settings []string // name=value each, over those of Durable
}

// PostgresServer is a server of its own. Its methods may be called at the same time.
type PostgresServer struct {
	server
	options PostgresOptions
	bin     string
	url     string
	version string
}

const (
	postgresUser = "postgres"
	postgresPort = 5432 // names the socket where there is no TCP
)

// LaunchPostgres starts a server and returns when it takes connections. The caller
// closes it. The error is an [ErrAbsent] where there is no PostgreSQL to start;
// otherwise it tells what the server printed.
func LaunchPostgres(ctx context.Context, options PostgresOptions) (*PostgresServer, error) {
	bin, err := postgresPrograms(ctx, options.Version)
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL: %w", err)
	}
	s := &PostgresServer{options: options}
	s.server = server{
		name: "PostgreSQL", command: s.program, ready: "database system is ready to accept connections", as: as, port: postgresPort,
		startPatience: time.Minute, stopPatience: 20 * time.Second, orderly: syscall.SIGINT, atOnce: syscall.SIGQUIT,
	}
	if err := s.housed(); err != nil {
		return nil, err
	}
	password := rand.Text()
	if s.bin, err = as.reachable(bin, s.folder.path); err == nil {
		err = s.initialize(ctx, password)
	}
	if err == nil {
		err = s.first(ctx, password)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is how to connect to the server's first, empty database as its owner. It
// stays the same over restarts.
func (s *PostgresServer) URL() string { return s.url }

// Version is the server's full version, such as "18.6".
func (s *PostgresServer) Version() string { return s.version }

// Crash ends the server and all its processes at once, without a checkpoint and
// without a word to its clients. What it has given to the kernel survives, as it
// does when a process is killed, unlike when the power fails.
func (s *PostgresServer) Crash() error { return s.end(s.atOnce) }

// Stop ends the server in order: transactions are rolled back, data are written.
// Restart starts it again.
func (s *PostgresServer) Stop() error { return s.end(s.orderly) }

// Close stops the server and removes its data.
func (s *PostgresServer) Close() error { return errors.Join(s.Stop(), s.folder.remove()) }

// initialize makes the data folder.
func (s *PostgresServer) initialize(ctx context.Context, password string) error {
	file := s.file("password")
	if err := errors.Join(os.WriteFile(file, []byte(password), 0o600), s.as.own(file)); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	args := []string{
		"--pgdata=" + s.file("data"), "--username=" + postgresUser, "--pwfile=" + file, "--data-checksums",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C",
	}
	if !s.options.Durable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), args...)
	s.prepare(cmd, 0)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("PostgreSQL: initdb: %w: %s", err, out)
	}
	return nil
}

// first starts the server for the first time, which settles where it is.
func (s *PostgresServer) first(ctx context.Context, password string) error {
	start := s.Restart
	if s.options.TCP {
		start = s.launch
	}
	if err := start(ctx); err != nil {
		return err
	}
	u := url.URL{Scheme: "postgres", User: url.User(postgresUser), Path: "/postgres", RawQuery: url.Values{"host": {s.folder.path}}.Encode()}
	if s.options.TCP {
		u.User, u.Host, u.RawQuery = url.UserPassword(postgresUser, password), s.address(), "sslmode=disable"
	}
	s.url = u.String()
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w: %s", err, &s.log)
	}
	full := conn.PgConn().ParameterStatus("server_version") // Debian adds its own in brackets
	s.version, _, _ = strings.Cut(full, " ")
	return conn.Close(ctx)
}

func (s *PostgresServer) program() *exec.Cmd {
	settings := []string{"timezone=UTC", "log_timezone=UTC"}
	if !s.options.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	settings = append(settings, s.options.Settings...)
	listen := ""
	if s.options.TCP {
		listen = "127.0.0.1"
	}
	settings = append(settings, "listen_addresses="+listen, "port="+strconv.Itoa(s.port),
		"unix_socket_directories="+s.folder.path, "unix_socket_permissions=0700",
		"logging_collector=off", "log_destination=stderr", "lc_messages=C")
	args := []string{"-D", s.file("data")}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return exec.Command(filepath.Join(s.bin, "postgres"), args...)
}

func (s *PostgresServer) file(name string) string { return filepath.Join(s.folder.path, name) }
