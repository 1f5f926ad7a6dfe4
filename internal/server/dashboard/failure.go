package dashboard

import (
	"context"
	"errors"
	"net/http"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/api"
)

// public gives the part of an error that a reader may see: our own code, field
// and message, never the text of a cause.
func public(err error) (code audit.Code, field, message string) {
	var e *audit.Error
	switch {
	case errors.As(err, &e) && e.Code != audit.CodeInternal:
		if errors.Is(err, context.DeadlineExceeded) {
			return audit.CodeUnavailable, e.Field, "this took too long; narrow the question or the time"
		}
		return e.Code, e.Field, e.Message
	case errors.Is(err, context.DeadlineExceeded):
		return audit.CodeUnavailable, "", "this took too long; narrow the question or the time"
	case errors.Is(err, context.Canceled):
		return audit.CodeUnavailable, "", "the request was ended before it was answered"
	}
	return audit.CodeInternal, "", "an internal error; the server's log says more"
}

// failure is the page of an error.
type failure struct {
	Status                    int
	Title, Field, Message, ID string
}

// identified is implemented by the server's response writer.
type identified interface{ RequestID() string }

// fail answers with the page that the error stands for, and logs what the
// reader is not told.
func (d *dash) fail(w http.ResponseWriter, r *http.Request, err error) {
	code, field, message := public(err)
	f := failure{Status: api.StatusOf(code), Field: field, Message: message}
	if errors.Is(err, errMethod) {
		f.Status, f.Message = http.StatusMethodNotAllowed, r.Method+" is not possible here."
	}
	f.Title = http.StatusText(f.Status)
	if f.Status >= 500 && r.Context().Err() == nil {
		if i, ok := w.(identified); ok {
			f.ID = i.RequestID()
		}
		d.log.ErrorContext(r.Context(), "page failed", "request_id", f.ID, "method", r.Method, "path", r.URL.Path, "status", f.Status, "error", err)
	}
	if err := d.show(w, r, f.Status, "failure", view{Title: f.Title, Body: f}); err != nil {
		d.log.ErrorContext(r.Context(), "the page of an error failed", "error", err)
		http.Error(w, f.Title, f.Status)
	}
}
