package enginetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
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
	server
	options DynamoDBOptions
	jars    string
	java    string
}

const dynamoDBLook = 20 * time.Millisecond

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
	s := &DynamoDBServer{options: options, jars: jars, java: java}
	s.server = server{
		name: "DynamoDB Local", command: s.program, ready: "CorsParams:", settled: s.awaitPort,
		startPatience: time.Minute, stopPatience: 20 * time.Second, orderly: syscall.SIGTERM, atOnce: syscall.SIGKILL,
	}
	if err := s.housed(); err != nil {
		return nil, err
	}
	if err := s.launch(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is the endpoint. It stays the same over restarts.
func (s *DynamoDBServer) URL() string { return "http://" + s.address() }

func (s *DynamoDBServer) program() *exec.Cmd {
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
	return exec.Command(s.java, args...)
}

// awaitPort returns when the server takes connections, which it does a moment
// after the last that it prints.
func (s *DynamoDBServer) awaitPort(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithTimeout(ctx, s.startPatience)
	defer cancel()
	look := time.NewTicker(dynamoDBLook)
	defer look.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", s.address())
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
