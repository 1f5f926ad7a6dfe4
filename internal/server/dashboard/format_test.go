package dashboard

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/analytics"
)

func TestFormats(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(1000), "1,000"}, {number(-1234567), "-1,234,567"},
		{percent(0), "0%"}, {percent(1), "100%"}, {percent(0.9999), "99.9%"}, {percent(0.00001), "0.1%"}, {percent(0.5), "50.0%"},
		{millis(0), "–"}, {millis(0.25), "250 µs"}, {millis(99.94), "99.9 ms"}, {millis(999), "999 ms"}, {millis(1500), "1.50 s"}, {millis(90_000), "1.5 min"}, {millis(7_200_000), "2.0 h"},
		{size(0), "–"}, {size(12), "12 B"}, {size(1536), "1.5 KiB"}, {size(200 << 20), "200 MiB"},
		{plural(1, "call", "calls"), "1 call"}, {plural(0, "call", "calls"), "0 calls"},
		{label("actor_ip"), "Actor IP"}, {label("duration_ms"), "Duration (ms)"}, {label("id"), "ID"}, {label(""), ""},
		{clip(5, "abcde"), "abcde"}, {clip(5, "abcdef"), "abcd…"}, {clip(3, "日本語"), "日本語"}, {clip(3, "日本語文"), "日本…"}, {clip(1, "ab"), "…"},
		{visible("a\x00b\x7f\u202e\u200b\ufeff\n"), "a␀b␡⟨U+202E⟩⟨U+200B⟩⟨U+FEFF⟩\n"}, {visible("é日 😀"), "é日 😀"},
		{when(time.Time{}), "–"}, {compact(2_000_000), "2M"}, {compact(20_000), "20k"}, {compact(2500), "2500"},
		{outcomeOf("odd").Word, "odd"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	for n, want := range map[float64]float64{0: 0, 1: 2, 3: 4, 9: 10, 22: 30, 100: 100, 101: 200, 7000: 8000} {
		if got := niceTop(n); got != want {
			t.Errorf("the top for %v is %v, want %v", n, got, want)
		}
	}
}

func TestIndent(t *testing.T) {
	for in, want := range map[string]string{
		`{}`: "{}", `[]`: "[]", `1e400`: "1e400", `"a,b:{\"c\"}"`: `"a,b:{\"c\"}"`,
		`{"a":[],"b":{},"c":[1,{"d":null}]}`: "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": null\n    }\n  ]\n}",
	} {
		if got, cut := indent([]byte(in), 1000); got != want || cut {
			t.Errorf("%s: %s", in, cmp.Diff(want, got))
		}
	}
	if got, cut := indent([]byte(`["ääääää","b"]`), 10); !cut || len(got) > 12 || !utf8.ValidString(got) {
		t.Errorf("cut badly: %q", got)
	}
	// What is no JSON is no fault either.
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := make([]byte, rnd.IntN(20))
		for i := range b {
			b[i] = `{}[],:"\a1 `[rnd.IntN(11)]
		}
		indent(b, 50)
		diff(b, []byte(`{"a":1}`))
	}
}

func TestDiff(t *testing.T) {
	type row struct{ Kind, Path, Before, After string }
	for _, tt := range []struct {
		name, before, after string
		want                []row
		note                string
	}{
		{"same", `{"a":1}`, `{"a":1}`, nil, "Before and after say the same."},
		{"order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, nil, "Before and after say the same. Only the order of keys differs."},
		{"members", `{"a":1,"b":{"c":true,"d":"x"}}`, `{"a":2,"b":{"c":true},"e":null}`,
			[]row{{"changed", "a", "1", "2"}, {"removed", "b.d", `"x"`, ""}, {"added", "e", "", "null"}}, ""},
		{"numbers as written", `{"a":1.0,"b":9007199254740993}`, `{"a":1,"b":9007199254740992}`,
			[]row{{"changed", "a", "1.0", "1"}, {"changed", "b", "9007199254740993", "9007199254740992"}}, ""},
		{"element put in front", `["b","c"]`, `["a","b","c"]`, []row{{"added", "[0]", "", `"a"`}}, ""},
		{"element taken out", `{"l":[1,2,3,4]}`, `{"l":[1,4]}`, []row{{"removed", "l[1]", "2", ""}, {"removed", "l[2]", "3", ""}}, ""},
		{"element changed", `[1,{"a":1},3]`, `[1,{"a":2},3]`, []row{{"changed", "[1].a", "1", "2"}}, ""},
		{"another kind", `{"a":[1]}`, `{"a":{"b":1}}`, []row{{"changed", "a", "[…] 1 element", "{…} 1 member"}}, ""},
		{"text is no number", `{"a":"1"}`, `{"a":1}`, []row{{"changed", "a", `"1"`, "1"}}, ""},
		{"null is not absent", `{"a":null}`, `{}`, []row{{"removed", "a", "null", ""}}, ""},
		{"odd keys", `{"a.b":1,"":2,"é":3}`, `{}`, []row{{"removed", `["a.b"]`, "1", ""}, {"removed", `[""]`, "2", ""}, {"removed", "é", "3", ""}}, ""},
		{"key twice", `{"a":1,"a":2}`, `{"a":1,"a":3}`, []row{{"changed", `["a#"]`, "2", "3"}}, ""},
		{"new", "", `{"a":{"b":1},"c":[]}`, []row{{"added", "a.b", "", "1"}, {"added", "c", "", "[]"}}, "There is no state before: the resource was new, or its state was not reported."},
		{"gone", `{"a":1}`, "", []row{{"removed", "a", "1", ""}}, "There is no state after: the resource was removed, or its state was not reported."},
		{"scalars", `1`, `2`, []row{{"changed", "(whole document)", "1", "2"}}, ""},
		{"no JSON", `{`, `2`, nil, "The documents cannot be compared: they are not JSON."},
	} {
		got := diff([]byte(tt.before), []byte(tt.after))
		var rows []row
		for _, r := range got.Rows {
			rows = append(rows, row{r.Kind, r.Path, r.Before, r.After})
		}
		if d := cmp.Diff(tt.want, rows); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		if got.Note != tt.note {
			t.Errorf("%s: the note is %q", tt.name, got.Note)
		}
	}
	many := diff([]byte(`[]`), []byte("["+strings.Repeat("1,", 999)+"1]"))
	if len(many.Rows) != diffMost || many.More != 500 || many.Added != 1000 {
		t.Errorf("%d rows, %d more, %d added", len(many.Rows), many.More, many.Added)
	}
}

func TestUnit(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]analytics.Unit{time.Hour: analytics.Minute, 24 * time.Hour: analytics.Hour, 7 * 24 * time.Hour: analytics.Hour, 30 * 24 * time.Hour: analytics.Day, 0: analytics.Minute} {
		if u, per := unit(now.Add(-d), now); u != want || per != 1 {
			t.Errorf("%v: %s, %d a bar", d, u, per)
		}
	}
	for years := 1; years < 27; years++ {
		from := now.AddDate(-years, 0, 0)
		u, per := unit(from, now)
		step, _ := u.Width()
		if bars := int(now.Sub(from)/step)/per + 2; bars > barsAtMost+2 {
			t.Errorf("%d years: %d bars", years, bars)
		}
	}
}
