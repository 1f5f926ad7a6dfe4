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

// The kinds of search servers; an Elasticsearch is named with its major version.
const (
	OpenSearchKind    = "opensearch"
	ElasticsearchKind = "elasticsearch"
)

// The versions that Annals is tested with, by kind.
const (
	OpenSearchVersion     = "3.8.0"
	Elasticsearch9Version = "9.5.3"
	Elasticsearch7Version = "7.17.29"
)

// SearchOptions say which server [StartSearch] and [LaunchSearch] start.
type SearchOptions struct {
	// Kind is opensearch, elasticsearch9 or elasticsearch7; empty is opensearch.
	Kind string
	// HeapMB is the size of its heap; 0 is 512.
	HeapMB int
	// Optimized lets the virtual machine compile as in production, for benchmarks;
	// without it the server starts faster.
	Optimized bool
	// Settings are further lines of its configuration, key=value.
	Settings []string
}

// SearchServer is an OpenSearch or Elasticsearch of its own, on a loopback
// address. What it acknowledged survives [SearchServer.Crash].
type SearchServer struct {
	options SearchOptions
	java    string
	lib     string
	folder  *folder
	port    int
	log     tail

	mu   sync.Mutex
	proc *process // nil when it does not run
}

const (
	searchReady    = "started http "
	searchPatience = 2 * time.Minute
	searchStop     = 30 * time.Second
	searchAttempts = 5
)

// searchJava is the oldest Java that each kind runs on, and the newest where
// there is one that it does not.
var searchJava = map[string][2]int{
	OpenSearchKind:          {21, 99},
	ElasticsearchKind + "9": {21, 99},
	ElasticsearchKind + "7": {17, 17},
}

func searchVariable(kind string) string { return "ANNALS_TEST_" + strings.ToUpper(kind) }

func searchEngine(kind string) engine {
	switch kind {
	case ElasticsearchKind + "9":
		return engine{ElasticsearchKind, Elasticsearch9Version}
	case ElasticsearchKind + "7":
		return engine{ElasticsearchKind, Elasticsearch7Version}
	}
	return engine{OpenSearchKind, OpenSearchVersion}
}

// LaunchSearch starts a server and returns when it answers. The caller closes it.
// The error is an [ErrAbsent] where there is none to start; otherwise it tells
// what the server printed.
func LaunchSearch(ctx context.Context, options SearchOptions) (*SearchServer, error) {
	if options.Kind == "" {
		options.Kind = OpenSearchKind
	}
	if options.HeapMB == 0 {
		options.HeapMB = 512
	}
	s := &SearchServer{options: options}
	javas := searchJava[options.Kind]
	var err error
	if s.java, err = javaOf(ctx, javas[0], javas[1]); err != nil {
		return nil, err
	}
	if s.lib, err = fetch(ctx, searchEngine(options.Kind)); err != nil {
		return nil, err
	}
	if s.folder, err = newFolder(nil); err != nil {
		return nil, fmt.Errorf("%s: its folder: %w", s.name(), err)
	}
	for attempt := 1; ; attempt++ {
		if s.port, err = freePort(ctx); err == nil {
			err = s.start(ctx)
		}
		if err == nil {
			return s, nil
		}
		// Another process may have been given the port between the look and the start.
		if attempt == searchAttempts || !strings.Contains(s.log.String(), "BindException") {
			return nil, errors.Join(err, s.Close())
		}
	}
}

func (s *SearchServer) name() string { return s.options.Kind }

// URL is the address. It stays the same over restarts.
func (s *SearchServer) URL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Log gives the last lines the server printed.
func (s *SearchServer) Log() string { return s.log.String() }

// Crash kills the server as kill -9 does. [SearchServer.Start] starts it again.
func (s *SearchServer) Crash() error { return s.end(syscall.SIGKILL) }

// Start starts a server that was ended, on the same address and data.
func (s *SearchServer) Start(ctx context.Context) error { return s.start(ctx) }

// Restart stops the server in order and starts it again.
func (s *SearchServer) Restart(ctx context.Context) error {
	if err := s.end(syscall.SIGTERM); err != nil {
		return err
	}
	return s.start(ctx)
}

// Close stops the server and removes its data.
func (s *SearchServer) Close() error {
	return errors.Join(s.end(syscall.SIGKILL), s.folder.remove())
}

func (s *SearchServer) end(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	if err := s.proc.end(sig, searchStop); err != nil {
		return fmt.Errorf("%s: %w", s.name(), err)
	}
	s.proc = nil
	return nil
}

func (s *SearchServer) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	home := filepath.Join(s.folder.path, "home")
	heap := strconv.Itoa(s.options.HeapMB)
	args := []string{
		"-Xms128m", "-Xmx" + heap + "m", "-XX:+UseSerialGC",
		"-Dlog4j2.configurationFile=" + filepath.Join(s.lib, "log4j2.properties"),
	}
	if !s.options.Optimized {
		args = append(args, "-XX:TieredStopAtLevel=1")
	}
	switch s.options.Kind {
	case OpenSearchKind:
		args = append(args, "--enable-native-access=ALL-UNNAMED", "-Dopensearch.path.home="+home,
			"-cp", filepath.Join(s.lib, "lib", "*"), "OpenSearchForTests", home, strconv.Itoa(s.port))
	case ElasticsearchKind + "9":
		args = append(args, "--enable-native-access=ALL-UNNAMED", "--add-modules", "jdk.net,jdk.management.agent,ALL-MODULE-PATH",
			"-Des.path.home="+home, "--module-path", filepath.Join(s.lib, "lib"), "-cp", filepath.Join(s.lib, "launcher.jar"),
			"Elasticsearch9ForTests", home, strconv.Itoa(s.port), filepath.Join(s.lib, "netty"))
	default:
		args = append(args, "-Des.path.home="+home, "-cp", filepath.Join(s.lib, "lib", "*"), "Elasticsearch7ForTests", home, strconv.Itoa(s.port))
	}
	cmd := exec.Command(s.java, append(args, s.options.Settings...)...)
	var us *account
	cmd.SysProcAttr = us.attributes(syscall.SIGKILL)
	cmd.Dir = s.folder.path
	cmd.Env = []string{"LC_ALL=C.UTF-8", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "HOME=" + s.folder.path}
	proc, err := startProcess(cmd, &s.log, searchReady)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name(), err)
	}
	if err = proc.await(ctx, searchPatience); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", s.name(), err), proc.end(syscall.SIGKILL, searchStop))
	}
	s.proc = proc
	return nil
}
