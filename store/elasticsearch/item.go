package elasticsearch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// scopeHash stands for a namespace and tenant in ids: 128 bits, so that no
// tenant can find a name whose ids are those of another.
func scopeHash(scope audit.Scope) [16]byte {
	b := make([]byte, 0, 4+len(scope.Namespace)+len(scope.Tenant))
	b = binary.BigEndian.AppendUint32(b, uint32(len(scope.Namespace)))
	b = append(append(b, scope.Namespace...), scope.Tenant...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// documentID is the _id of a record: its id, then its scope. In this form (URL
// base64 without padding) the servers keep ids as bytes, and those of version 7
// grow with time, which their look-up likes.
func documentID(ref audit.Ref) string {
	scope := scopeHash(audit.Scope{Namespace: ref.Namespace, Tenant: ref.Tenant})
	return base64.RawURLEncoding.EncodeToString(append(ref.ID[:], scope[:]...))
}

// column is how one field is written.
type column struct {
	*audit.Field
	key string // with quotes, colon and the comma before it
}

var columns = func() (out []column) {
	for _, f := range audit.Fields() {
		out = append(out, column{f, `,"` + f.Name + `":`})
	}
	return out
}()

var columnOf = func() map[string]*audit.Field {
	m := map[string]*audit.Field{}
	for _, f := range audit.Fields() {
		m[f.Name] = f
	}
	return m
}()

// appendSource writes the record as it is kept: every field that is not absent,
// documents as texts, so that not a byte of them is changed.
func appendSource(b []byte, r *audit.Record) []byte {
	b = append(b, `{"@timestamp":`...)
	b = strconv.AppendInt(b, r.OccurredAt.UnixMilli(), 10)
	for i := range columns {
		c := &columns[i]
		switch c.Kind {
		case audit.Text:
			if v := c.Text(r); v != "" {
				b = appendString(append(b, c.key...), v)
			}
		case audit.Document:
			if v := c.Bytes(r); len(v) > 0 {
				b = appendString(append(b, c.key...), v)
			}
		case audit.Identity, audit.Hash:
			if v := c.Bytes(r); v != nil {
				b = append(append(b, c.key...), '"')
				b = append(hex.AppendEncode(b, v), '"')
			}
		case audit.Flag:
			if c.Int(r) != 0 {
				b = append(append(b, c.key...), "true"...)
			}
		default:
			if v := c.Int(r); v != 0 {
				b = strconv.AppendInt(append(b, c.key...), v, 10)
			}
		}
	}
	return append(b, '}')
}

// appendDocument writes the record as it is sent: its source, and what is
// searched and counted by.
func appendDocument(b []byte, r *audit.Record, fullText bool) []byte {
	b = appendSource(b, r)
	b = b[:len(b)-1]
	if actor := actorOf(r); actor != "" {
		b = appendString(append(b, `,"x_actor":`...), actor)
	}
	if r.Actor.SessionID != "" {
		b = append(b, `,"x_session":"`...)
		b = appendQuoted(b, sessionOf(r))
		b = append(b, '"')
	}
	if saved := r.Tool.Enrichment.TokensFull - r.Tool.Enrichment.TokensDedup; saved > 0 {
		b = strconv.AppendInt(append(b, `,"x_saved":`...), saved, 10)
	}
	if len(r.Metadata) > 2 {
		n := 0
		audit.EachMetadata(r.Metadata, func(key, value string) {
			if value == "" || len(key) > audit.MaxMetadataKey {
				return
			}
			if n == 0 {
				b = append(b, `,"x_metadata":[`...)
			} else {
				b = append(b, ',')
			}
			n++
			b = appendString(b, metadataKey(key))
			b = append(b, ',')
			b = appendString(b, metadataTerm(key, cutValue(value)))
		})
		if n > 0 {
			b = append(b, ']')
		}
	}
	if fullText {
		if text := audit.SearchText(r); text != "" {
			b = append(b, `,"x_text":"`...)
			b = append(b, text...) // letters, digits and blanks
			b = append(b, '"')
		}
	}
	return append(b, '}')
}

func actorOf(r *audit.Record) string {
	if r.Actor.Email != "" {
		return r.Actor.Email
	}
	return r.Actor.ID
}

func sessionOf(r *audit.Record) string {
	scope := scopeHash(r.Scope())
	return base64.RawURLEncoding.EncodeToString(scope[:]) + "/" + r.Actor.SessionID
}

// metadataKey is the term of a key that has a value that is not empty. Its
// length stands before it, so that no key and value look like another.
func metadataKey(key string) string { return strconv.Itoa(len(key)) + ":" + key }

// metadataTerm is the term of a key with its value.
func metadataTerm(key, value string) string { return metadataKey(key) + "=" + value }

// maxValue is more than a filter's value can have; what a longer one goes on
// with makes no difference to any filter.
const maxValue = 1100

func cutValue(v string) string {
	if len(v) <= maxValue {
		return v
	}
	n := maxValue
	for !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n]
}

// appendString writes a JSON string (RFC 8259).
func appendString[T string | []byte](b []byte, s T) []byte {
	return append(appendQuoted(append(b, '"'), s), '"')
}

func appendQuoted[T string | []byte](b []byte, s T) []byte {
	const digits = "0123456789abcdef"
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if c >= 0x20 {
			b = append(b, '\\', c)
		} else {
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(b, s[from:]...)
}
