package audit

import (
	"unicode"
	"unicode/utf8"
)

// FoldASCII folds the bytes of ASCII, see [Fold]; for loops that see little else.
func FoldASCII(c byte) byte { return foldedASCII[c&(utf8.RuneSelf-1)] }

var foldedASCII = func() (t [utf8.RuneSelf]byte) {
	for c := range t {
		t[c] = byte(c)
		if c >= 'A' && c <= 'Z' {
			t[c] += 'a' - 'A'
		}
	}
	return t
}()

// Fold gives the one rune that stands for all that differ in case only, by
// Unicode's simple folding, as in [strings.EqualFold]: it is how names in the
// settings are compared. It never needs more bytes than the rune itself.
func Fold(r rune) rune {
	if r < utf8.RuneSelf {
		return rune(foldedASCII[r])
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least < utf8.RuneSelf {
		return rune(foldedASCII[least])
	}
	return least
}
