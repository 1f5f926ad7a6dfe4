package redact

import (
	"bytes"

	"github.com/annals-dev/annals/audit"
)

// skip gives the index after the value at i.
func skip(doc []byte, i int) (end int, ok bool) {
	start, depth := i, 0
	for i < len(doc) {
		switch doc[i] {
		case '"':
			if i, ok = skipString(doc, i); !ok {
				return 0, false
			}
			if depth == 0 {
				return i, true
			}
			continue
		case '{', '[':
			if depth++; depth > audit.MaxDepth {
				return 0, false
			}
		case '}', ']':
			if depth == 0 {
				return i, i > start
			}
			if depth--; depth == 0 {
				return i + 1, true
			}
		case ',':
			if depth == 0 {
				return i, i > start
			}
		case ' ', '\t', '\n', '\r':
			return 0, false
		}
		i++
	}
	return i, depth == 0 && i > start
}

// skipString gives the index after the string at i.
func skipString(doc []byte, i int) (end int, ok bool) {
	for i++; ; {
		n := bytes.IndexByte(doc[i:], '"')
		if n < 0 {
			return 0, false
		}
		quote := i + n
		i = quote
		for doc[i-1] == '\\' { // the opening quote ends this at the latest
			i--
		}
		i, n = quote+1, quote-i
		if n%2 == 0 {
			return i, true
		}
	}
}
