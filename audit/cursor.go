package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

const (
	cursorVersion = 1
	cursorMAC     = 16 // bytes kept of the HMAC-SHA-256
	cursorLen     = 1 + 8 + 16 + cursorMAC
)

// SealCursor writes a position so that nobody can change it and it fits this
// question only. key is the trail's secret; q must be validated.
func SealCursor(key []byte, q *Query, p Position) string {
	b := make([]byte, 0, cursorLen)
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(micros(p.OccurredAt)))
	b = append(b, p.ID[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, cursorTag(key, q, b)...))
}

// OpenCursor reads what SealCursor wrote, and refuses a cursor that was
// changed, that another trail made, or that belongs to another question.
func OpenCursor(key []byte, q *Query, cursor string) (Position, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	// The decoder passes over line breaks, so the length is compared as well.
	if err != nil || len(cursor) != base64.RawURLEncoding.EncodedLen(cursorLen) || len(b) != cursorLen || b[0] != cursorVersion ||
		!hmac.Equal(b[cursorLen-cursorMAC:], cursorTag(key, q, b[:cursorLen-cursorMAC])) {
		return Position{}, Invalid("cursor", "does not belong to this question; ask again without it")
	}
	return Position{OccurredAt: FromMicros(int64(binary.BigEndian.Uint64(b[1:9]))), ID: ID(b[9:25])}, nil
}

// cursorTag covers the position and every condition of the question. The limit
// is left out, so that a reader may change its page size half way.
func cursorTag(key []byte, q *Query, position []byte) []byte {
	bound := *q
	bound.Limit = 0
	m := hmac.New(sha256.New, key)
	m.Write(position)
	m.Write([]byte(bound.Params().Encode()))
	return m.Sum(nil)[:cursorMAC]
}
