package enginetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is what the servers of all engines have in common: a folder, a port, a
// log, and a process that is started, awaited and ended. Its methods may be called
// at the same time.
type server struct {
	name          string // for people
	command       func() *exec.Cmd
	ready         string                                // what it prints when it is ready
	settled       func(context.Context, *process) error // what is awaited after that; may be nil
	startPatience time.Duration                         // for a start, with its recovery
	stopPatience  time.Duration                         // for an end
	orderly       syscall.Signal                        // ends it in order
	atOnce        syscall.Signal                        // ends it with all its processes
	as            *account

	folder *folder
	port   int
	log    tail

	mu   sync.Mutex
	proc *process // nil when it does not run
}

// portAttempts is how many ports a server tries: another process may be given the
// port between the look and the start.
const portAttempts = 5

// portTaken are the words in which the engines say so.
var portTaken = []string{"Address already in use", "BindException"}

// housed makes the server's folder.
func (s *server) housed() (err error) {
	if s.folder, err = newFolder(s.as); err != nil {
		return fmt.Errorf("%s: its folder: %w", s.name, err)
	}
	return nil
}

// launch starts the server for the first time, which settles its port.
func (s *server) launch(ctx context.Context) (err error) {
	for attempt := 1; ; attempt++ {
		if s.port, err = freePort(ctx); err != nil {
			return fmt.Errorf("%s: no free port: %w", s.name, err)
		}
		if err = s.Restart(ctx); err == nil || attempt == portAttempts {
			return err
		}
		log, taken := s.Log(), false
		for _, words := range portTaken {
			taken = taken || strings.Contains(log, words)
		}
		if !taken {
			return err
		}
	}
}

// Log gives the last lines the server printed.
func (s *server) Log() string { return s.log.String() }

// PID is the process id of the server; 0 when it does not run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.running() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Restart starts the server on the same data and the same address; one that runs
// is stopped in order first. It returns when the server has recovered and takes
// connections.
func (s *server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.endLocked(s.orderly); err != nil {
		return err
	}
	cmd := s.command()
	s.prepare(cmd, s.atOnce)
	proc, err := startProcess(cmd, &s.log, s.ready)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if err = proc.await(ctx, s.startPatience); err == nil && s.settled != nil {
		err = s.settled(ctx, proc)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", s.name, err), proc.end(s.atOnce, s.stopPatience))
	}
	s.proc = proc
	return nil
}

// Close ends the server and removes its data.
func (s *server) Close() error { return errors.Join(s.end(s.atOnce), s.folder.remove()) }

func (s *server) end(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked(sig)
}

func (s *server) endLocked(sig os.Signal) error {
	if s.proc == nil {
		return nil
	}
	if err := s.proc.end(sig, s.stopPatience); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.proc = nil
	return nil
}

// prepare gives a program the server's account, its folder, and an environment of
// nothing but what it needs; what it has in Env already goes before that.
func (s *server) prepare(cmd *exec.Cmd, deathSignal syscall.Signal) {
	cmd.SysProcAttr = s.as.attributes(deathSignal)
	cmd.Dir = s.folder.path
	cmd.Env = append([]string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "HOME=" + s.folder.path}, cmd.Env...)
}

// address is the server's port of 127.0.0.1.
func (s *server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *server) title() string { return s.name }

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
