package audit

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deeply arrays and objects of a document may nest.
const MaxDepth = 64

// CompactDocument brings a JSON document (RFC 8259) into the one form that is
// hashed and stored: no blanks between tokens, keys in the sender's order, and
// numbers exactly as written (so 2^63, 1e400 and -0 survive on every engine).
// Invalid UTF-8, NUL (\u0000) and lone surrogates become U+FFFD. A document
// that already has that form is returned as it is, without a copy; null and
// blank give nil. Anything else that is not JSON, or nests deeper than
// [MaxDepth], is an error that says where.
func CompactDocument(raw []byte) (json.RawMessage, error) {
	s := docScanner{in: raw}
	s.blank()
	if s.pos == len(raw) {
		return nil, nil
	}
	if err := s.value(0); err != nil {
		return nil, err
	}
	s.blank()
	if s.pos != len(raw) {
		return nil, s.fail("unexpected text after the document")
	}
	out := s.in
	if s.dirty {
		out = append(s.out, s.in[s.kept:]...)
	}
	if string(out) == "null" {
		return nil, nil
	}
	return out[:len(out):len(out)], nil
}

// docScanner validates and, from the first byte that has to change, rewrites.
// Everything before kept is either in out or is dropped.
type docScanner struct {
	in    []byte
	pos   int
	kept  int
	out   []byte
	dirty bool
	check bool // only look whether it is well formed
}

func (s *docScanner) fail(msg string) error {
	return &Error{Code: CodeInvalid, Message: msg + " at byte " + itoa(s.pos)}
}

func itoa(n int) string { return strconv.Itoa(n) }

// replace puts with in the place of the n bytes at the position.
func (s *docScanner) replace(n int, with string) {
	if s.check {
		s.pos += n
		return
	}
	if !s.dirty {
		s.dirty = true
		s.out = make([]byte, 0, len(s.in)+len(with))
	}
	s.out = append(s.out, s.in[s.kept:s.pos]...)
	s.out = append(s.out, with...)
	s.pos += n
	s.kept = s.pos
}

func (s *docScanner) blank() {
	n := 0
	for i := s.pos; i < len(s.in); i++ {
		if c := s.in[i]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			break
		}
		n++
	}
	if n > 0 {
		s.replace(n, "")
	}
}

func (s *docScanner) value(depth int) error {
	if s.pos >= len(s.in) {
		return s.fail("the document ends too early")
	}
	switch c := s.in[s.pos]; c {
	case '{', '[':
		if depth >= MaxDepth {
			return s.fail("nests deeper than " + itoa(MaxDepth))
		}
		if c == '{' {
			return s.object(depth)
		}
		return s.array(depth)
	case '"':
		return s.str()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *docScanner) object(depth int) error {
	s.pos++
	s.blank()
	if s.next('}') {
		return nil
	}
	for {
		if s.pos >= len(s.in) || s.in[s.pos] != '"' {
			return s.fail("an object's key must be a string")
		}
		if err := s.str(); err != nil {
			return err
		}
		s.blank()
		if !s.next(':') {
			return s.fail("expected ':'")
		}
		s.blank()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.blank()
		if s.next('}') {
			return nil
		}
		if !s.next(',') {
			return s.fail("expected ',' or '}'")
		}
		s.blank()
	}
}

func (s *docScanner) array(depth int) error {
	s.pos++
	s.blank()
	if s.next(']') {
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.blank()
		if s.next(']') {
			return nil
		}
		if !s.next(',') {
			return s.fail("expected ',' or ']'")
		}
		s.blank()
	}
}

func (s *docScanner) next(c byte) bool {
	if s.pos < len(s.in) && s.in[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *docScanner) word(w string) error {
	if len(s.in)-s.pos < len(w) || string(s.in[s.pos:s.pos+len(w)]) != w {
		return s.fail("not a JSON value")
	}
	s.pos += len(w)
	return nil
}

// number follows the grammar of RFC 8259 section 6 and keeps the literal.
func (s *docScanner) number() error {
	s.next('-')
	if !s.next('0') && !s.digits() {
		return s.fail("not a JSON value")
	}
	if s.next('.') && !s.digits() {
		return s.fail("a number needs a digit after its point")
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		if !s.digits() {
			return s.fail("a number needs a digit in its exponent")
		}
	}
	return nil
}

func (s *docScanner) digits() bool {
	from := s.pos
	for s.pos < len(s.in) && s.in[s.pos] >= '0' && s.in[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > from
}

func (s *docScanner) str() error {
	s.pos++
	for {
		for s.pos < len(s.in) && plain[s.in[s.pos]] {
			s.pos++
		}
		if s.pos >= len(s.in) {
			return s.fail("a string has no end")
		}
		switch c := s.in[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return s.fail("a control character in a string must be escaped")
		default:
			r, n := utf8.DecodeRune(s.in[s.pos:])
			if r == utf8.RuneError && n == 1 {
				for s.pos+n < len(s.in) { // one mark for a whole run, as in texts
					if r, m := utf8.DecodeRune(s.in[s.pos+n:]); r != utf8.RuneError || m != 1 {
						break
					}
					n++
				}
				s.replace(n, "\ufffd")
			} else {
				s.pos += n
			}
		}
	}
}

// plain marks the bytes of a string that need no second look.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func (s *docScanner) escape() error {
	if s.pos+1 >= len(s.in) {
		return s.fail("a string has no end")
	}
	switch s.in[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
	default:
		return s.fail("unknown escape in a string")
	}
	u, ok := s.hex4(s.pos + 2)
	if !ok {
		return s.fail("\\u needs four hexadecimal digits")
	}
	switch {
	case u == 0:
		s.replace(6, `\ufffd`)
	case u >= 0xd800 && u < 0xdc00:
		if s.pos+7 < len(s.in) && s.in[s.pos+6] == '\\' && s.in[s.pos+7] == 'u' {
			if low, ok := s.hex4(s.pos + 8); ok && low >= 0xdc00 && low < 0xe000 {
				s.pos += 12
				return nil
			}
		}
		s.replace(6, `\ufffd`)
	case u >= 0xdc00 && u < 0xe000:
		s.replace(6, `\ufffd`)
	default:
		s.pos += 6
	}
	return nil
}

func (s *docScanner) hex4(at int) (uint16, bool) {
	if at+4 > len(s.in) {
		return 0, false
	}
	var u uint16
	for _, c := range s.in[at : at+4] {
		h := unhex(c)
		if h > 15 {
			return 0, false
		}
		u = u<<4 | uint16(h)
	}
	return u, true
}

// ToDocument makes a document of any Go value by encoding/json. It is for
// callers who have values; whoever already has JSON assigns it as it is.
func ToDocument(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Message: "cannot be written as JSON", Cause: err}
	}
	return b, nil
}
