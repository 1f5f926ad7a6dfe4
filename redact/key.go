package redact

import (
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// Classes of the bytes of a JSON string; 0 needs no second look.
const (
	isQuote = 1 << iota
	isBackslash
	isDot
	isWide
	isControl
)

var byteClass = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x20:
			t[c] = isControl
		case c >= utf8.RuneSelf:
			t[c] = isWide
		}
	}
	t['"'], t['\\'], t['.'] = isQuote, isBackslash, isDot
	return t
}()

func foldString(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = utf8.AppendRune(b, audit.Fold(r))
	}
	return string(b)
}

// nextStep reads the part of a key up to its next dot. It unescapes and folds
// that part into buf and gives its length, or -1 where it is longer than the
// buffer and so no key of a rule; rest is what follows the dot, and more is
// false after the last part. ok is false for an escape that JSON does not have.
func nextStep(buf *[MaxStep]byte, key []byte) (n int, rest []byte, more, ok bool) {
	for i := 0; i < len(key); {
		r, size := rune(key[i]), 1
		switch {
		case r == '\\':
			if r, size = unescape(key[i:]); size == 0 {
				return 0, nil, false, false
			}
		case r >= utf8.RuneSelf:
			r, size = utf8.DecodeRune(key[i:])
		}
		i += size
		if r == '.' {
			return n, key[i:], true, true
		}
		if n < 0 {
			continue
		}
		if r = audit.Fold(r); n+utf8.RuneLen(r) > len(buf) {
			n = -1
			continue
		}
		n += utf8.EncodeRune(buf[n:], r)
	}
	return n, nil, false, true
}

// unescape reads the escape at the start of b (RFC 8259 section 7); size is 0 where it is none.
func unescape(b []byte) (r rune, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return 0, 0
	}
	high, ok := hex4(b[2:])
	if !ok {
		return 0, 0
	}
	if high < 0xd800 || high > 0xdfff {
		return high, 6
	}
	if high < 0xdc00 && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := hex4(b[8:]); ok && low >= 0xdc00 && low <= 0xdfff {
			return (high-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
