package audit

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The JSON form of events and records: the snake_case names of [Fields], absent
// values left out, durations in milliseconds, times in RFC 3339 with
// microseconds. Writing and reading both follow the field table; reading is
// strict, so that a misspelt name is an error and not a loss.

// UnmarshalJSON implements json.Unmarshaler by [DecodeEvent].
func (ev *Event) UnmarshalJSON(data []byte) error {
	if string(data) == "null" { // a no-op, as the interface wants it
		return nil
	}
	v, err := DecodeEvent(data)
	if err == nil {
		*ev = *v
	}
	return err
}

// UnmarshalJSON implements json.Unmarshaler by [DecodeRecord].
func (r *Record) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := DecodeRecord(data)
	if err == nil {
		*r = *v
	}
	return err
}

// MarshalJSON implements json.Marshaler.
func (ev Event) MarshalJSON() ([]byte, error) {
	r := Record{Event: ev}
	return r.AppendJSON(nil), nil
}

// MarshalJSON implements json.Marshaler.
func (r Record) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// AppendJSON appends the record's JSON form to b. Documents must be valid JSON.
func (r *Record) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	var open []string // the groups that the last field was in
	first := true
	for _, w := range wireOrder {
		if w.f.Absent(r) {
			continue
		}
		same := 0
		for same < len(open) && same < len(w.groups) && open[same] == w.groups[same] {
			same++
		}
		for range open[same:] {
			b = append(b, '}')
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		for _, g := range w.groups[same:] {
			b = append(append(append(b, '"'), g...), '"', ':', '{')
		}
		open = w.groups
		b = append(append(append(b, '"'), w.key...), '"', ':')
		b = w.f.appendJSON(b, r)
	}
	for range open {
		b = append(b, '}')
	}
	return append(b, '}')
}

func (f *Field) appendJSON(b []byte, r *Record) []byte {
	switch f.Kind {
	case Text:
		return appendString(b, *f.text(r))
	case Document:
		return append(b, *f.doc(r)...)
	case Number:
		return strconv.AppendInt(b, *f.num(r), 10)
	case Flag:
		return strconv.AppendBool(b, *f.flag(r))
	case Span:
		return appendMillis(b, *f.span(r))
	case Instant:
		b = append(b, '"')
		b = f.inst(r).UTC().AppendFormat(b, "2006-01-02T15:04:05.999999Z07:00")
		return append(b, '"')
	case Identity:
		return append(ID(f.raw(r)).appendTo(append(b, '"')), '"')
	}
	return append(hex.AppendEncode(append(b, '"'), f.raw(r)), '"')
}

type wireField struct {
	f      *Field
	groups []string
	key    string
}

// wireOrder is the field table with the members of each group side by side.
var wireOrder = func() []wireField {
	rank := map[string]int{}
	at := func(path string) int {
		if _, ok := rank[path]; !ok {
			rank[path] = len(rank)
		}
		return rank[path]
	}
	order := make([]wireField, 0, len(fields))
	for _, f := range fields {
		parts := strings.Split(f.Path, ".")
		last := len(parts) - 1
		order = append(order, wireField{f: f, groups: parts[:last], key: parts[last]})
		for i := range parts {
			at(strings.Join(parts[:i+1], "."))
		}
	}
	slices.SortStableFunc(order, func(a, b wireField) int {
		ap, bp := strings.Split(a.f.Path, "."), strings.Split(b.f.Path, ".")
		for i := 0; i < len(ap) && i < len(bp); i++ {
			if c := at(strings.Join(ap[:i+1], ".")) - at(strings.Join(bp[:i+1], ".")); c != 0 {
				return c
			}
		}
		return len(ap) - len(bp)
	})
	return order
}()

// appendString writes a JSON string. Only what RFC 8259 demands is escaped.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
