package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/api"
)

// DefaultAddr is where the server listens when nothing else is said.
const DefaultAddr = "127.0.0.1:8480"

// DefaultShutdownTimeout is how long a stopping server waits for requests under way.
const DefaultShutdownTimeout = 15 * time.Second

const (
	headerTime  = 10 * time.Second
	requestTime = time.Minute // for a whole request with its body
	idleTime    = 2 * time.Minute
	answerTime  = time.Minute // for every answer but those that say otherwise: stream, export, verify
	headerBytes = 128 << 10
)

// Options configure a Server. The zero value listens at DefaultAddr.
type Options struct {
	Addr            string        // host:port, a loopback host; port 0 is any free one; "" is DefaultAddr
	Version         string        // of the program; "" is "dev"
	Logger          *slog.Logger  // nil is slog.Default(); the access log is at level debug
	Metrics         *Metrics      // nil is one of its own; give it to the trail as its Observer too
	Dashboard       http.Handler  // serves every path that is not the server's own; nil is a page with links
	ShutdownTimeout time.Duration // 0 is DefaultShutdownTimeout
	BodyBytes       int64         // bound of the request bodies under way, at least 12 MiB; 0 is 64 MiB
}

// Server serves one trail. Make it with New.
type Server struct {
	trail    *annals.Trail
	opt      Options
	log      *slog.Logger
	mux      *http.ServeMux
	api      *api.API
	own      map[string]bool // the paths outside /v1 that are the server's own
	origin   *http.CrossOriginProtection
	http     *http.Server
	listener net.Listener

	stopOnce sync.Once
	stop     chan struct{}
}

// New makes a server. The trail stays the caller's: close it after Run has
// returned. An error names addr: it must be a loopback address, as there are
// no tokens to keep others out.
func New(trail *annals.Trail, opt Options) (*Server, error) {
	if opt.Addr == "" {
		opt.Addr = DefaultAddr
	}
	if opt.Version == "" {
		opt.Version = "dev"
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Metrics == nil {
		opt.Metrics = NewMetrics(opt.Version)
	}
	if opt.ShutdownTimeout == 0 {
		opt.ShutdownTimeout = DefaultShutdownTimeout
	}
	if opt.ShutdownTimeout < 0 {
		return nil, audit.Invalid("shutdown_timeout", "is negative")
	}
	if opt.BodyBytes != 0 && opt.BodyBytes < api.MinBodyBytes {
		return nil, audit.Invalid("body_bytes", "is %d, want 0 or at least %d: a body may have 10 MiB", opt.BodyBytes, api.MinBodyBytes)
	}
	if err := checkAddr(opt.Addr); err != nil {
		return nil, err
	}
	s := &Server{
		trail: trail, opt: opt, log: opt.Logger,
		mux: http.NewServeMux(), own: map[string]bool{},
		origin: http.NewCrossOriginProtection(),
		stop:   make(chan struct{}),
	}
	s.api = api.New(s.mux, trail, api.Options{Version: opt.Version, Logger: opt.Logger, Stopping: s.stop, BodyBytes: opt.BodyBytes})
	opt.Metrics.watch(trail, s.api)
	if err := s.registerPages(s.api); err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		IdleTimeout:       idleTime,
		WriteTimeout:      answerTime,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(opt.Logger.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// checkAddr refuses every address that others than this machine can reach.
func checkAddr(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return audit.Invalid("addr", "%q is not host:port", addr)
	}
	if !loopbackHost(host) {
		return audit.Invalid("addr", "%q is not a loopback address: without tokens the server is open to whoever reaches it, so it listens on 127.0.0.1, [::1] or localhost only", addr)
	}
	return nil
}

// Listen opens the address. Run does it too; it is for callers that want to
// know the port first.
func (s *Server) Listen() error {
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.opt.Addr)
	if err != nil {
		return &audit.Error{Code: audit.CodeUnavailable, Field: "addr", Message: "cannot listen on " + s.opt.Addr, Cause: err}
	}
	// The name localhost may be defined as anything.
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		_ = l.Close() // never used
		return audit.Invalid("addr", "%q stands for %s, which is not a loopback address", s.opt.Addr, l.Addr())
	}
	s.listener = l
	return nil
}

// Addr gives the address listened on, nil before Listen.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends and then stops: it takes no new connections, is
// not ready any more, ends live streams, and waits for requests under way up
// to ShutdownTimeout. It returns nil when all of them were answered. A Server
// runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "listening", "url", "http://"+s.listener.Addr().String(), "engine", s.trail.Capabilities().Engine, "version", s.opt.Version)
	s.log.WarnContext(ctx, "open without tokens: whoever can connect from this machine may read and write")
	defer s.api.Stopped(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		s.beginStop()
		return &audit.Error{Code: audit.CodeUnavailable, Message: "the server ended", Cause: err}
	case <-ctx.Done():
	}
	s.beginStop()
	s.log.InfoContext(ctx, "stopping", "timeout", s.opt.ShutdownTimeout)
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.ShutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(deadline)
	if err != nil {
		_ = s.http.Close() // what is left had its time
		err = &audit.Error{Code: audit.CodeUnavailable, Message: "requests were cut off at the end of the shutdown timeout", Cause: err}
	}
	if e := <-served; err == nil && !errors.Is(e, http.ErrServerClosed) {
		err = &audit.Error{Code: audit.CodeUnavailable, Message: "the server ended", Cause: e}
	}
	return err
}

func (s *Server) beginStop() { s.stopOnce.Do(func() { close(s.stop) }) }

func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
