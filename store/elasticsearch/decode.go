package elasticsearch

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

// decode reads the source of a record: a flat object of texts, numbers and
// flags. Names that it does not know are passed over.
func decode(src []byte) (*audit.Record, error) {
	r := &audit.Record{}
	d := sourceReader{b: src}
	if err := d.object(func(name []byte) error {
		f := columnOf[string(name)]
		if f == nil {
			return d.skip()
		}
		return d.field(f, r)
	}); err != nil {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: "a stored record cannot be read", Cause: err}
	}
	return r, nil
}

// sourceReader walks JSON that a server wrote.
type sourceReader struct {
	b   []byte
	pos int
}

func (d *sourceReader) blank() {
	for d.pos < len(d.b) && (d.b[d.pos] == ' ' || d.b[d.pos] == '\n' || d.b[d.pos] == '\t' || d.b[d.pos] == '\r') {
		d.pos++
	}
}

func (d *sourceReader) next() byte {
	d.blank()
	if d.pos < len(d.b) {
		return d.b[d.pos]
	}
	return 0
}

func (d *sourceReader) expect(c byte) error {
	if d.next() != c {
		return &json.SyntaxError{Offset: int64(d.pos)}
	}
	d.pos++
	return nil
}

func (d *sourceReader) object(member func(name []byte) error) error {
	if err := d.expect('{'); err != nil {
		return err
	}
	if d.next() == '}' {
		return nil
	}
	for {
		name, err := d.quoted()
		if err != nil {
			return err
		}
		if err := d.expect(':'); err != nil {
			return err
		}
		if err := member(name[1 : len(name)-1]); err != nil {
			return err
		}
		if d.next() == '}' {
			return nil
		}
		if err := d.expect(','); err != nil {
			return err
		}
	}
}

// quoted gives a string with its quotes, as it is written.
func (d *sourceReader) quoted() ([]byte, error) {
	if err := d.expect('"'); err != nil {
		return nil, err
	}
	from := d.pos - 1
	for d.pos < len(d.b) {
		i := bytes.IndexAny(d.b[d.pos:], `"\`)
		if i < 0 {
			break
		}
		d.pos += i + 1
		if d.b[d.pos-1] == '"' {
			return d.b[from:d.pos], nil
		}
		d.pos++ // what is escaped
	}
	return nil, &json.SyntaxError{Offset: int64(from)}
}

func (d *sourceReader) text() (string, error) {
	q, err := d.quoted()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(q, '\\') < 0 {
		return string(q[1 : len(q)-1]), nil
	}
	var s string
	err = json.Unmarshal(q, &s)
	return s, err
}

// word gives a number or a literal.
func (d *sourceReader) word() string {
	d.blank()
	from := d.pos
	for d.pos < len(d.b) && bytes.IndexByte([]byte(",}] \n\t\r"), d.b[d.pos]) < 0 {
		d.pos++
	}
	return string(d.b[from:d.pos])
}

func (d *sourceReader) field(f *audit.Field, r *audit.Record) error {
	switch f.Kind {
	case audit.Text:
		s, err := d.text()
		f.SetText(r, s)
		return err
	case audit.Document:
		s, err := d.text()
		f.SetBytes(r, []byte(s))
		return err
	case audit.Identity, audit.Hash:
		s, err := d.text()
		if err != nil {
			return err
		}
		raw, err := hex.DecodeString(s)
		f.SetBytes(r, raw)
		return err
	case audit.Flag:
		if d.word() == "true" {
			f.SetInt(r, 1)
		}
		return nil
	}
	n, err := strconv.ParseInt(d.word(), 10, 64)
	f.SetInt(r, n)
	return err
}

// skip passes over a value of any shape.
func (d *sourceReader) skip() error {
	switch d.next() {
	case '"':
		_, err := d.quoted()
		return err
	case '{':
		if err := d.object(func([]byte) error { return d.skip() }); err != nil {
			return err
		}
		d.pos++
		return nil
	case '[':
		d.pos++
		for d.next() != ']' {
			if err := d.skip(); err != nil {
				return err
			}
			if d.next() == ',' {
				d.pos++
			}
		}
		d.pos++
		return nil
	}
	if d.word() == "" {
		return &json.SyntaxError{Offset: int64(d.pos)}
	}
	return nil
}
