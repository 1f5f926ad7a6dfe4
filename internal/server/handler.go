package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/api"
)

// Handler gives what the server serves, with every check.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	e := &exchange{ResponseWriter: w, request: r}
	defer func() {
		if fault := recover(); fault != nil {
			s.recovered(e, r, fault, start)
		}
		s.finished(e, r, start)
	}()
	w.Header()["X-Content-Type-Options"] = nosniff
	if err := s.checkOrigin(r); err != nil {
		s.api.WriteError(e, r, err)
		return
	}
	if p := r.URL.Path; !strings.HasPrefix(p, "/v1/") && !s.own[p] {
		e.page = true
		s.page(e, r)
		return
	}
	s.mux.ServeHTTP(e, r)
}

var nosniff = []string{"nosniff"}

// page serves the paths that are not the server's own.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.opt.Dashboard != nil:
		s.opt.Dashboard.ServeHTTP(w, r)
	case r.URL.Path != "/":
		s.api.WriteError(w, r, audit.ErrNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		api.WriteStatus(w, http.StatusMethodNotAllowed, audit.CodeInvalid, "", r.Method+" is not allowed here")
	default:
		s.landing(w, r)
	}
}

// recovered turns a panic into an answer, or, where an answer has begun, into a
// connection that ends without its proper end.
func (s *Server) recovered(e *exchange, r *http.Request, fault any, start time.Time) {
	if err, ok := fault.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		s.log.ErrorContext(r.Context(), "panic in a request", "request_id", e.RequestID(), "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
		if e.status == 0 {
			s.api.WriteError(e, r, &audit.Error{Code: audit.CodeInternal, Message: "panic"})
			return
		}
	}
	s.finished(e, r, start)
	panic(http.ErrAbortHandler)
}

func (s *Server) finished(e *exchange, r *http.Request, start time.Time) {
	took := time.Since(start)
	status := e.status
	if status == 0 {
		status = http.StatusOK
	}
	route := routeOf(r, e.page)
	s.opt.Metrics.request(route, r.Method, status, took)
	if ctx := r.Context(); s.log.Enabled(ctx, slog.LevelDebug) {
		s.log.DebugContext(ctx, "request", "request_id", e.RequestID(), "method", r.Method, "path", r.URL.Path, "route", route, "status", status, "bytes", e.bytes, "took", took, "remote", r.RemoteAddr)
	}
}

// routeOf gives the pattern that answered: one of few, whatever clients ask for.
func routeOf(r *http.Request, page bool) string {
	if page {
		return "page"
	}
	if _, path, ok := strings.Cut(r.Pattern, " "); ok {
		return path
	}
	return "none"
}
