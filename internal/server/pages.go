package server

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/api"
)

const pingTime = 2 * time.Second

// pagePolicy lets a page show its own markup and style and load nothing.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerPages adds what the server says about itself.
func (s *Server) registerPages(a *api.API) error {
	add := func(path, summary, doc, mediaType string, h http.HandlerFunc) {
		s.own[path] = true
		a.Handle(huma.Operation{
			OperationID: path[1:], Method: http.MethodGet, Path: path, Tags: []string{"server"}, Summary: summary, Description: doc,
			Responses: map[string]*huma.Response{"200": {Description: summary, Content: map[string]*huma.MediaType{mediaType: {}}}},
		}, h)
	}
	add("/healthz", "Alive", "The process answers. It says nothing of the store.", "application/json", s.health)
	add("/readyz", "Ready", "Events are accepted: the store answers within two seconds, or the server spools and its spool has room; and the server is not stopping. 503 otherwise.", "application/json", s.ready)
	add("/metrics", "Metrics", "In the Prometheus text format.", "text/plain", s.opt.Metrics.handler().ServeHTTP)
	var document, docs []byte
	add("/openapi.json", "This document", "OpenAPI 3.1.", "application/json", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "application/json", document)
	})
	add("/docs", "Documentation", "The operations as a page.", "text/html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		send(w, "text/html; charset=utf-8", docs)
	})
	var err error
	if document, err = json.MarshalIndent(a.OpenAPI(), "", " "); err != nil {
		return &audit.Error{Code: audit.CodeInternal, Message: "the OpenAPI document cannot be written", Cause: err}
	}
	docs, err = renderDocs(a.OpenAPI())
	return err
}

func send(w http.ResponseWriter, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that has gone needs no answer
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	send(w, "application/json", []byte(`{"status":"alive"}`))
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.stopping() {
		api.WriteStatus(w, http.StatusServiceUnavailable, audit.CodeUnavailable, "", "the server is stopping")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTime)
	defer cancel()
	if err := s.trail.Ready(ctx); err != nil {
		if audit.CodeOf(err) == audit.CodeBacklog {
			api.WriteStatus(w, http.StatusServiceUnavailable, audit.CodeBacklog, "", "the spool is full")
			return
		}
		s.api.WriteError(w, r, audit.Unavailable("the store, or the spool, does not answer", err))
		return
	}
	send(w, "application/json", []byte(`{"status":"ready"}`))
}

//go:embed landing.html
var landingSource string

var landingPage = template.Must(template.New("landing").Parse(landingSource))

// landing is the page at / while there is no dashboard.
func (s *Server) landing(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	err := landingPage.Execute(&b, map[string]string{
		"Version": s.opt.Version, "Engine": s.trail.Capabilities().Engine,
	})
	if err != nil {
		s.api.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	send(w, "text/html; charset=utf-8", b.Bytes())
}
