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

// DynamoDBOptions say which server [StartDynamoDB] and [LaunchDynamoDB] start. The
// zero value is for functional tests: everything in memory.
type DynamoDBOptions struct {
	Durable bool // in a file, which survives [DynamoDBServer.Restart]; far slower
}

// DynamoDBServer is a DynamoDB Local of its own. It listens on every interface
// of the machine, as it has no option for another; what it holds is test data.
// Its methods may be called at the same time.
type DynamoDBServer struct {
	options DynamoDBOptions
	jars    string
	java    string
	folder  *folder
	port    int
	log     tail

	mu   sync.Mutex
	proc *process // nil when it does not run
}

const (
	dynamoDBReady    = "CorsParams:" // the last that it prints before it listens
	dynamoDBPatience = time.Minute
	dynamoDBStop     = 20 * time.Second
	dynamoDBLook     = 20 * time.Millisecond
)

// LaunchDynamoDB starts a server and returns when it answers. The caller closes
// it. The error is an [ErrAbsent] where there is no DynamoDB Local to start;
// otherwise it tells what the server printed.
func LaunchDynamoDB(ctx context.Context, options DynamoDBOptions) (*DynamoDBServer, error) {
	jars, err := dynamoDBPrograms(ctx)
	if err != nil {
		return nil, err
	}
	java, err := javaOf(ctx, dynamoDBJava, anyJava)
	if err != nil {
		return nil, err
	}
	f, err := newFolder(nil)
	if err != nil {
		return nil, fmt.Errorf("DynamoDB Local: its folder: %w", err)
	}
	s := &DynamoDBServer{options: options, jars: jars, java: java, folder: f}
	for attempt := 1; ; attempt++ {
		if s.port, err = freePort(ctx); err == nil {
			err = s.start(ctx)
		}
		if err == nil {
			return s, nil
		}
		// Another process may have been given the port between the look and the start.
		if attempt == portAttempts || !strings.Contains(s.log.String(), "Address already in use") {
			return nil, errors.Join(err, s.Close())
		}
	}
}

// URL is the endpoint. It stays the same over restarts.
func (s *DynamoDBServer) URL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Log gives the last lines the server printed.
func (s *DynamoDBServer) Log() string { return s.log.String() }

// Restart stops the server in order and starts it on the same address, and on the
// same data where it is Durable.
func (s *DynamoDBServer) Restart(ctx context.Context) error {
	if err := s.end(syscall.SIGTERM); err != nil {
		return err
	}
	return s.start(ctx)
}

// Close stops the server and removes its data.
func (s *DynamoDBServer) Close() error {
	return errors.Join(s.end(syscall.SIGKILL), s.folder.remove())
}

func (s *DynamoDBServer) end(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	if err := s.proc.end(sig, dynamoDBStop); err != nil {
		return fmt.Errorf("DynamoDB Local: %w", err)
	}
	s.proc = nil
	return nil
}

func (s *DynamoDBServer) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	args := []string{
		"-Xmx512m", "-Dfile.encoding=UTF-8", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dsqlite4java.library.path=" + s.jars, "-Djava.library.path=" + s.jars, "-Djava.io.tmpdir=" + s.folder.path,
		"-cp", filepath.Join(s.jars, "*"), "software.amazon.dynamodb.services.local.main.ServerRunner",
		"-port", strconv.Itoa(s.port), "-sharedDb", "-disableTelemetry",
	}
	if s.options.Durable {
		args = append(args, "-dbPath", s.folder.path)
	} else {
		args = append(args, "-inMemory")
	}
	cmd := exec.Command(s.java, args...)
	var us *account
	cmd.SysProcAttr = us.attributes(syscall.SIGKILL)
	cmd.Dir = s.folder.path
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "HOME=" + s.folder.path}
	proc, err := startProcess(cmd, &s.log, dynamoDBReady)
	if err != nil {
		return fmt.Errorf("DynamoDB Local: %w", err)
	}
	if err = proc.await(ctx, dynamoDBPatience); err == nil {
		err = s.awaitPort(ctx, proc)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("DynamoDB Local: %w", err), proc.end(syscall.SIGKILL, dynamoDBStop))
	}
	s.proc = proc
	return nil
}

// awaitPort returns when the server takes connections, which it does a moment
// after the last that it prints.
func (s *DynamoDBServer) awaitPort(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithTimeout(ctx, dynamoDBPatience)
	defer cancel()
	look := time.NewTicker(dynamoDBLook)
	defer look.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-look.C:
		case <-proc.done:
			return fmt.Errorf("it ended at once (%v): %s", proc.err, &s.log)
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w: %s", context.Cause(ctx), &s.log)
		}
	}
}
