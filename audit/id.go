package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// ID names a record. It is unique within its namespace and tenant, and it is
// always a UUID (RFC 9562): a version 7 of our own making, the UUID that the
// sender chose, or a version 8 derived from any other string of the sender's.
type ID [16]byte

// MaxExternalID is the longest identifier, in bytes, that a sender may choose.
const MaxExternalID = 256

var ids struct {
	sync.Mutex
	last uint64    // the last 60 bits given out: milliseconds, then a 12-bit counter
	pool [512]byte // random bytes not yet used
	rest []byte
}

// NewID returns a UUID version 7. Within one process ids grow strictly, also
// when the clock stands still or goes back, so that records made in one order
// sort in that order.
func NewID() ID {
	now := uint64(time.Now().UnixMilli()) << 12
	ids.Lock()
	if now <= ids.last {
		now = ids.last + 1
	}
	ids.last = now
	if len(ids.rest) < 8 {
		// Read never fails: crypto/rand ends the process when the system has no randomness.
		_, _ = rand.Read(ids.pool[:])
		ids.rest = ids.pool[:]
	}
	var id ID
	copy(id[8:], ids.rest[:8])
	ids.rest = ids.rest[8:]
	ids.Unlock()

	ms, seq := now>>12, now&0xfff
	id[0], id[1], id[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	id[3], id[4], id[5] = byte(ms>>16), byte(ms>>8), byte(ms)
	id[6] = 0x70 | byte(seq>>8)
	id[7] = byte(seq)
	id[8] = 0x80 | id[8]&0x3f
	return id
}

// IDFrom gives the id for an identifier that a sender chose. A UUID in its
// 36-character form is taken as it is and external is empty. Any other string
// of 1 to [MaxExternalID] bytes becomes a UUID version 8 made from its SHA-256,
// and external is the string itself, to be kept beside the id.
func IDFrom(s string) (id ID, external string, err error) {
	if id, ok := parseUUID(s); ok {
		return id, "", nil
	}
	if s == "" {
		return ID{}, "", Invalid("id", "is empty")
	}
	if len(s) > MaxExternalID {
		return ID{}, "", Invalid("id", "is %d bytes long, at most %d are allowed", len(s), MaxExternalID)
	}
	if cleanText(s, MaxExternalID) != s {
		// Changing an identifier could make two of them equal, so it is refused, never mended.
		return ID{}, "", Invalid("id", "has a NUL or is not valid UTF-8")
	}
	sum := sha256.Sum256([]byte(s))
	copy(id[:], sum[:16])
	id[6] = 0x80 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	return id, s, nil
}

// ParseID reads the 36-character form of a UUID, in either case.
func ParseID(s string) (ID, error) {
	id, ok := parseUUID(s)
	if !ok {
		return ID{}, Invalid("id", "is not a UUID")
	}
	return id, nil
}

func parseUUID(s string) (id ID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, false
	}
	n := 0
	for i := 0; i < 36; {
		switch i {
		case 8, 13, 18, 23: // the only places of a dash
			i++
			continue
		}
		hi, lo := unhex(s[i]), unhex(s[i+1])
		if hi > 15 || lo > 15 {
			return ID{}, false
		}
		id[n] = hi<<4 | lo
		n++
		i += 2
	}
	return id, id != ID{}
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// IsZero reports whether the id is absent.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes: -1, 0 or 1.
func (id ID) Compare(other ID) int {
	for i := range id {
		switch {
		case id[i] < other[i]:
			return -1
		case id[i] > other[i]:
			return 1
		}
	}
	return 0
}

// String gives the lower-case 36-character form, or "" for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return string(id.appendTo(make([]byte, 0, 36)))
}

func (id ID) appendTo(b []byte) []byte {
	for i, from := range [...]int{0, 4, 6, 8, 10} {
		to := [...]int{4, 6, 8, 10, 16}[i]
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id[from:to])
	}
	return b
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; the empty text is the zero ID.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID{}
		return nil
	}
	v, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// Digest is a SHA-256 value: the hash of a record, or of the one before it.
type Digest [sha256.Size]byte

// IsZero reports whether the digest is absent.
func (d Digest) IsZero() bool { return d == Digest{} }

// String gives lower-case hexadecimal, or "" for the zero Digest.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; the empty text is the zero Digest.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	if hex.DecodedLen(len(b)) != len(d) {
		return Invalid("hash", "is not %d hexadecimal digits", hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], b); err != nil {
		return Invalid("hash", "is not hexadecimal")
	}
	return nil
}
