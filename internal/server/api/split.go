package api

import (
	"bytes"

	"github.com/annals-dev/annals/audit"
)

// maxEvents is how many events one request holds at most. It bounds what the
// smallest possible events of a body of maxBody bytes would take in memory.
const maxEvents = 10_000

// splitJSON gives the events of a JSON body: the elements of an array, or the
// one value. It finds where elements end and leaves their reading to
// audit.DecodeEvent, so that one bad event does not spoil its neighbours. The
// parts share body's memory.
func splitJSON(body []byte) ([][]byte, error) {
	body = trim(body)
	if len(body) == 0 {
		return nil, audit.Invalid("", "the body is empty")
	}
	if body[0] != '[' {
		return [][]byte{body}, nil
	}
	parts := make([][]byte, 0, 16)
	from := 1
	depth := 1
	for i := 1; i < len(body); i++ {
		switch body[i] {
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case ',':
			if depth > 1 {
				continue
			}
			part := trim(body[from:i])
			if len(part) == 0 {
				return nil, audit.Invalid("", "the array has an empty element at index %d", len(parts))
			}
			if parts = append(parts, part); len(parts) > maxEvents {
				return nil, tooMany()
			}
			from = i + 1
		case '}', ']':
			depth--
			if depth > 0 {
				continue
			}
			if body[i] != ']' {
				return nil, audit.Invalid("", "the array ends in '}' at byte %d", i)
			}
			if len(trim(body[i+1:])) > 0 {
				return nil, audit.Invalid("", "there is text after the array at byte %d", i+1)
			}
			part := trim(body[from:i])
			if len(part) == 0 && len(parts) == 0 {
				return nil, nil
			}
			if len(part) == 0 {
				return nil, audit.Invalid("", "the array has an empty element at index %d", len(parts))
			}
			if parts = append(parts, part); len(parts) > maxEvents {
				return nil, tooMany()
			}
			return parts, nil
		}
	}
	return nil, audit.Invalid("", "the array has no end")
}

// splitLines gives the events of an NDJSON body. Blank lines are left out and
// do not count.
func splitLines(body []byte) ([][]byte, error) {
	var parts [][]byte
	for len(body) > 0 {
		line := body
		if end := bytes.IndexByte(body, '\n'); end >= 0 {
			line, body = body[:end], body[end+1:]
		} else {
			body = nil
		}
		if line = trim(line); len(line) > 0 {
			if parts = append(parts, line); len(parts) > maxEvents {
				return nil, tooMany()
			}
		}
	}
	if len(parts) == 0 {
		return nil, audit.Invalid("", "the body is empty")
	}
	return parts, nil
}

func tooMany() error {
	return &audit.Error{Code: audit.CodeTooLarge, Message: "more than 10000 events in one request"}
}

// trim cuts the blanks of JSON (RFC 8259, section 2) and nothing else.
func trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }
