package audit

import (
	"encoding/json"
	"strconv"
	"time"
)

// FieldKind is how a field's value is held.
type FieldKind uint8

// The kinds of fields.
const (
	Text     FieldKind = iota // UTF-8 without NUL, at most Limit bytes
	Document                  // a compact JSON document kept as text
	Number                    // a whole number, 0 to 2^63-1
	Flag                      // true or false; as a number 1 or 0
	Span                      // a duration; as a number, whole microseconds
	Instant                   // a time; as a number, microseconds since 1970-01-01T00:00:00Z
	Identity                  // 16 bytes: a record id
	Hash                      // 32 bytes: SHA-256
)

// Ops is the set of operators that a field can be filtered with.
type Ops uint8

// The operators. A field that has none is stored but is not a dimension.
const (
	OpIs     Ops = 1 << iota // equal to any of the values; "" matches an absent value
	OpNot                    // equal to none of the values; an absent value passes
	OpPrefix                 // starts with any of the values
	OpRange                  // at least Min and at most Max, both inclusive
)

const (
	opsText   = OpIs | OpNot | OpPrefix
	opsNumber = OpIs | OpNot | OpRange
)

// Field is one stored field of a record. [Fields] is the one table that every
// store, the wire format, the hash, the filters of the API and the CLI, the
// dashboard and the reference pages derive from.
type Field struct {
	Name  string // the dimension and column name, e.g. "actor_ip"
	Path  string // the place in the JSON form, e.g. "actor.ip"
	Tag   int    // the key in the canonical encoding; never reused
	Kind  FieldKind
	Limit int // bytes at most, for texts
	Ops   Ops
	Doc   string

	text func(*Record) *string
	doc  func(*Record) *json.RawMessage
	num  func(*Record) *int64
	flag func(*Record) *bool
	span func(*Record) *time.Duration
	inst func(*Record) *time.Time
	raw  func(*Record) []byte
}

// Text gives the value of a Text field, and for any other kind the text that
// filters and CSV use; absent is "".
func (f *Field) Text(r *Record) string {
	switch f.Kind {
	case Text:
		return *f.text(r)
	case Document:
		return string(*f.doc(r))
	case Flag:
		if *f.flag(r) {
			return "true"
		}
		return "false"
	case Number:
		return strconv.FormatInt(*f.num(r), 10)
	case Span:
		return formatMillis(*f.span(r))
	case Instant:
		t := *f.inst(r)
		if t.IsZero() {
			return ""
		}
		return FormatTime(t)
	case Identity:
		return ID(f.raw(r)).String()
	default:
		return Digest(f.raw(r)).String()
	}
}

// Int gives the value of a Number, Flag, Span or Instant field as a number; an
// absent Instant is 0.
func (f *Field) Int(r *Record) int64 {
	switch f.Kind {
	case Number:
		return *f.num(r)
	case Flag:
		if *f.flag(r) {
			return 1
		}
		return 0
	case Span:
		return f.span(r).Microseconds()
	case Instant:
		return micros(*f.inst(r))
	}
	panic("audit: field " + f.Name + " is not a number")
}

// Bytes gives the value of a Document, Identity or Hash field; it shares the
// record's memory. An absent Identity or Hash is nil.
func (f *Field) Bytes(r *Record) []byte {
	if f.Kind == Document {
		return *f.doc(r)
	}
	b := f.raw(r)
	for _, c := range b {
		if c != 0 {
			return b
		}
	}
	return nil
}

// SetText sets a Text field.
func (f *Field) SetText(r *Record, s string) { *f.text(r) = s }

// SetInt sets a Number, Flag, Span or Instant field from its number; 0 makes
// an Instant absent.
func (f *Field) SetInt(r *Record, n int64) {
	switch f.Kind {
	case Number:
		*f.num(r) = n
	case Flag:
		*f.flag(r) = n != 0
	case Span:
		*f.span(r) = time.Duration(n) * time.Microsecond
	case Instant:
		*f.inst(r) = FromMicros(n)
	default:
		panic("audit: field " + f.Name + " is not a number")
	}
}

// SetBytes sets a Document, which keeps b, or an Identity or Hash, which copies
// it; a wrong length leaves the rest zero.
func (f *Field) SetBytes(r *Record, b []byte) {
	if f.Kind == Document {
		if len(b) == 0 {
			b = nil
		}
		*f.doc(r) = b
		return
	}
	dst := f.raw(r)
	clear(dst[copy(dst, b):])
}

// Absent reports whether the field holds its zero value, which no store needs
// to keep and the hash does not cover separately.
func (f *Field) Absent(r *Record) bool {
	switch f.Kind {
	case Text:
		return *f.text(r) == ""
	case Document:
		return len(*f.doc(r)) == 0
	case Identity, Hash:
		return f.Bytes(r) == nil
	default:
		return f.Int(r) == 0
	}
}

// micros is the one conversion of times: microseconds since 1970 in UTC, the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Micros gives microseconds since 1970-01-01T00:00:00Z; the zero time is 0.
func Micros(t time.Time) int64 { return micros(t) }

// FromMicros is the inverse of [Micros].
func FromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// FormatTime gives RFC 3339 in UTC with microseconds, trailing zeros dropped.
func FormatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
}

// formatMillis gives a duration in milliseconds with up to three decimals.
func formatMillis(d time.Duration) string {
	return string(appendMillis(nil, d))
}

func appendMillis(b []byte, d time.Duration) []byte { return appendMicros(b, d.Microseconds()) }

// appendMicros writes microseconds as milliseconds.
func appendMicros(b []byte, us int64) []byte {
	if us < 0 && us/1000 == 0 {
		b = append(b, '-') // which the whole number cannot show
	}
	b = strconv.AppendInt(b, us/1000, 10)
	if frac := max(us%1000, -(us % 1000)); frac != 0 {
		b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
}
