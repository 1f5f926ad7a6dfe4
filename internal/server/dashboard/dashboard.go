package dashboard

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
)

// DefaultStatTimeout is how long one statistic of a page may take.
const DefaultStatTimeout = 8 * time.Second

// queryTimeout is how long the question that a page is about may take.
const queryTimeout = 30 * time.Second

// Options configure the dashboard. The zero value is ready to use.
type Options struct {
	Version     string           // of the program; "" is "dev"
	Logger      *slog.Logger     // nil is slog.Default()
	Now         func() time.Time // nil is time.Now
	StatTimeout time.Duration    // 0 is DefaultStatTimeout
	// Stopping is closed when the server stops: verifications under way then
	// end. Without it they end when the trail is closed.
	Stopping <-chan struct{}
}

// dash serves the pages.
type dash struct {
	trail    *annals.Trail
	opt      Options
	log      *slog.Logger
	pages    pages
	files    map[string]*asset
	runs     *runs
	suggests suggestions
	mux      *http.ServeMux
	origin   *http.CrossOriginProtection
}

// New makes the dashboard of a trail, which stays the caller's. An error names
// the option that is wrong.
func New(trail *annals.Trail, opt Options) (http.Handler, error) {
	if trail == nil {
		return nil, audit.Invalid("trail", "is missing")
	}
	if opt.StatTimeout < 0 {
		return nil, audit.Invalid("stat_timeout", "is negative")
	}
	if opt.StatTimeout == 0 {
		opt.StatTimeout = DefaultStatTimeout
	}
	if opt.Version == "" {
		opt.Version = "dev"
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	d := &dash{trail: trail, opt: opt, log: opt.Logger, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection()}
	var err error
	if d.files, err = loadAssets(); err != nil {
		return nil, err
	}
	if d.pages, err = loadPages(d.files); err != nil {
		return nil, err
	}
	d.runs = newRuns(trail, opt)
	d.handle("GET /{$}", d.overview)
	d.handle("GET /explore", d.explore)
	d.handle("GET /explore/filter", d.filter)
	d.handle("GET /explore/actor", d.exploreActor)
	d.handle("GET /records/{id}", d.record)
	d.handle("GET /integrity", d.integrity)
	d.handle("POST /integrity/runs", d.startRun)
	d.handle("GET /integrity/runs/{id}", d.showRun)
	d.handle("POST /integrity/runs/{id}/stop", d.stopRun)
	d.handle("GET /agents", d.agents)
	d.handle("GET /operations", d.operations)
	d.handle("GET /assets/{name}", d.asset)
	d.handle("/", d.nothing)
	return d, nil
}

// pagePolicy lets a page load what is ours and run no script but our file.
const pagePolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// ServeHTTP implements http.Handler.
func (d *dash) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for what does not know frame-ancestors
	// Not no-referrer: that makes browsers hide the origin of our own forms too.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if err := d.origin.Check(r); err != nil {
		d.fail(w, r, &audit.Error{Code: audit.CodeForbidden, Message: "a page of another site may not send this"})
		return
	}
	d.mux.ServeHTTP(w, r)
}

// handle registers a page; what it returns as an error becomes a page too.
func (d *dash) handle(pattern string, page func(http.ResponseWriter, *http.Request) error) {
	d.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := page(w, r); err != nil {
			d.fail(w, r, err)
		}
	})
}

// errMethod is answered with 405; no code of package audit means that.
var errMethod = errors.New("method not allowed")

// nothing answers what no page is registered for.
func (d *dash) nothing(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		as := &http.Request{Method: http.MethodGet, Host: r.Host, URL: &url.URL{Path: r.URL.Path}}
		if _, pattern := d.mux.Handler(as); pattern != "/" {
			w.Header().Set("Allow", "GET, HEAD")
			return errMethod
		}
	}
	return &audit.Error{Code: audit.CodeNotFound, Message: "There is no page at this address."}
}

// params parses the query string strictly: a part that cannot be read is an
// error, as a lost condition would answer too much.
func params(r *http.Request) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, audit.Invalid("", "The address is malformed after its question mark.")
	}
	return v, nil
}
