package chain

import (
	"encoding/binary"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Version is the version of the canonical encoding, its first entry.
const Version = 1

// The major types of CBOR that the encoding uses (RFC 8949, section 3.1).
const (
	majorUint  = 0 << 5
	majorNeg   = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorMap   = 5 << 5
)

// AppendEncoding appends the record's canonical encoding to b: RFC 8949 core
// deterministic CBOR (section 4.2.1), a map from small integers to values. Key
// 0 holds [Version]; every other key is a field's Tag (audit.Fields). Absent
// fields and the Hash itself are left out. Texts and documents are text
// strings, documents the exact bytes that are stored; identities and hashes
// are byte strings; numbers, flags (1), durations and times (microseconds) are
// integers.
func AppendEncoding(b []byte, r *audit.Record) []byte {
	start := len(b)
	b, n := appendPairs(append(b, majorMap|24, 0), r)
	if n < 24 {
		// The shortest form is the only one.
		b[start] = majorMap | byte(n)
		return append(b[:start+1], b[start+2:]...)
	}
	b[start+1] = byte(n)
	return b
}

// encode is AppendEncoding into buf[:0] without its last copy: the encoding is
// enc, which lies in buf.
func encode(buf []byte, r *audit.Record) (enc, grown []byte) {
	b, n := appendPairs(append(buf[:0], majorMap|24, 0), r)
	if n < 24 {
		b[1] = majorMap | byte(n)
		return b[1:], b
	}
	b[1] = byte(n)
	return b, b
}

// appendPairs appends the pairs of the map in ascending order of their keys,
// which is the bytewise order that RFC 8949 asks for, and counts them. It names
// every field instead of walking audit.Fields, which costs three times as much;
// TestEncodingFollowsTheFieldTable fails when one is forgotten.
func appendPairs(b []byte, r *audit.Record) ([]byte, int) {
	e := pairs{b: append(b, 0, Version), n: 1}
	if !r.ID.IsZero() {
		e.bytes(1, r.ID[:])
	}
	e.text(2, r.ExternalID)
	e.text(3, r.Namespace)
	e.text(4, r.Tenant)
	e.text(5, string(r.Kind))
	e.time(6, r.OccurredAt)
	e.time(7, r.RecordedAt)
	e.int(8, r.Duration.Microseconds())
	e.text(9, r.Action)
	e.text(10, string(r.Operation))
	e.text(11, r.ActionID)
	e.text(12, string(r.Outcome))
	e.text(13, r.Level)
	e.text(14, r.Actor.Type)
	e.text(15, r.Actor.ID)
	e.text(16, r.Actor.Name)
	e.text(17, r.Actor.Email)
	e.text(18, r.Actor.Team)
	e.text(19, r.Actor.IP)
	e.text(20, r.Actor.UserAgent)
	e.text(21, r.Actor.SessionID)
	e.text(22, r.Actor.AuthMethod)
	e.text(23, r.Actor.OnBehalfOf)
	e.text(24, r.Resource.Type)
	e.text(25, r.Resource.ID)
	e.text(26, r.Resource.Name)
	e.text(27, r.Error)
	e.text(28, r.ErrorCode)
	e.text(29, r.Verdict)
	e.text(30, r.Rule)
	e.text(31, r.Tool.Name)
	e.text(32, r.Tool.Kind)
	e.text(33, r.Tool.Toolkit)
	e.text(34, r.Tool.Connection)
	e.text(35, r.Tool.Persona)
	e.text(36, r.Tool.Purpose)
	if r.Tool.Enrichment.Applied {
		e.int(37, 1)
	}
	e.text(38, r.Tool.Enrichment.Mode)
	e.int(39, r.Tool.Enrichment.TokensFull)
	e.int(40, r.Tool.Enrichment.TokensDedup)
	e.text(41, r.Source.Service)
	e.text(42, r.Source.Provider)
	e.text(43, r.Source.Transport)
	e.text(44, r.Source.Host)
	e.text(45, r.Request.ID)
	e.text(46, r.Request.CorrelationID)
	e.text(47, r.Request.TraceID)
	e.text(48, r.Request.SpanID)
	e.text(49, r.Request.Method)
	e.text(50, r.Request.Path)
	e.int(51, r.Request.Bytes)
	e.int(52, r.Response.Bytes)
	e.int(53, r.Response.Blocks)
	e.time(54, r.ExpiresAt)
	e.int(55, r.Sequence)
	e.text(56, r.Segment)
	if !r.PrevHash.IsZero() {
		e.bytes(57, r.PrevHash[:])
	}
	// 58 is the hash itself.
	e.document(59, r.Details)
	e.document(60, r.Tool.Parameters)
	e.document(61, r.Changes.Before)
	e.document(62, r.Changes.After)
	e.document(63, r.Metadata)
	e.document(64, r.Payload)
	return e.b, e.n
}

// pairs is a map under construction. Its methods leave absent values out; they
// are split so that the test for absence is inlined.
type pairs struct {
	b []byte
	n int
}

func (e *pairs) text(tag byte, s string) {
	if s != "" {
		e.putText(tag, s)
	}
}

func (e *pairs) document(tag byte, d []byte) {
	if len(d) != 0 {
		e.putString(tag, majorText, d)
	}
}

func (e *pairs) bytes(tag byte, v []byte) { e.putString(tag, majorBytes, v) }

func (e *pairs) time(tag byte, t time.Time) { e.int(tag, audit.Micros(t)) }

func (e *pairs) int(tag byte, v int64) {
	if v != 0 {
		e.putInt(tag, v)
	}
}

func (e *pairs) putText(tag byte, s string) {
	e.b = append(appendHeads(e.b, tag, majorText, uint64(len(s))), s...)
	e.n++
}

func (e *pairs) putString(tag, major byte, v []byte) {
	e.b = append(appendHeads(e.b, tag, major, uint64(len(v))), v...)
	e.n++
}

func (e *pairs) putInt(tag byte, v int64) {
	if v < 0 {
		e.b = appendHeads(e.b, tag, majorNeg, uint64(-1-v))
	} else {
		e.b = appendHeads(e.b, tag, majorUint, uint64(v))
	}
	e.n++
}

// appendHeads appends a key and the head of its value.
func appendHeads(b []byte, tag, major byte, n uint64) []byte {
	if tag < 24 {
		b = append(b, tag)
	} else {
		b = append(b, majorUint|24, tag)
	}
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}
