package audit

import (
	"unicode/utf16"
	"unicode/utf8"
)

func hasEscape(b []byte) bool {
	for _, c := range b {
		if c == '\\' {
			return true
		}
	}
	return false
}

// unquote gives the text of a well formed JSON string that comes without its
// quotes. A lone surrogate becomes U+FFFD; invalid UTF-8 and NUL stay as they
// are, for [Normalize] to mend by its own rule.
func unquote(b []byte) string {
	if !hasEscape(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		switch c := b[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := unquoteRune(b, i+1)
			i += 4
			if utf16.IsSurrogate(r) {
				if pair := utf16.DecodeRune(r, unquoteRune(b, i+3)); pair != utf8.RuneError && i+2 < len(b) && b[i+1] == '\\' && b[i+2] == 'u' {
					r = pair
					i += 6
				}
			}
			out = utf8.AppendRune(out, r) // a surrogate that is still alone becomes U+FFFD
		default: // '"', '\\', '/'
			out = append(out, c)
		}
	}
	return string(out)
}

// unquoteRune reads four hexadecimal digits at i, -1 where there are none.
func unquoteRune(b []byte, i int) rune {
	s := docScanner{in: b}
	if u, ok := s.hex4(i); ok {
		return rune(u)
	}
	return -1
}
