package enginetest

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	server
	options SearchOptions
	java    string
	lib     string
}

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
	s.server = server{
		name: options.Kind, command: s.program, ready: "started http ",
		startPatience: 2 * time.Minute, stopPatience: 30 * time.Second, orderly: syscall.SIGTERM, atOnce: syscall.SIGKILL,
	}
	if err := s.housed(); err != nil {
		return nil, err
	}
	if err := s.launch(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is the address. It stays the same over restarts.
func (s *SearchServer) URL() string { return "http://" + s.address() }

// Crash kills the server as kill -9 does. [SearchServer.Start] starts it again.
func (s *SearchServer) Crash() error { return s.end(s.atOnce) }

// Start starts a server that was ended, on the same address and data.
func (s *SearchServer) Start(ctx context.Context) error { return s.Restart(ctx) }

func (s *SearchServer) program() *exec.Cmd {
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
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	return cmd
}
