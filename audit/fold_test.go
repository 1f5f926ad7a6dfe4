package audit

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		f := Fold(r)
		if utf8.RuneLen(f) > utf8.RuneLen(r) {
			t.Fatalf("%U folds to the longer %U", r, f)
		}
		if !strings.EqualFold(string(r), string(f)) {
			t.Fatalf("%U folds to %U, which is another letter", r, f)
		}
		if s := unicode.SimpleFold(r); Fold(s) != f {
			t.Fatalf("%U and %U differ in case only and fold to %U and %U", r, s, f, Fold(s))
		}
		if r < utf8.RuneSelf && rune(FoldASCII(byte(r))) != f {
			t.Fatalf("%U folds in two ways", r)
		}
	}
}
