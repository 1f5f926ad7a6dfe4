package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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
	options PostgresOptions
	bin     string
	as      *account
	folder  *folder
	port    int
	url     string
	version string
	log     tail

	mu   sync.Mutex
	proc *process // nil when it does not run
}

const (
	postgresUser     = "postgres"
	postgresReady    = "database system is ready to accept connections"
	postgresPort     = 5432             // names the socket where there is no TCP
	postgresPatience = time.Minute      // for a start, with its recovery
	postgresStop     = 20 * time.Second // for an orderly end
	portAttempts     = 3
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
	f, err := newFolder(as)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL: its folder: %w", err)
	}
	s := &PostgresServer{options: options, as: as, folder: f, port: postgresPort}
	if s.bin, err = as.reachable(bin, f.path); err == nil {
		err = s.initialize(ctx)
	}
	if err == nil {
		err = s.first(ctx)
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

// Log gives the last lines the server printed.
func (s *PostgresServer) Log() string { return s.log.String() }

// PID is the process id of the server; 0 when it does not run.
func (s *PostgresServer) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.running() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Crash ends the server and all its processes at once, without a checkpoint and
// without a word to its clients. What it has given to the kernel survives, as it
// does when a process is killed, unlike when the power fails.
func (s *PostgresServer) Crash() error { return s.end(syscall.SIGQUIT) }

// Stop ends the server in order: transactions are rolled back, data are written.
// Restart starts it again.
func (s *PostgresServer) Stop() error { return s.end(syscall.SIGINT) }

func (s *PostgresServer) end(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked(sig)
}

func (s *PostgresServer) endLocked(sig os.Signal) error {
	if s.proc == nil {
		return nil
	}
	if err := s.proc.end(sig, postgresStop); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	s.proc = nil
	return nil
}

// Restart starts the server on the same data and the same address, after a Crash
// or a Stop; a server that runs is stopped first. It returns when the server has
// recovered and takes connections.
func (s *PostgresServer) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.endLocked(syscall.SIGINT); err != nil {
		return err
	}
	return s.start(ctx)
}

// Close stops the server and removes its data.
func (s *PostgresServer) Close() error { return errors.Join(s.Stop(), s.folder.remove()) }

// initialize makes the data folder.
func (s *PostgresServer) initialize(ctx context.Context) error {
	password := rand.Text()
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
	u := url.URL{Scheme: "postgres", User: url.User(postgresUser), Path: "/postgres", RawQuery: url.Values{"host": {s.folder.path}}.Encode()}
	if s.options.TCP {
		u.User, u.RawQuery = url.UserPassword(postgresUser, password), "sslmode=disable"
	}
	s.url = u.String()
	return nil
}

// first starts the server for the first time, which settles its port.
func (s *PostgresServer) first(ctx context.Context) (err error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		if s.options.TCP {
			if s.port, err = freePort(ctx); err != nil {
				return fmt.Errorf("PostgreSQL: no free port: %w", err)
			}
			u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
			s.url = u.String()
		}
		if err = s.start(ctx); err == nil {
			break
		}
		// Another process was given the port between the look and the start.
		if attempt == portAttempts || !strings.Contains(err.Error(), "Address already in use") {
			return err
		}
	}
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w: %s", err, &s.log)
	}
	full := conn.PgConn().ParameterStatus("server_version") // Debian adds its own in brackets
	s.version, _, _ = strings.Cut(full, " ")
	return conn.Close(ctx)
}

func (s *PostgresServer) start(ctx context.Context) error {
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
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	s.prepare(cmd, syscall.SIGQUIT)
	proc, err := startProcess(cmd, &s.log, postgresReady)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	if err := proc.await(ctx, postgresPatience); err != nil {
		return errors.Join(fmt.Errorf("PostgreSQL: %w", err), proc.end(syscall.SIGQUIT, postgresStop))
	}
	s.proc = proc
	return nil
}

func (s *PostgresServer) prepare(cmd *exec.Cmd, deathSignal syscall.Signal) {
	cmd.SysProcAttr = s.as.attributes(deathSignal)
	cmd.Dir = s.folder.path
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "HOME=" + s.folder.path}
}

func (s *PostgresServer) file(name string) string { return filepath.Join(s.folder.path, name) }

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
