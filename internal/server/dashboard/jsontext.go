package dashboard

import "strings"

// indent lays a compact JSON document out on lines, its numbers and the order of
// its keys as they are, and stops at most bytes: a few bytes of hostile nesting
// can become very many. What is no JSON comes out as some text, never a panic.
func indent(doc []byte, most int) (text string, cut bool) {
	var b strings.Builder
	b.Grow(min(2*len(doc), most))
	depth := 0
	newline := func() {
		b.WriteByte('\n')
		for range min(depth, 64) {
			b.WriteString("  ")
		}
	}
	for i := 0; i < len(doc); {
		if b.Len() >= most {
			return b.String(), true
		}
		switch c := doc[i]; c {
		case '"':
			end := stringEnd(doc, i)
			piece := doc[i:end]
			if len(piece) > most-b.Len() {
				piece = piece[:most-b.Len()]
				b.Write(piece)
				return strings.ToValidUTF8(b.String(), ""), true
			}
			b.Write(piece)
			i = end
			continue
		case '{', '[':
			b.WriteByte(c)
			if i+1 < len(doc) && (doc[i+1] == '}' || doc[i+1] == ']') {
				b.WriteByte(doc[i+1])
				i += 2
				continue
			}
			depth++
			newline()
		case '}', ']':
			depth = max(depth-1, 0)
			newline()
			b.WriteByte(c)
		case ',':
			b.WriteByte(c)
			newline()
		case ':':
			b.WriteString(": ")
		default:
			b.WriteByte(c)
		}
		i++
	}
	return b.String(), false
}

// stringEnd gives the index after the string that begins at i.
func stringEnd(doc []byte, i int) int {
	for i++; i < len(doc); i++ {
		switch doc[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(doc)
}
