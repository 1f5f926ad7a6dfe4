package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/annals-dev/annals/audit"
)

// silence is how long a live stream may say nothing, not even its heartbeat of
// every 15 seconds, before it is taken for dead.
const silence = 45 * time.Second

// Tail calls fn with records as the server stores them, filtered by the
// question, until ctx ends or fn returns an error, which it gives back. It
// starts after the record at the position after; the zero Position starts now.
// A connection that is lost is made again and goes on after the last record,
// for as long as ctx lives; only an answer that a new attempt cannot change,
// such as ErrInvalid, ends it.
func (c *Client) Tail(ctx context.Context, q *audit.Query, after audit.Position, fn func(*audit.Record) error) error {
	t := tail{client: c, params: request{method: http.MethodGet, path: "/v1/events/stream", query: filters(q)}, fn: fn}
	if !after.IsZero() {
		t.last = strconv.FormatInt(audit.Micros(after.OccurredAt), 10) + "-" + after.ID.String()
	}
	pause := c.opt.Backoff
	for {
		heard, err := t.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var own *ownError
		if errors.As(err, &own) {
			return own.error
		}
		if err != nil && !passing(err) {
			return plain(err)
		}
		if heard {
			pause = c.opt.Backoff
		}
		if wait(ctx, max(jitter(pause), asked(err))) != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// ownError is an error of the caller's fn.
type ownError struct{ error }

type tail struct {
	client *Client
	params request
	last   string // the id of the last event
	fn     func(*audit.Record) error
}

// follow reads one connection until it ends. heard is set once the server has
// begun to answer.
func (t *tail) follow(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rq := t.params
	rq.header = http.Header{"Accept": {"text/event-stream"}}
	if t.last != "" {
		rq.header.Set("Last-Event-ID", t.last)
	}
	resp, err := t.client.send(ctx, rq)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	var id string
	var data []byte
	for {
		line, err := readLine(lines)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return true, nil
			}
			return true, audit.Unavailable("the stream was cut", err)
		}
		watchdog.Reset(silence)
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			id = string(value)
		case "data":
			data = append(data, value...)
		case "":
			if len(line) > 0 { // a comment
				continue
			}
			// The id counts only now that its event is whole: a connection that
			// was lost before this would otherwise skip the record.
			if id != "" {
				t.last = id
			}
			if len(data) == 0 {
				continue
			}
			rec, err := audit.DecodeRecord(data)
			data = data[:0]
			if err != nil {
				return true, &audit.Error{Code: audit.CodeInternal, Message: "the server's answer cannot be read", Cause: err}
			}
			if err := t.fn(rec); err != nil {
				return true, &ownError{err}
			}
		}
	}
}
