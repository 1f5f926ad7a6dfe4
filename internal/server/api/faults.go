package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// faultInterval is how often one kind of failed request is logged at most: a
// store that is down must not fill the disk with a line a request.
const faultInterval = 10 * time.Second

// faults logs failed requests, one line an interval and kind. The others are
// counted in the next line of the kind, and told at level debug.
type faults struct {
	log   *slog.Logger
	mu    sync.Mutex
	kinds map[faultKind]*fault // as many as there are statuses and codes
}

type faultKind struct {
	status int
	code   audit.Code
}

type fault struct {
	next    time.Time // the next line not before this
	leftOut int
}

// note logs a request that was answered with p because of err.
func (f *faults) note(r *http.Request, p *Problem, err error) {
	level := slog.LevelDebug
	leftOut, due := f.due(faultKind{p.Status, p.Code}, time.Now())
	if due {
		level = slog.LevelError
	}
	f.log.Log(r.Context(), level, "request failed", "request_id", p.RequestID, "method", r.Method, "path", r.URL.Path, "status", p.Status, "code", p.Code, "left_out", leftOut, "error", err)
}

// due says whether a line may be written now, and how many were left out before it.
func (f *faults) due(kind faultKind, now time.Time) (leftOut int, due bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.kinds[kind]
	if k == nil {
		k = &fault{}
		f.kinds[kind] = k
	}
	if now.Before(k.next) {
		k.leftOut++
		return 0, false
	}
	leftOut, k.leftOut = k.leftOut, 0
	k.next = now.Add(faultInterval)
	return leftOut, true
}

// flush tells what was left out and has not been told.
func (f *faults) flush(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for kind, k := range f.kinds {
		if k.leftOut > 0 {
			f.log.ErrorContext(ctx, "more requests failed", "status", kind.status, "code", kind.code, "left_out", k.leftOut)
			k.leftOut = 0
		}
	}
}

// Stopped is called when the last request was answered: it logs how many failed
// requests have had no line of their own.
func (a *API) Stopped(ctx context.Context) { a.faults.flush(ctx) }
