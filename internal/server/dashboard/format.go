package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

var templateFuncs = template.FuncMap{
	"when": when, "whenExact": whenExact, "rfc": audit.FormatTime, "num": number, "pct": percent, "millis": millis,
	"span": span, "size": size, "clip": clip, "visible": visible, "label": label, "outcome": outcomeOf, "join": join, "plural": plural,
	"digest":  func(d audit.Digest) string { return d.String() },
	"dict":    dict,
	"num64":   func(n int) string { return number(int64(n)) },
	"int64":   func(n int) int64 { return int64(n) },
	"period":  period,
	"float64": func(n int64) float64 { return float64(n) },
}

// when shows a time for people, in UTC to the second.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// whenExact is for titles: every digit, and the zone.
func whenExact(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000") + " UTC"
}

// number shows a whole number with its thousands apart.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// percent shows a fraction. What is not quite all of it is never shown as 100%,
// nor what is not quite nothing as 0%.
func percent(f float64) string {
	p := f * 100
	switch {
	case p <= 0 || math.IsNaN(p):
		return "0%"
	case p >= 100:
		return "100%"
	}
	return strconv.FormatFloat(min(max(math.Round(p*10)/10, 0.1), 99.9), 'f', 1, 64) + "%"
}

// millis shows milliseconds; nothing was measured where they are zero.
func millis(ms float64) string {
	switch {
	case ms <= 0:
		return "–"
	case ms < 1:
		return strconv.FormatFloat(ms*1000, 'f', 0, 64) + " µs"
	case ms < 100:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms < 60_000:
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	case ms < 3_600_000:
		return strconv.FormatFloat(ms/60_000, 'f', 1, 64) + " min"
	}
	return strconv.FormatFloat(ms/3_600_000, 'f', 1, 64) + " h"
}

// period shows a time that was set in seconds, in the largest unit that it is whole in.
func period(seconds float64) string {
	n := int64(seconds)
	for _, u := range []struct {
		size      int64
		one, many string
	}{{86400, "day", "days"}, {3600, "hour", "hours"}, {60, "minute", "minutes"}} {
		if n > 0 && n%u.size == 0 {
			return plural(n/u.size, u.one, u.many)
		}
	}
	return plural(n, "second", "seconds")
}

// span shows a duration.
func span(d time.Duration) string { return millis(float64(d.Microseconds()) / 1000) }

// size shows bytes.
func size(n float64) string {
	if n <= 0 {
		return "–"
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for n >= 1024 && i < len(units)-1 {
		n /= 1024
		i++
	}
	digits := 1
	if i == 0 || n >= 100 {
		digits = 0
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + units[i]
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// clip cuts a text to n characters for a table; the record's page shows it whole.
func clip(n int, s string) string {
	if len(s) > n {
		seen := 0
		for i := range s {
			if seen == n-1 && utf8.RuneCountInString(s[i:]) > 1 {
				s = s[:i] + "…"
				break
			}
			seen++
		}
	}
	return visible(s)
}

// visible makes characters that have no picture, or that change the order in
// which others are shown, into pictures: what a record says must not disguise
// itself. Line ends stay.
func visible(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x20:
			b.WriteRune(0x2400 + r) // the picture of a control character
		case r == 0x7f:
			b.WriteRune(0x2421)
		default:
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	switch {
	case r == '\n':
		return false
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x2069, r == 0x061c, r == 0xfeff:
		return true
	}
	return r >= 0xe0000 && r <= 0xe007f // tags
}

// shortWords are written in capitals in labels.
var shortWords = map[string]string{"id": "ID", "ip": "IP", "ms": "(ms)", "email": "e-mail", "wal": "WAL"}

// label makes a name of ours into words: actor_ip is "Actor IP".
func label(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words {
		if short, ok := shortWords[w]; ok {
			words[i] = short
		}
	}
	s := strings.Join(words, " ")
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// outcome is how an outcome is shown: by a sign and a word besides its colour.
type outcome struct{ Class, Sign, Word string }

func outcomeOf(o audit.Outcome) outcome {
	switch o {
	case audit.Success:
		return outcome{"ok", "✓", "success"}
	case audit.Failure:
		return outcome{"bad", "✗", "failure"}
	case audit.Denied:
		return outcome{"denied", "⊘", "denied"}
	case audit.Pending:
		return outcome{"open", "…", "pending"}
	}
	return outcome{"open", "?", clip(20, string(o))}
}

// dict gives a template several values under names.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict has %d arguments", len(pairs))
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict's argument %d is no name", i)
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
