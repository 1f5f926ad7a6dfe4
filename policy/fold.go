package policy

import (
	"unicode"
	"unicode/utf8"
)

// lower folds the ASCII bytes.
var lower = func() (t [utf8.RuneSelf]byte) {
	for c := range t {
		t[c] = byte(c)
		if c >= 'A' && c <= 'Z' {
			t[c] += 'a' - 'A'
		}
	}
	return t
}()

// fold gives the one rune that stands for all that differ in case only, by
// Unicode's simple folding, as in strings.EqualFold. It never needs more bytes
// than the rune itself.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		return rune(lower[r])
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least < utf8.RuneSelf {
		return rune(lower[least])
	}
	return least
}

// foldInto writes s folded and gives its length; fits is false when it is longer than the buffer.
func foldInto(buf []byte, s string) (n int, fits bool) {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if n == len(buf) {
				return n, false
			}
			buf[n] = lower[c]
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		r = fold(r)
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
			if lower[c] != part[i] {
				return 0, false
			}
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[n:])
		want, wantSize := utf8.DecodeRuneInString(part[i:])
		if fold(r) != want {
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
			if lower[c] != part[len(part)-1] {
				return 0, false
			}
			n++
			part = part[:len(part)-1]
			continue
		}
		r, size := utf8.DecodeLastRuneInString(s[:len(s)-n])
		want, wantSize := utf8.DecodeLastRuneInString(part)
		if fold(r) != want {
			return 0, false
		}
		n += size
		part = part[:len(part)-wantSize]
	}
	return n, true
}
