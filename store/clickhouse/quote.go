package clickhouse

import (
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// Values stand in statements as literals, because the parameters of the native
// protocol are texts in a form of their own. One function writes each kind.

const hexDigits = "0123456789abcdef"

// text gives the literal of a text: every byte is itself but a backslash, a
// quote and the control characters (ClickHouse, "Syntax", "String").
func text(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	writeText(&b, s)
	return b.String()
}

func writeText(b *strings.Builder, s string) {
	b.WriteByte('\'')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' || c == '\'':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c == 0x7f || c >= 0xf8: // what UTF-8 has not is written in digits
			b.WriteString(`\x`)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
}

// octets gives the literal of bytes.
func octets(p []byte) string {
	b := make([]byte, 0, 4*len(p)+2)
	b = append(b, '\'')
	for _, c := range p {
		b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
	}
	return string(append(b, '\''))
}

// identity gives the literal of an id.
func identity(id audit.ID) string { return octets(id[:]) }

// integer gives the literal of a number.
func integer(n int64) string {
	if n < 0 {
		return "(" + strconv.FormatInt(n, 10) + ")"
	}
	return strconv.FormatInt(n, 10)
}

// texts gives a list of literals for IN.
func texts(values []string) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		writeText(&b, v)
	}
	b.WriteByte(')')
	return b.String()
}
