package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// hostile are texts that have broken audit trails elsewhere.
var hostile = []string{
	"", " ", "\x00", "a\x00b", "\xff", "a\xff\xfe\xfdb", "\xed\xa0\x80", "\"", `\`, `\u0000`, "\u2028\u2029", "\x7f", "\r\n\t\b\f\x01\x1f",
	"é", "e\u0301", "日本語", "🤖", "\ufffd", "\ufeff", "</script>", "' OR 1=1 --", "%00", "=1+1", "null", "true", "{}", "[", "a,b;c",
}

var fixedNow = time.Date(2026, 2, 3, 4, 5, 6, 789012345, time.UTC)

func genText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom(hostile),
		rapid.String(),
		rapid.StringMatching(`[a-z.]{1,20}`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 30), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(200, 3000), func(n int) string { return strings.Repeat("é", n) }),
	)
}

// genJSON makes JSON text with blanks, escapes and numbers that no double holds.
func genJSON(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		blank := rapid.SampledFrom([]string{"", "", " ", "\n\t\r "})
		top := 5
		if depth == 0 {
			top = 3
		}
		var s string
		switch rapid.IntRange(0, top).Draw(t, "kind") {
		case 0:
			s = rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
		case 1:
			s = rapid.SampledFrom([]string{"0", "-0", "1e400", "9223372036854775808", "-1.50", "1E-7", "0.1"}).Draw(t, "number")
		case 2:
			s = genJSONString().Draw(t, "string")
		case 3:
			s = string(appendString(nil, genText().Draw(t, "text")))
		case 4:
			s = "[" + strings.Join(rapid.SliceOfN(genJSON(depth-1), 0, 4).Draw(t, "array"), ",") + "]"
		case 5:
			s = genObject(depth).Draw(t, "object")
		}
		return blank.Draw(t, "before") + s + blank.Draw(t, "after")
	})
}

func genObject(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		for i := range rapid.IntRange(0, 4).Draw(t, "members") {
			key := fmt.Sprintf(`"%s%d"`, rapid.SampledFrom([]string{"k", "é", `\u0041`, `\"`, `a.b`}).Draw(t, "key"), i)
			members = append(members, key+" :"+genJSON(max(0, depth-1)).Draw(t, "value"))
		}
		return "{" + strings.Join(members, " ,") + "}"
	})
}

func genJSONString() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "Z", "9", " ", `\n`, `\"`, `\\`, `\/`, `\u0000`, `\u00e9`, `\ud83e\udd16`, `\ud800`, `\udc00`, `\uFFFD`, "é", "\xff", "\xc3",
	}), 0, 8), func(parts []string) string { return `"` + strings.Join(parts, "") + `"` })
}

// genRecord makes a record with any field set to something, not yet normalised.
func genRecord() *rapid.Generator[*Record] {
	return rapid.Custom(func(t *rapid.T) *Record {
		r := &Record{}
		for _, f := range Fields() {
			if rapid.IntRange(0, 2).Draw(t, f.Name+" set") == 0 {
				continue
			}
			switch f.Kind {
			case Text:
				text := genText()
				if isBoundary(f) {
					text = rapid.StringMatching(`[a-zA-Z #é-]{0,20}`)
				}
				f.SetText(r, text.Draw(t, f.Name))
			case Document:
				f.SetBytes(r, []byte(genJSON(3).Draw(t, f.Name)))
			case Number:
				f.SetInt(r, rapid.Int64Min(0).Draw(t, f.Name))
			case Span:
				*f.span(r) = time.Duration(rapid.Int64Range(0, int64(MaxDuration)).Draw(t, f.Name))
			case Flag:
				f.SetInt(r, 1)
			case Instant:
				*f.inst(r) = time.Unix(rapid.Int64Range(1, 253402300799).Draw(t, f.Name), rapid.Int64Range(0, 999999999).Draw(t, "ns"))
			default:
				f.SetBytes(r, rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, f.Name)[:len(f.raw(r))])
			}
		}
		if r.ExternalID != "" {
			r.ID = ID{}
		}
		if r.Action == "" {
			r.Action = "a"
		}
		r.Operation = rapid.SampledFrom(append(Operations(), "")).Draw(t, "operation")
		r.Outcome = rapid.SampledFrom(append(Outcomes(), "")).Draw(t, "outcome")
		r.Kind = rapid.SampledFrom(append(Kinds(), "")).Draw(t, "kind")
		r.Metadata = nil
		if rapid.Bool().Draw(t, "metadata set") {
			r.Metadata = json.RawMessage(genObject(2).Draw(t, "metadata"))
		}
		return r
	})
}

// genNormal makes a record as it leaves the door.
func genNormal() *rapid.Generator[*Record] {
	return rapid.Custom(func(t *rapid.T) *Record {
		r := genRecord().Draw(t, "record")
		if err := Normalize(r, fixedNow); err != nil {
			t.Fatalf("a good record is refused: %v", err)
		}
		return r
	})
}

// wantInvalid checks for an error of code invalid about the field.
func wantInvalid(t fataler, err error, field string) {
	t.Helper()
	e, ok := err.(*Error)
	if !ok || e.Code != CodeInvalid || e.Field != field {
		t.Fatalf("got %v (%#v), want an error of code invalid about the field %q", err, err, field)
	}
}
