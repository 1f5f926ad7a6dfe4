package enginetest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ClickHouseVersion is the ClickHouse that Annals is tested with.
const ClickHouseVersion = "26.7.3"

// ClickHouseServer is a server of its own, with the native protocol on a port of
// 127.0.0.1. Its methods may be called at the same time.
type ClickHouseServer struct {
	server
	bin   string
	relay *relay
}

// LaunchClickHouse starts a server and returns when it takes connections. The
// caller closes it. The error is an [ErrAbsent] where there is no ClickHouse to
// start; otherwise it tells what the server printed.
func LaunchClickHouse(ctx context.Context) (*ClickHouseServer, error) {
	bin, err := fetch(ctx, engine{"clickhouse", ClickHouseVersion})
	if err != nil {
		return nil, err
	}
	s := &ClickHouseServer{bin: bin}
	s.server = server{
		name: "ClickHouse", command: s.program, ready: "listening",
		startPatience: time.Minute, stopPatience: 20 * time.Second, orderly: syscall.SIGTERM, atOnce: syscall.SIGKILL,
	}
	if err := s.housed(); err != nil {
		return nil, err
	}
	if err = s.launch(ctx); err == nil {
		s.relay, err = newRelay(s.address())
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is how to connect to the server's database "default". It stays the same
// over restarts.
func (s *ClickHouseServer) URL() string {
	return "clickhouse://" + s.relay.listener.Addr().String() + "/default"
}

// DirectURL is URL without the relay that keeps the server from clients that are
// killed, for measurements.
func (s *ClickHouseServer) DirectURL() string { return "clickhouse://" + s.address() + "/default" }

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
	return s.server.Close()
}

func (s *ClickHouseServer) program() *exec.Cmd {
	data := filepath.Join(s.folder.path, "data")
	// It leaves its lock behind when it is killed; nobody else has this folder.
	_ = os.Remove(filepath.Join(data, "status"))
	return exec.Command(filepath.Join(s.bin, "clickhouse"), filepath.Join(s.bin, "libchdb.so"), strconv.Itoa(s.port), "--path="+data)
}
