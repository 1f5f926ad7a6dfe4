package enginetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ClickHouseVersion is the ClickHouse that Annals is tested with.
const ClickHouseVersion = "26.7.3"

// ClickHouseServer is a server of its own, with the native protocol on a port of
// 127.0.0.1. Its methods may be called at the same time.
type ClickHouseServer struct {
	bin    string
	folder *folder
	port   int
	relay  *relay
	log    tail

	mu   sync.Mutex
	proc *process // nil when it does not run
}

const (
	clickHouseReady    = "listening"
	clickHousePatience = time.Minute
	clickHouseStop     = 20 * time.Second
)

// LaunchClickHouse starts a server and returns when it takes connections. The
// caller closes it. The error is an [ErrAbsent] where there is no ClickHouse to
// start; otherwise it tells what the server printed.
func LaunchClickHouse(ctx context.Context) (*ClickHouseServer, error) {
	bin, err := fetch(ctx, engine{"clickhouse", ClickHouseVersion})
	if err != nil {
		return nil, err
	}
	f, err := newFolder(nil)
	if err != nil {
		return nil, fmt.Errorf("ClickHouse: its folder: %w", err)
	}
	s := &ClickHouseServer{bin: bin, folder: f}
	for attempt := 1; ; attempt++ {
		if s.port, err = freePort(ctx); err == nil {
			err = s.Restart(ctx)
		}
		if err == nil {
			if s.relay, err = newRelay(s.address()); err != nil {
				return nil, errors.Join(err, s.Close())
			}
			return s, nil
		}
		// Another process may have been given the port between the look and the start.
		if attempt == portAttempts || !strings.Contains(s.log.String(), "Address already in use") {
			return nil, errors.Join(err, s.Close())
		}
	}
}

// URL is how to connect to the server's database "default". It stays the same
// over restarts.
func (s *ClickHouseServer) URL() string {
	return "clickhouse://" + s.relay.listener.Addr().String() + "/default"
}

// DirectURL is URL without the relay that keeps the server from clients that are
// killed, for measurements.
func (s *ClickHouseServer) DirectURL() string { return "clickhouse://" + s.address() + "/default" }

func (s *ClickHouseServer) address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Log gives the last lines the server printed.
func (s *ClickHouseServer) Log() string { return s.log.String() }

// PID is the process id of the server; 0 when it does not run.
func (s *ClickHouseServer) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.running() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Crash kills the server, as kill -9 does. What it has given to the kernel
// survives, unlike when the power fails.
func (s *ClickHouseServer) Crash() error { return s.end(syscall.SIGKILL) }

// Stop ends the server in order. Restart starts it again.
func (s *ClickHouseServer) Stop() error { return s.end(syscall.SIGTERM) }

// Close stops the server and removes its data.
func (s *ClickHouseServer) Close() error {
	if s.relay != nil {
		defer s.relay.close()
	}
	return errors.Join(s.end(syscall.SIGKILL), s.folder.remove())
}

func (s *ClickHouseServer) end(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked(sig)
}

func (s *ClickHouseServer) endLocked(sig os.Signal) error {
	if s.proc == nil {
		return nil
	}
	if err := s.proc.end(sig, clickHouseStop); err != nil {
		return fmt.Errorf("ClickHouse: %w", err)
	}
	s.proc = nil
	return nil
}

// Restart starts the server on the same data and the same address; one that
// runs is stopped first.
func (s *ClickHouseServer) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.endLocked(syscall.SIGTERM); err != nil {
		return err
	}
	// It leaves its lock behind when it is killed; nobody else has this folder.
	_ = os.Remove(filepath.Join(s.folder.path, "data", "status"))
	cmd := exec.Command(filepath.Join(s.bin, "clickhouse"), filepath.Join(s.bin, "libchdb.so"), strconv.Itoa(s.port), "--path="+filepath.Join(s.folder.path, "data"))
	var us *account
	cmd.SysProcAttr = us.attributes(syscall.SIGKILL)
	cmd.Dir = s.folder.path
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "HOME=" + s.folder.path}
	proc, err := startProcess(cmd, &s.log, clickHouseReady)
	if err != nil {
		return fmt.Errorf("ClickHouse: %w", err)
	}
	if err := proc.await(ctx, clickHousePatience); err != nil {
		return errors.Join(fmt.Errorf("ClickHouse: %w", err), proc.end(syscall.SIGKILL, clickHouseStop))
	}
	s.proc = proc
	return nil
}
