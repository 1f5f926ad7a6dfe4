package chain

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// DecodeEncoding reads a canonical encoding back into r, whatever r held
// before: the record without its hash. It accepts exactly what [AppendEncoding]
// writes, so that encoding the record again gives b; the texts of a record that
// never passed the door may therefore be no UTF-8. Anything else is an error of
// code invalid that names the field, and leaves r zero. r shares no memory with
// b, and takes at most twice len(b) besides itself.
func DecodeEncoding(b []byte, r *audit.Record) error {
	*r = audit.Record{}
	d := decoder{b: b, r: r}
	if err := d.pairs(); err != nil {
		*r = audit.Record{}
		return err
	}
	return nil
}

// maxTag is the highest tag that there is.
var maxTag = func() (n int) {
	for _, f := range audit.Fields() {
		n = max(n, f.Tag)
	}
	return n
}()

// byTag finds the field of a tag; nil is none that is encoded.
var byTag = func() []*audit.Field {
	fields := make([]*audit.Field, maxTag+1)
	for _, f := range audit.Fields() {
		if f.Name != "hash" {
			fields[f.Tag] = f
		}
	}
	return fields
}()

// maxTexts is room for the texts of a record with every field.
const maxTexts = 64

// decoder walks an encoding once. Texts are noted and cut out of one string at
// the end, documents out of one copy: documents have the highest tags, so texts
// lie before them.
type decoder struct {
	b   []byte
	pos int
	r   *audit.Record

	texts   [maxTexts]cut
	n       int
	textEnd int

	docs     []byte // a copy of b from docStart on; nil until the first document
	docStart int
}

// cut is a text that is not cut out yet.
type cut struct {
	f        *audit.Field
	from, to int
}

// whole names the encoding in errors that are not about one field.
const whole = "encoding"

func (d *decoder) pairs() error {
	count, err := d.head(majorMap, whole)
	if err != nil {
		return err
	}
	if key, err := d.head(majorUint, whole); err != nil || key != 0 || count == 0 {
		return audit.Invalid(whole, "does not begin with its version")
	}
	if v, err := d.head(majorUint, whole); err != nil || v != Version {
		return audit.Invalid(whole, "is not of version %d", Version)
	}
	last := uint64(0)
	for range count - 1 {
		tag, err := d.head(majorUint, whole)
		if err != nil {
			return err
		}
		if tag <= last {
			return audit.Invalid(whole, "has the key %d after the key %d", tag, last)
		}
		if tag >= uint64(len(byTag)) || byTag[tag] == nil {
			return audit.Invalid(whole, "has the key %d, which is that of no field", tag)
		}
		last = tag
		if err := d.value(byTag[tag]); err != nil {
			return err
		}
	}
	if d.pos != len(d.b) {
		return audit.Invalid(whole, "is followed by other bytes")
	}
	d.cutTexts()
	return nil
}

func (d *decoder) value(f *audit.Field) error {
	switch f.Kind {
	case audit.Text:
		from, to, err := d.bytes(majorText, f)
		if err != nil {
			return err
		}
		if d.docs != nil || d.n == maxTexts {
			// A text with a tag after that of a document.
			f.SetText(d.r, string(d.b[from:to]))
			return nil
		}
		d.texts[d.n] = cut{f, from, to}
		d.n++
		d.textEnd = to
		return nil
	case audit.Document:
		from, to, err := d.bytes(majorText, f)
		if err != nil {
			return err
		}
		if d.docs == nil {
			d.docs, d.docStart = slices.Clone(d.b[from:]), from
		}
		f.SetBytes(d.r, d.docs[from-d.docStart:to-d.docStart:to-d.docStart])
		return nil
	case audit.Identity, audit.Hash:
		from, to, err := d.bytes(majorBytes, f)
		if err != nil {
			return err
		}
		f.SetBytes(d.r, d.b[from:to])
		if got := f.Bytes(d.r); len(got) != to-from {
			// Nothing of it was kept, or not all: it is zero, or of another length.
			return audit.Invalid(f.Path, "is zero or of a wrong length")
		}
		return nil
	}
	return d.integer(f)
}

func (d *decoder) integer(f *audit.Field) error {
	major := byte(majorUint)
	if d.pos < len(d.b) && d.b[d.pos]&majorMask == majorNeg {
		major = majorNeg
	}
	n, err := d.head(major, f.Path)
	if err != nil {
		return err
	}
	if n > math.MaxInt64 {
		return audit.Invalid(f.Path, "is too large a number")
	}
	v := int64(n)
	if major == majorNeg {
		v = -1 - v
	}
	f.SetInt(d.r, v)
	if v == 0 || f.Int(d.r) != v {
		return audit.Invalid(f.Path, "is %d, which it cannot be", v)
	}
	return nil
}

// bytes passes over a string of the major type, which is not empty.
func (d *decoder) bytes(major byte, f *audit.Field) (from, to int, err error) {
	n, err := d.head(major, f.Path)
	if err != nil {
		return 0, 0, err
	}
	if n == 0 {
		return 0, 0, audit.Invalid(f.Path, "is empty: it would be left out")
	}
	if n > uint64(len(d.b)-d.pos) {
		return 0, 0, audit.Invalid(f.Path, "is longer than what is left")
	}
	from, d.pos = d.pos, d.pos+int(n)
	return from, d.pos, nil
}

// majorMask are the bits of the major type in the head of a value.
const majorMask = 7 << 5

// head reads the head of a value of the major type in its shortest form. what
// names it in errors.
func (d *decoder) head(major byte, what string) (uint64, error) {
	rest := d.b[d.pos:]
	if len(rest) == 0 {
		return 0, audit.Invalid(what, "is missing: the encoding ends too early")
	}
	if rest[0]&majorMask != major {
		return 0, audit.Invalid(what, "is of another type")
	}
	info := rest[0] &^ majorMask
	if info < 24 {
		d.pos++
		return uint64(info), nil
	}
	if info > 27 {
		return 0, audit.Invalid(what, "has a length that is not definite or reserved")
	}
	size := 1 << (info - 24)
	if len(rest) < 1+size {
		return 0, audit.Invalid(what, "ends too early")
	}
	var n, least uint64
	switch rest = rest[1:]; size {
	case 1:
		n, least = uint64(rest[0]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(rest)), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(rest)), 1<<16
	default:
		n, least = binary.BigEndian.Uint64(rest), 1<<32
	}
	if n < least {
		return 0, audit.Invalid(what, "is not in its shortest form")
	}
	d.pos += 1 + size
	return n, nil
}

func (d *decoder) cutTexts() {
	if d.n == 0 {
		return
	}
	start := d.texts[0].from
	all := string(d.b[start:d.textEnd])
	for i := range d.texts[:d.n] {
		t := &d.texts[i]
		t.f.SetText(d.r, all[t.from-start:t.to-start])
	}
}
