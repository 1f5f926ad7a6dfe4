// Package csv writes records as comma-separated values (RFC 4180, with LF at
// the end of a line), for spreadsheets.
package csv

import (
	"encoding/csv"
	"io"

	"github.com/annals-dev/annals/audit"
)

// Writer writes one line a record under a line of names, buffered and in
// constant memory. The columns are audit.Fields in its order, named by Name;
// the cells are audit.Field.Text: an absent text, time, id or hash is an empty
// cell, an absent number 0 and an absent flag false; documents are compact JSON.
//
// A cell that begins with =, +, -, @, a tab or a carriage return gets an
// apostrophe in front, since a spreadsheet would run it as a formula (OWASP,
// CSV Injection). Whoever needs the exact texts exports NDJSON.
//
// It is not safe for concurrent use. After an error every call gives that error.
type Writer struct {
	w     *csv.Writer
	cells []string
	begun bool
	err   error
}

// NewWriter makes a writer to w, which stays the caller's to close.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: csv.NewWriter(w), cells: make([]string, len(audit.Fields()))}
}

// Write adds one record; it keeps nothing of r. An error of w has the code unavailable.
func (w *Writer) Write(r *audit.Record) error {
	w.begin()
	for i, f := range audit.Fields() {
		w.cells[i] = guard(f.Text(r))
	}
	return w.line()
}

// Flush hands everything written so far to the underlying writer, the line of
// names too when there was no record yet.
func (w *Writer) Flush() error {
	w.begin()
	if w.err == nil {
		w.w.Flush()
		w.fail(w.w.Error())
	}
	return w.err
}

// Close flushes and makes every later Write fail. The underlying writer stays open.
func (w *Writer) Close() error {
	if w.err == audit.ErrClosed {
		return nil
	}
	err := w.Flush()
	if err == nil {
		w.err = audit.ErrClosed
	}
	return err
}

func (w *Writer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	for i, f := range audit.Fields() {
		w.cells[i] = f.Name
	}
	_ = w.line() // kept in w.err
}

func (w *Writer) line() error {
	if w.err == nil {
		w.fail(w.w.Write(w.cells))
	}
	return w.err
}

func (w *Writer) fail(err error) {
	if err != nil {
		w.err = audit.Unavailable("cannot write the export", err)
	}
}

// guard keeps a spreadsheet from taking a text for a formula.
func guard(cell string) string {
	if cell != "" {
		switch cell[0] {
		case '=', '+', '-', '@', '\t', '\r':
			return "'" + cell
		}
	}
	return cell
}
