// Package cloudtrail reads the log files of AWS CloudTrail into events. The
// guide docs/guides/import-cloudtrail.md has the table of what becomes what.
package cloudtrail

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/annals-dev/annals/audit"
)

// MaxRecord is the largest record in bytes that is read; CloudTrail's own limit
// is below a quarter of it.
const MaxRecord = 4 << 20

// Options say where the events belong.
type Options struct {
	Namespace string // "" is "aws"
	Tenant    string // "" is the id of the account that the record was delivered to
}

// Read calls fn for every record, in constant memory. n counts the records from 1.
//
// The input is a log file as CloudTrail delivers it ({"Records":[…]}), an array
// of records or one record after the other, several of these in a row, plain or
// compressed by gzip (found by its first bytes).
//
// ev is not normalised, and fn may keep it. When err is not nil, ev is nil and
// the record could not be used: an *audit.Error of code invalid that names
// CloudTrail's field. Reading goes on after it.
//
// Read returns nil at the end of r, the error of fn, which ends the reading, or
// an *audit.Error: invalid where the input is not JSON or is cut off, too_large
// at a record over [MaxRecord], unavailable when r fails. In these cases
// nothing after the place can be read, as JSON has no marks to go on from.
func Read(r io.Reader, opt Options, fn func(n int, ev *audit.Event, err error) error) error {
	if opt.Namespace == "" {
		opt.Namespace = "aws"
	}
	plain, err := decompress(r)
	if err != nil {
		return inputError(0, err)
	}
	guard := &guard{r: plain, until: MaxRecord}
	rd := reader{d: json.NewDecoder(guard), guard: guard, opt: opt, fn: fn}
	rd.d.UseNumber() // a number that no float holds is no error of the input
	for {
		if err := rd.document(); err == io.EOF {
			return nil
		} else if err != nil {
			var stop stopped
			if errors.As(err, &stop) {
				return stop.error
			}
			return inputError(rd.n, err)
		}
	}
}

// stopped carries the error of fn past the errors of the input.
type stopped struct{ error }

type reader struct {
	d     *json.Decoder
	guard *guard
	opt   Options
	fn    func(int, *audit.Event, error) error
	n     int
}

// document reads one value of the top level; io.EOF says there is none.
func (rd *reader) document() error {
	tok, err := rd.d.Token()
	if err != nil {
		return err
	}
	switch tok {
	case json.Delim('['):
		return rd.array()
	case json.Delim('{'):
		return rd.object()
	}
	return errNotALog
}

var errNotALog = errors.New("neither a log file nor a record of CloudTrail")

// object reads a file with its Records, or a record that stands alone.
func (rd *reader) object() error {
	alone := []byte{'{'}
	isFile := false
	for rd.d.More() {
		tok, err := rd.d.Token()
		if err != nil {
			return cutOff(err)
		}
		if tok == "Records" {
			isFile = true
			if tok, err = rd.d.Token(); err != nil {
				return cutOff(err)
			}
			switch tok {
			case json.Delim('['):
				if err := rd.array(); err != nil {
					return err
				}
			case nil: // an hour without records
			default:
				return errNotALog
			}
			continue
		}
		var value json.RawMessage
		if err := rd.d.Decode(&value); err != nil {
			return cutOff(err)
		}
		if len(alone) > 1 {
			alone = append(alone, ',')
		}
		key, err := json.Marshal(tok)
		if err != nil {
			return err
		}
		alone = append(append(append(alone, key...), ':'), value...)
	}
	if _, err := rd.d.Token(); err != nil { // the closing brace
		return cutOff(err)
	}
	if isFile {
		return nil
	}
	return rd.record(append(alone, '}'))
}

func (rd *reader) array() error {
	for rd.d.More() {
		var raw json.RawMessage
		if err := rd.d.Decode(&raw); err != nil {
			return cutOff(err)
		}
		if err := rd.record(raw); err != nil {
			return err
		}
	}
	_, err := rd.d.Token() // the closing bracket
	return cutOff(err)
}

func (rd *reader) record(raw []byte) error {
	rd.n++
	rd.guard.until = rd.d.InputOffset() + MaxRecord
	ev, err := toEvent(raw, rd.opt)
	if err := rd.fn(rd.n, ev, err); err != nil {
		return stopped{err}
	}
	return nil
}

// cutOff tells an end inside a document from the end of the input.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// guard bounds how far ahead of the last record the decoder may read, and with
// it the memory that one record can take.
type guard struct {
	r           io.Reader
	read, until int64
}

var errTooLarge = errors.New("a record is too large")

func (g *guard) Read(p []byte) (int, error) {
	if g.read >= g.until {
		return 0, errTooLarge
	}
	n, err := g.r.Read(p[:min(int64(len(p)), g.until-g.read)])
	g.read += int64(n)
	return n, err
}

func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	start, err := b.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if bytes.Equal(start, []byte{0x1f, 0x8b}) { // RFC 1952, section 2.3.1
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, err
		}
		b = bufio.NewReaderSize(z, 64<<10)
	}
	// Some editors put a mark of UTF-8 in front. An error of the input comes again at the next read.
	if start, _ := b.Peek(3); string(start) == "\ufeff" {
		_, err = b.Discard(len(start))
		return b, err
	}
	return b, nil
}

// inputError makes an error of ours; n is the number of the last record that was read.
func inputError(n int, err error) error {
	var syntax *json.SyntaxError
	var corrupt flate.CorruptInputError
	where := fmt.Sprintf(" after record %d", n)
	switch {
	case errors.Is(err, errTooLarge):
		return &audit.Error{Code: audit.CodeTooLarge, Message: fmt.Sprintf("record %d is larger than %d MiB", n+1, MaxRecord>>20)}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return audit.Invalid("", "the input ends in the middle%s", where)
	case errors.As(err, &syntax):
		return audit.Invalid("", "the input is not JSON%s, at byte %d: %s", where, syntax.Offset, syntax.Error())
	case errors.Is(err, errNotALog):
		return audit.Invalid("", "%s%s", err, where)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return audit.Invalid("", "the input is damaged%s: %s", where, err)
	}
	return audit.Unavailable("cannot read the input"+where, err)
}
