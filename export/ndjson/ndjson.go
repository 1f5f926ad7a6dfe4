// Package ndjson writes records as one JSON object a line
// (application/x-ndjson). What it writes, ingest/ndjson reads back.
package ndjson

import (
	"io"

	"github.com/annals-dev/annals/audit"
)

// bufferSize is when the buffer is handed on; it holds one record more than that.
const bufferSize = 64 << 10

// Writer writes records in their JSON form (audit.Record.AppendJSON), buffered
// and in constant memory. It is not safe for concurrent use. After an error
// every call gives that error.
type Writer struct {
	w   io.Writer
	buf []byte
	err error
}

// NewWriter makes a writer to w, which stays the caller's to close.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write adds one record; it keeps nothing of r. An error of w has the code unavailable.
func (w *Writer) Write(r *audit.Record) error {
	if w.err != nil {
		return w.err
	}
	w.buf = append(r.AppendJSON(w.buf), '\n')
	if len(w.buf) >= bufferSize {
		return w.Flush()
	}
	return nil
}

// Flush hands everything written so far to the underlying writer.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	if _, err := w.w.Write(w.buf); err != nil {
		w.err = audit.Unavailable("cannot write the export", err)
	}
	w.buf = w.buf[:0]
	return w.err
}

// Close flushes and makes every later Write fail. The underlying writer stays open.
func (w *Writer) Close() error {
	err := w.Flush()
	if w.err == nil {
		w.err = audit.ErrClosed
	}
	if err == audit.ErrClosed { // closed twice
		return nil
	}
	return err
}
