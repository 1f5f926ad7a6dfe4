package audit

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestCompactDocument(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"blank", " \n\t\r ", ""},
		{"nothing", "", ""},
		{"null", " null ", ""},
		{"a null inside stays", `[null]`, `[null]`},
		{"blanks between tokens", " { \"a\" : [ 1 ,\n2 ] ,\t\"b\" : { } , \"c\" : [ ] } ", `{"a":[1,2],"b":{},"c":[]}`},
		{"blanks in strings stay", `{"a b":" c "}`, `{"a b":" c "}`},
		{"the order of keys stays", `{"b":1,"a":2}`, `{"b":1,"a":2}`},
		{"a key twice stays", `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		{"numbers stay as written", `[9223372036854775808,1e400,-0,1.0,1E+5,0.10]`, `[9223372036854775808,1e400,-0,1.0,1E+5,0.10]`},
		{"escapes stay as written", `"\u0041\/\n\"\\\u00E9"`, `"\u0041\/\n\"\\\u00E9"`},
		{"a NUL", `"a\u0000b"`, `"a\ufffdb"`},
		{"a NUL in a key", `{"\u0000":1}`, `{"\ufffd":1}`},
		{"a pair of surrogates", `"\ud83e\uDD16"`, `"\ud83e\uDD16"`},
		{"a lone high surrogate", `"\ud83e"`, `"\ufffd"`},
		{"a lone high surrogate before text", `"\ud83exy"`, `"\ufffdxy"`},
		{"a lone high surrogate before an escape", `"\ud83e\n"`, `"\ufffd\n"`},
		{"a lone high surrogate before a letter's escape", `"\ud83e\u0041"`, `"\ufffd\u0041"`},
		{"two high surrogates and a low one", `"\ud83e\ud83e\udd16"`, `"\ufffd\ud83e\udd16"`},
		{"a lone low surrogate", `"\udd16"`, `"\ufffd"`},
		{"surrogates the wrong way round", `"\udd16\ud83e"`, `"\ufffd\ufffd"`},
		{"an invalid byte", "\"a\xffb\"", `"a` + "\ufffd" + `b"`},
		{"a run of invalid bytes", "\"a\xff\xfe\xfdb\"", `"a` + "\ufffd" + `b"`},
		{"two runs", "\"\xffa\xff\"", `"` + "\ufffda\ufffd" + `"`},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", `"` + "\ufffd" + `"`},
		{"a cut rune at the end of a string", "\"\xc3\"", `"` + "\ufffd" + `"`},
		{"U+FFFD of the sender's", "\"\ufffd\"", "\"\ufffd\""},
		{"a plain word", ` true `, `true`},
		{"the deepest allowed", nested(MaxDepth), nested(MaxDepth)},
		{"the deepest allowed, as objects", strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth), strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth)},
	} {
		got, err := CompactDocument([]byte(tc.in))
		if err != nil || string(got) != tc.want || (got == nil) != (tc.want == "") {
			t.Errorf("%s: %q gives %q, %v; want %q", tc.name, tc.in, got, err, tc.want)
		}
	}
}

func TestCompactDocumentRefuses(t *testing.T) {
	for in, message := range map[string]string{
		`{`: "an object's key must be a string at byte 1", `[`: "the document ends too early at byte 1", `"a`: "a string has no end at byte 2",
		`"\`: "a string has no end at byte 1", `{"a"}`: "expected ':' at byte 4", `{"a":}`: "not a JSON value at byte 5", `{a:1}`: "an object's key must be a string at byte 1",
		`{"a":1,}`: "an object's key must be a string at byte 7", `{"a":1 "b":2}`: "expected ',' or '}' at byte 7", `[1,]`: "not a JSON value at byte 3",
		`[1 2]`: "expected ',' or ']' at byte 3", `[1}`: "expected ',' or ']' at byte 2", `1 2`: "unexpected text after the document at byte 2", `nul`: "not a JSON value at byte 0",
		`nulll`: "unexpected text after the document at byte 4", `TRUE`: "not a JSON value at byte 0", `01`: "unexpected text after the document at byte 1",
		`-`: "not a JSON value at byte 1", `+1`: "not a JSON value at byte 0", `.5`: "not a JSON value at byte 0", `1.`: "a number needs a digit after its point at byte 2",
		`1e`: "a number needs a digit in its exponent at byte 2", `1e+`: "a number needs a digit in its exponent at byte 3", `0x1`: "unexpected text after the document at byte 1",
		`"\x"`: "unknown escape in a string at byte 1", `"\u12"`: `\u needs four hexadecimal digits at byte 1`, `"\u12G4"`: `\u needs four hexadecimal digits at byte 1`,
		"\"\n\"": "a control character in a string must be escaped at byte 1", "\"\x00\"": "a control character in a string must be escaped at byte 1",
		"\ufeff{}": "not a JSON value at byte 0", "\x00": "not a JSON value at byte 0", `'a'`: "not a JSON value at byte 0", `[1]//x`: "unexpected text after the document at byte 3",
		`NaN`: "not a JSON value at byte 0", nested(MaxDepth + 1): "nests deeper than 64 at byte 64", strings.Repeat("[", 1_000_000): "nests deeper than 64 at byte 64",
	} {
		got, err := CompactDocument([]byte(in))
		if err == nil {
			t.Errorf("%.40q gives %q", in, got)
			continue
		}
		wantInvalid(t, err, "")
		if err.Error() != message {
			t.Errorf("%.40q: got %q, want %q", in, err, message)
		}
	}
}

func TestCompactDocumentCopiesOnlyWhatChanges(t *testing.T) {
	in := []byte(`{"a":[1,2,"é\n"]}`)
	out, err := CompactDocument(in)
	if err != nil || &out[0] != &in[0] || cap(out) != len(out) {
		t.Errorf("a document in its form is copied, or can be appended into: %v", err)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = CompactDocument(in) }); n != 0 {
		t.Errorf("%v allocations for a document in its form", n)
	}
	dirty := []byte(` {"a":"\u0000"} `)
	before := bytes.Clone(dirty)
	if _, err := CompactDocument(dirty); err != nil || !bytes.Equal(dirty, before) {
		t.Errorf("the sender's document was changed: %q, %v", dirty, err)
	}
}

func TestCompactDocumentKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genJSON(4).Draw(t, "doc")
		checkDocument(t, []byte(in))
	})
}

// checkDocument holds what CompactDocument promises of any input.
func checkDocument(t fataler, in []byte) {
	t.Helper()
	out, err := CompactDocument(in)
	if err != nil {
		if json.Valid(in) && !strings.HasPrefix(err.Error(), "nests deeper") {
			t.Fatalf("%q is JSON but refused: %v", in, err)
		}
		return
	}
	if out == nil {
		if s := strings.Trim(string(in), " \t\r\n"); s != "" && s != "null" {
			t.Fatalf("%q is lost", in)
		}
		return
	}
	if !json.Valid(in) || !json.Valid(out) || !utf8.Valid(out) {
		t.Fatalf("%q gives %q", in, out)
	}
	again, err := CompactDocument(out)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("not idempotent: %q gives %q, that gives %q, %v", in, out, again, err)
	}
	eachLeaf(out, func(s string) {
		if strings.Contains(s, "\x00") || !utf8.ValidString(s) {
			t.Fatalf("%q still has the text %q", out, s)
		}
	})
	if a, b := tokens(t, in), tokens(t, out); !slices.Equal(a, b) {
		t.Fatalf("%q means %v, %q means %v", in, a, out, b)
	}
	// No other blanks, and no number rewritten: encoding/json's own compaction agrees.
	var compact bytes.Buffer
	if err := json.Compact(&compact, out); err != nil || !bytes.Equal(compact.Bytes(), out) {
		t.Fatalf("%q has blanks left", out)
	}
}

// tokens gives what encoding/json sees in a document, with the rule for texts
// applied. Runs of U+FFFD count as one, as it makes one of each invalid byte.
func tokens(t fataler, doc []byte) (out []json.Token) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		if s, ok := tok.(string); ok {
			s = strings.ReplaceAll(s, "\x00", "\ufffd")
			for strings.Contains(s, "\ufffd\ufffd") {
				s = strings.ReplaceAll(s, "\ufffd\ufffd", "\ufffd")
			}
			tok = s
		}
		out = append(out, tok)
	}
}

// fataler is what tests, fuzzing and rapid have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func FuzzCompactDocument(f *testing.F) {
	for _, s := range append(hostile, `{"a":[1,2.5e3,null,true,{"b":"\ud83e\udd16\u0000"}]}`, ` [ "\ud800" ] `, "\"\xff\xfe\"", nested(70)) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) { checkDocument(t, in) })
}

func TestToDocument(t *testing.T) {
	doc, err := ToDocument(map[string]any{"a": 1})
	if err != nil || string(doc) != `{"a":1}` {
		t.Errorf("got %s, %v", doc, err)
	}
	_, err = ToDocument(func() {})
	wantInvalid(t, err, "")
}

func BenchmarkCompactDocument(b *testing.B) {
	doc := []byte(`{"a":[1,2.5e3,null,true,{"b":"some text of a usual length"}],"c":"more text, which is plain"}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = CompactDocument(doc)
	}
}
