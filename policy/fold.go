package policy

import (
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// foldInto writes s folded and gives its length; fits is false when it is longer than the buffer.
func foldInto(buf []byte, s string) (n int, fits bool) {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if n == len(buf) {
				return n, false
			}
			buf[n] = audit.FoldASCII(c)
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		r = audit.Fold(r)
		if n+utf8.RuneLen(r) > len(buf) {
			return n, false
		}
		n += utf8.EncodeRune(buf[n:], r)
		i += size
	}
	return n, true
}

// foldedPrefix reports whether s starts with the folded part, and how many bytes of s that takes.
func foldedPrefix(s, part string) (n int, ok bool) {
	for i := 0; i < len(part); {
		if n == len(s) {
			return 0, false
		}
		if c := s[n]; c < utf8.RuneSelf {
			if audit.FoldASCII(c) != part[i] {
				return 0, false
			}
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[n:])
		want, wantSize := utf8.DecodeRuneInString(part[i:])
		if audit.Fold(r) != want {
			return 0, false
		}
		n += size
		i += wantSize
	}
	return n, true
}

// foldedSuffix is foldedPrefix from the end.
func foldedSuffix(s, part string) (n int, ok bool) {
	for len(part) > 0 {
		if n == len(s) {
			return 0, false
		}
		if c := s[len(s)-n-1]; c < utf8.RuneSelf {
			if audit.FoldASCII(c) != part[len(part)-1] {
				return 0, false
			}
			n++
			part = part[:len(part)-1]
			continue
		}
		r, size := utf8.DecodeLastRuneInString(s[:len(s)-n])
		want, wantSize := utf8.DecodeLastRuneInString(part)
		if audit.Fold(r) != want {
			return 0, false
		}
		n += size
		part = part[:len(part)-wantSize]
	}
	return n, true
}
