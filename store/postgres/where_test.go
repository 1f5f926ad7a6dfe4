package postgres

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// What begins with a prefix lies between it and its successor, and nothing else does.
func TestSuccessor(t *testing.T) {
	for p, want := range map[string]string{"a": "b", "az": "a{", "\x7f": "\u0080", "\u07ff": "\u0800", "\ud7ff": "\ue000", "a\U0010ffff": "b", "": "", "\U0010ffff": ""} {
		if got, ok := successor(p); got != want || ok != (want != "") {
			t.Errorf("after %q comes %q, %v, want %q", p, got, ok, want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff")), 1, 4, -1)
		p, s := text.Draw(rt, "prefix"), text.Draw(rt, "text")
		next, ok := successor(p)
		if !utf8.ValidString(next) {
			rt.Fatalf("after %q comes %q, which is no text", p, next)
		}
		between := s >= p && (!ok || s < next)
		if between != strings.HasPrefix(s, p) {
			rt.Fatalf("%q between %q and %q: %v", s, p, next, between)
		}
	})
}
