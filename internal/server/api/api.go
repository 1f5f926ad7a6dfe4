package api

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
)

// Options configure the interface.
type Options struct {
	Version string       // of the program, for the document
	Logger  *slog.Logger // told of every error that a client is not told in full
	// Stopping is closed when the server begins to stop: live streams then end.
	Stopping <-chan struct{}
	// BodyBytes bounds the bytes of request bodies under way; 0 is DefaultBodyBytes.
	BodyBytes int64
}

// API is the set of operations, registered on a mux.
type API struct {
	trail   *annals.Trail
	log     *slog.Logger
	mux     *http.ServeMux
	huma    huma.API
	filters []string // the names of all filter parameters, in order
	stop    <-chan struct{}
	streams chan struct{} // one token for each live stream
	bodies  bodies
	faults  faults
}

// New registers every operation under /v1 on the mux.
func New(mux *http.ServeMux, trail *annals.Trail, opt Options) *API {
	components := &huma.Components{
		Schemas:    huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer),
		Parameters: map[string]*huma.Param{},
	}
	a := &API{
		trail: trail, log: opt.Logger, mux: mux, stop: opt.Stopping,
		streams: make(chan struct{}, maxStreams),
		filters: defineParams(components.Parameters),
		bodies:  bodies{most: opt.BodyBytes},
		faults:  faults{log: opt.Logger, kinds: map[faultKind]*fault{}},
	}
	if opt.BodyBytes == 0 {
		a.bodies.most = DefaultBodyBytes
	}
	defineSchemas(components.Schemas.Map())
	// No schema links, no documentation from a foreign host: neither OpenAPIPath
	// nor DocsPath is set, and the server has its own pages for both.
	a.huma = humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Annals", Version: opt.Version,
				Description: "An audit trail: who did what on what and how it ended. Errors are RFC 9457 problems with a code and, where there is one, the field that is wrong. An unknown parameter or field is an error.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: components,
			Tags: []*huma.Tag{
				{Name: "events", Description: "Events in, records out."},
				{Name: "statistics", Description: "Only calls count: records of kind event that are not intents. The window is the last 24 hours where no bound is given, its start inclusive and its end exclusive."},
				{Name: "integrity", Description: "The hash chains and their verification."},
				{Name: "policy", Description: "What is recorded, and why."},
				{Name: "retention", Description: "How long records are kept, and legal holds."},
				{Name: "server", Description: "Health, metrics and documentation."},
			},
		},
		Formats:       map[string]huma.Format{typeJSON: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: typeJSON,
	})
	a.huma.UseMiddleware(a.withCall)
	a.registerIngest()
	a.registerRecords()
	a.registerStream()
	a.registerStats()
	a.registerChains()
	a.registerExport()
	a.registerPolicy()
	a.registerRetention()
	return a
}

// OpenAPI gives the document of all operations. It may be added to until the
// server starts.
func (a *API) OpenAPI() *huma.OpenAPI { return a.huma.OpenAPI() }

// call is the request that a typed operation answers.
type call struct {
	r *http.Request
	w http.ResponseWriter
}

type callKey struct{}

func (a *API) withCall(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	h := hold{of: &a.bodies}
	defer h.release()
	if err := h.admit(w, r, maxSmallBody); err != nil {
		a.WriteError(w, r, err)
		return
	}
	next(huma.WithValue(ctx, callKey{}, &call{r, w}))
}

type output[O any] struct{ Body O }

// typed registers an operation whose answer is a Go value.
func typed[I, O any](a *API, op huma.Operation, fn func(ctx context.Context, c *call, in *I) (O, error)) {
	op.MaxBodyBytes = maxSmallBody
	op.BodyReadTimeout = bodyTime
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*output[O], error) {
		c := ctx.Value(callKey{}).(*call)
		out, err := fn(ctx, c, in)
		if err != nil {
			return nil, a.report(c.w, c.r, err)
		}
		return &output[O]{out}, nil
	})
}

// plain registers an operation that reads and writes HTTP itself; an error that
// it returns before it has written anything is answered as a problem.
func (a *API) plain(op huma.Operation, fn func(http.ResponseWriter, *http.Request) error) {
	a.Handle(op, func(w http.ResponseWriter, r *http.Request) {
		if err := fn(w, r); err != nil {
			a.WriteError(w, r, err)
		}
	})
}

// Handle registers a handler together with its operation in the document.
func (a *API) Handle(op huma.Operation, h http.HandlerFunc) {
	if op.Responses["default"] == nil {
		op.Responses["default"] = &huma.Response{
			Description: "Error",
			Content:     map[string]*huma.MediaType{problemType: {Schema: a.problemSchema()}},
		}
	}
	a.huma.OpenAPI().AddOperation(&op)
	a.mux.HandleFunc(op.Method+" "+op.Path, h)
}

func jsonResponse(doc string, schema *huma.Schema) map[string]*huma.Response {
	return response(doc, typeJSON, schema)
}

func response(doc, mediaType string, schema *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: doc, Content: map[string]*huma.MediaType{mediaType: {Schema: schema}}}}
}

func writeJSON(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonHeader
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = w.Write(body) // a client that has gone needs no answer
}

var jsonHeader = []string{typeJSON}

// unlimited lifts the server's timeouts for an answer that may take longer.
// Without it the end of the read timeout would look like the end of the client.
func unlimited(w http.ResponseWriter) *http.ResponseController {
	rc := http.NewResponseController(w)
	// Not every writer has deadlines; one that has none needs none lifted.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Time{})
	return rc
}

// unsupported parameters of a question, by what an operation does with it.
var (
	noPages = []string{audit.ParamLimit, audit.ParamCursor}
	noOrder = []string{audit.ParamLimit, audit.ParamCursor, audit.ParamOrder}
)
