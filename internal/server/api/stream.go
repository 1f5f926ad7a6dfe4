package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
)

const (
	maxStreams  = 256 // live streams at a time; each remembers what it has given
	heartbeat   = 15 * time.Second
	streamWrite = 30 * time.Second // a reader that takes nothing for so long is cut off
	lastEventID = "Last-Event-ID"
	typeSSE     = "text/event-stream"
)

func (a *API) registerStream() {
	a.plain(huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/v1/events/stream", Tags: []string{"events"},
		Summary: "Follow records live",
		Description: "Server-sent events: each has the name record, a record as data, and an id. A reader that comes back with the last id in the header Last-Event-ID " +
			"continues after it; one without begins now. A comment every 15 seconds keeps the connection open. The first id comes at once, before any record." + metadataNote,
		Parameters: append(paramRefs(a.filters...), &huma.Param{Name: lastEventID, In: "header", Description: "the id of the last event seen", Schema: &huma.Schema{Type: huma.TypeString}}),
		Responses:  response("An endless stream of records.", typeSSE, &huma.Schema{Type: huma.TypeString}),
	}, a.streamEvents)
}

func (a *API) streamEvents(w http.ResponseWriter, r *http.Request) error {
	q, _, _, err := question(r, nil, noOrder)
	if err != nil {
		return err
	}
	if q.Open {
		return audit.Invalid(audit.ParamOpen, "cannot be followed live")
	}
	after := audit.Position{OccurredAt: time.Now()}
	if id := r.Header.Get(lastEventID); id != "" {
		if after, err = parsePosition(id); err != nil {
			return err
		}
	}
	// One look finds out what is wrong with the question, or with the store,
	// while an error can still be answered as one.
	probe := *q
	probe.Limit = 1
	if _, err := a.trail.Query(r.Context(), &probe, ""); err != nil {
		return err
	}
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		return &audit.Error{Code: audit.CodeBacklog, Message: "there are too many live streams"}
	}

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &sse{w: w, rc: unlimited(w)}
	h := w.Header()
	h.Set("Content-Type", typeSSE)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	// An id without data is kept by readers and shown to nobody: one that loses
	// the connection before the first record misses nothing.
	if s.send("id: "+formatPosition(after)+"\nretry: 1000\n\n") != nil {
		return nil
	}
	records := make(chan []byte)
	ended := make(chan error, 1)
	go func() { ended <- a.tail(ctx, q, after, records) }()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case event := <-records:
			err = s.write(event)
		case <-beat.C:
			err = s.send(": still here\n\n")
		case <-a.stop:
			err = http.ErrServerClosed
		case err := <-ended:
			if ctx.Err() == nil && audit.CodeOf(err) != audit.CodeUnavailable {
				a.log.ErrorContext(ctx, "stream ended", "error", err)
			}
			return nil
		}
		if err != nil { // the reader has gone, or the server goes
			cancel()
			<-ended
			return nil
		}
	}
}

// tail hands each record, written as a server-sent event, to the channel.
func (a *API) tail(ctx context.Context, q *audit.Query, after audit.Position, out chan<- []byte) error {
	last := after
	return a.trail.Tail(ctx, q, after, func(rec *audit.Record) error {
		// The id is the furthest position given, so that a late arrival from
		// long ago does not make a reader start over from there. A record from
		// the future must not move it past those of today.
		if p := rec.Position(); p.Compare(last) > 0 && !p.OccurredAt.After(time.Now()) {
			last = p
		}
		b := make([]byte, 0, 1024)
		b = append(append(b, "id: "...), formatPosition(last)...)
		b = append(b, "\nevent: record\ndata: "...)
		b = append(rec.AppendJSON(b), '\n', '\n') // JSON of ours has no line ends
		select {
		case out <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// sse writes to one reader, which must take what it is given in good time.
type sse struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (s *sse) send(text string) error { return s.write([]byte(text)) }

func (s *sse) write(b []byte) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(streamWrite)) // a test's writer has none
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.rc.Flush()
}

// formatPosition gives the id of a server-sent event: microseconds, a dash, and
// the record's id, which is empty at a moment without a record.
func formatPosition(p audit.Position) string {
	return strconv.FormatInt(audit.Micros(p.OccurredAt), 10) + "-" + p.ID.String()
}

func parsePosition(s string) (p audit.Position, err error) {
	micros, id, ok := strings.Cut(s, "-")
	n, err := strconv.ParseInt(micros, 10, 64)
	if !ok || err != nil || n <= 0 || n > maxMicros || p.ID.UnmarshalText([]byte(id)) != nil {
		return p, audit.Invalid(lastEventID, "is %s, want the id of an event of this stream", fmt.Sprintf("%q", clip(s)))
	}
	p.OccurredAt = audit.FromMicros(n)
	return p, nil
}

var maxMicros = time.Date(audit.MaxYear+1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
