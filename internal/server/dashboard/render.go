package dashboard

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

//go:embed templates
var templateFiles embed.FS

// pages are the templates by the name of their file, each with the layout.
type pages map[string]*template.Template

// pageNames are the files in templates that are a page of their own.
var pageNames = []string{"overview", "explore", "record", "choice", "integrity", "run", "agents", "operations", "failure"}

func loadPages(files map[string]*asset) (pages, error) {
	base := template.New("layout").Funcs(templateFuncs).Funcs(template.FuncMap{
		"asset": func(name string) string { return "/assets/" + name + "?v=" + files[name].hash },
	})
	base, err := base.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/records.html")
	if err != nil {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: "the dashboard's layout is broken", Cause: err}
	}
	all := pages{}
	for _, name := range pageNames {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, &audit.Error{Code: audit.CodeInternal, Message: "the dashboard's page " + name + " is broken", Cause: err}
		}
		all[name] = t
	}
	return all, nil
}

// view is what the layout shows around a page.
type view struct {
	Title   string
	Section string // the path of the section in the navigation; "" for none
	Refresh int    // seconds until the page loads itself again; 0 for never
	Version string
	Engine  string
	Body    any
}

// section is one entry of the navigation.
type section struct{ Path, Name string }

// Sections are the entries of the navigation.
func (view) Sections() []section {
	return []section{{"/", "Overview"}, {"/explore", "Explore"}, {"/integrity", "Integrity"}, {"/agents", "Agents"}, {"/operations", "Operations"}}
}

// show renders a page. Nothing is sent before all of it is rendered.
func (d *dash) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) error {
	v.Version, v.Engine = d.opt.Version, d.trail.Capabilities().Engine
	var b bytes.Buffer
	if err := d.pages[name].ExecuteTemplate(&b, "layout", v); err != nil {
		return &audit.Error{Code: audit.CodeInternal, Message: "the page cannot be rendered", Cause: err}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // a client that has gone needs no answer
	}
	return nil
}

// base is where the reader reached the server.
func base(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// redirect sends the reader to another page of ours, by GET.
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// join is for templates: the values with a word between them.
func join(values []string, word string) string { return strings.Join(values, word) }
