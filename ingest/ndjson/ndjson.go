// Package ndjson reads events that stand one JSON object a line
// (application/x-ndjson), as applications log them and as an export of Annals
// writes records.
package ndjson

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/annals-dev/annals/audit"
)

// MaxLine is the longest line in bytes: a record at its limit and room for
// escapes and names, so that every exported record can be read back.
const MaxLine = audit.MaxRecordBytes + 256<<10

// ErrSkipped marks a line that is a record Annals wrote about itself, a gap or
// an anchor of a chain. It belongs to the trail that wrote it and is no event.
var ErrSkipped = errors.New("a record that Annals wrote about itself is not an event")

// Read calls fn for every line that is not blank, in constant memory. line
// counts from 1.
//
// ev is not normalised, and fn may keep it. Of an exported record it holds what
// the sender said, its own expires_at included; what the door sets (kind,
// recorded_at, level and the chain fields) is left out. When err is not nil, ev
// is nil and the line could not be used: an *audit.Error that names the field,
// one of code too_large for a line over [MaxLine], or [ErrSkipped]. Reading
// goes on after it.
//
// Read returns nil at the end of r, the error of fn, which ends the reading, or
// the error of r. A line that r's error cut off is not given to fn.
func Read(r io.Reader, fn func(line int, ev *audit.Event, err error) error) error {
	lines := lineReader{r: bufio.NewReaderSize(r, 64<<10)}
	for n := 1; ; n++ {
		text, tooLong, err := lines.next()
		if err != nil && err != io.EOF {
			return audit.Unavailable("cannot read the input", err)
		}
		if n == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors' mark of UTF-8
		}
		text = bytes.TrimSpace(text)
		var stop error
		switch {
		case tooLong:
			stop = fn(n, nil, &audit.Error{Code: audit.CodeTooLarge, Message: "the line is longer than " + maxLineText})
		case len(text) > 0:
			ev, err := event(text)
			stop = fn(n, ev, err)
		}
		if stop != nil {
			return stop
		}
		if err == io.EOF {
			return nil
		}
	}
}

const maxLineText = "1.25 MiB"

func event(text []byte) (*audit.Event, error) {
	rec, err := audit.DecodeRecord(text)
	if err != nil {
		return nil, err
	}
	switch rec.Kind {
	case "", audit.KindEvent:
		return &rec.Event, nil
	case audit.KindGap, audit.KindPrune:
		return nil, ErrSkipped
	}
	return nil, audit.Invalid("kind", "is %.40q, want event, gap or prune", rec.Kind)
}

// lineReader gives lines in one buffer that never outgrows MaxLine by more
// than the reader's own.
type lineReader struct {
	r   *bufio.Reader
	buf []byte
}

// next gives the next line; it is valid until the call after. io.EOF comes with
// the last line. A line that is too long is read to its end and not kept.
func (l *lineReader) next() (line []byte, tooLong bool, err error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && len(l.buf) == 0 && !tooLong {
			return part, false, nil
		}
		if !tooLong {
			l.buf = append(l.buf, part...)
			tooLong = len(bytes.TrimRight(l.buf, "\r\n")) > MaxLine
		}
		if err != bufio.ErrBufferFull {
			if tooLong {
				l.buf = l.buf[:0]
			}
			return l.buf, tooLong, err
		}
	}
}
