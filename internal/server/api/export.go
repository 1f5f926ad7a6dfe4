package api

import (
	"bufio"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/export/csv"
	"github.com/annals-dev/annals/export/ndjson"
)

const (
	exportBuffer = 32 << 10
	exportFlush  = time.Second      // a slow walk sends what it has this often
	exportWrite  = 30 * time.Second // a reader that takes nothing for so long is cut off
)

// exporter writes records in one format.
type exporter interface {
	Write(rec *audit.Record) error
	Flush() error // writes what is held back; an export is whole after it
}

var formats = map[string]struct {
	mediaType string
	open      func(io.Writer) exporter
}{
	"ndjson": {typeNDJSON, func(w io.Writer) exporter { return ndjson.NewWriter(w) }},
	"csv":    {"text/csv; charset=utf-8", func(w io.Writer) exporter { return csv.NewWriter(w) }},
}

func (a *API) registerExport() {
	a.plain(huma.Operation{
		OperationID: "export-events", Method: http.MethodGet, Path: "/v1/export", Tags: []string{"events"},
		Summary: "Export records",
		Description: "Every record that the filters select, in constant memory. An export that fails half way ends its connection without the proper end of a chunked answer, " +
			"so that a part is never taken for the whole." + metadataNote,
		Parameters: append(append([]*huma.Param{queryParam(paramFormat, "ndjson where it is left out", false, "ndjson", "csv")},
			paramRefs(a.filters...)...), paramRefs(audit.ParamOrder)...),
		Responses: map[string]*huma.Response{"200": {Description: "The records.", Content: map[string]*huma.MediaType{
			typeNDJSON: {Schema: &huma.Schema{Type: huma.TypeString, Description: "one Record a line"}},
			"text/csv": {Schema: &huma.Schema{Type: huma.TypeString, Description: "a line of field names, then one line a record"}},
		}}},
	}, a.export)
}

func (a *API) export(w http.ResponseWriter, r *http.Request) error {
	q, _, params, err := question(r, []string{paramFormat}, noPages)
	if err != nil {
		return err
	}
	name := "ndjson"
	if params.Has(paramFormat) {
		name = params.Get(paramFormat)
	}
	format, ok := formats[name]
	if !ok {
		return audit.Invalid(paramFormat, "is %q, want ndjson or csv", clip(name))
	}
	h := w.Header()
	h.Set("Content-Type", format.mediaType)
	h.Set("Content-Disposition", `attachment; filename="annals.`+name+`"`)
	h.Set("Cache-Control", "no-store")

	out := &exportWriter{w: w, rc: unlimited(w)}
	buffered := bufio.NewWriterSize(out, exportBuffer)
	to := format.open(buffered)
	flush := func() error {
		if err := to.Flush(); err != nil {
			return err
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
		return out.rc.Flush()
	}
	last := time.Now()
	err = a.trail.Export(r.Context(), q, func(rec *audit.Record) error {
		if err := to.Write(rec); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(last) > exportFlush {
			last = now
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		return nil
	}
	if !out.begun {
		return err // nothing was sent yet: it can be answered
	}
	a.report(w, r, err)
	panic(http.ErrAbortHandler)
}

// exportWriter notes that the answer has begun, and gives the reader time for
// each piece instead of for the whole.
type exportWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	begun bool
}

func (e *exportWriter) Write(b []byte) (int, error) {
	e.begun = true
	_ = e.rc.SetWriteDeadline(time.Now().Add(exportWrite)) // a test's writer has none
	return e.w.Write(b)
}
