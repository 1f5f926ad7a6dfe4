package postgres

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/annals-dev/annals/analytics"
)

// The packed columns of the sums. They are read and merged by the program: as
// rows or arrays of PostgreSQL they would take some four times the room, and
// thirty times as long to read. Numbers are unsigned and of variable length
// (encoding/binary) unless it says otherwise.
//
//	durations   of each bucket that is not empty: its distance from the one
//	            before, and how many durations are in it
//	dimensions  of each dimension that is kept: its tag (audit.Field.Tag), the
//	            length of its tallies, the tallies
//	tools       tallies by toolkit kind, a NUL, tool name
//	actors      tallies by actor id, a NUL, e-mail
//	actor_ids   the hashes of the actor ids, 8 bytes each, in ascending order
//	kinds       of each toolkit kind: its length, the kind
//	sessions    of each session and toolkit kind, in ascending order of the
//	            hash: the session's hash, 8 bytes; the place of the kind in
//	            kinds, 2 bytes; microseconds from the start of the period to
//	            the first call, 6 bytes; each with the highest byte first
//
// Tallies are, in the order of their values: how many bytes the value shares
// with the one before, how many follow, and those; then calls, calls without
// success, calls without a duration, and the sum of the durations as a high
// and a low word.

// errPacked says that a packed column is damaged, or of a newer program.
var errPacked = errors.New("the sums cannot be read")

func (s *section) pack() []byte {
	if s.over {
		return nil
	}
	out := []byte{}
	last := ""
	for _, value := range slices.Sorted(maps.Keys(s.values)) {
		t := s.values[value]
		shared := 0
		for shared < len(last) && shared < len(value) && last[shared] == value[shared] {
			shared++
		}
		out = binary.AppendUvarint(out, uint64(shared))
		out = binary.AppendUvarint(out, uint64(len(value)-shared))
		out = append(out, value[shared:]...)
		high, low := t.Micros.Words()
		for _, n := range [...]uint64{uint64(t.Calls), uint64(t.Calls - t.Success), uint64(t.Calls - t.Measured), high, low} {
			out = binary.AppendUvarint(out, n)
		}
		last = value
	}
	return out
}

// packed reads what was packed, until something is not as it should be.
type packed struct {
	b   []byte
	bad bool
}

func (p *packed) number() uint64 {
	if len(p.b) > 0 && p.b[0] < 0x80 { // as most are
		n := p.b[0]
		p.b = p.b[1:]
		return uint64(n)
	}
	n, size := binary.Uvarint(p.b)
	if size <= 0 {
		p.b, p.bad = nil, true
		return 0
	}
	p.b = p.b[size:]
	return n
}

func (p *packed) bytes(n uint64) []byte {
	if n > uint64(len(p.b)) {
		p.b, p.bad = nil, true
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

// eachTally gives every packed value with its tally; both are only valid until
// fn returns.
func eachTally(b []byte, fn func(value []byte, t *analytics.Tally)) error {
	p := packed{b: b}
	var value []byte
	var t analytics.Tally
	for len(p.b) > 0 {
		shared := p.number()
		if shared > uint64(len(value)) {
			return errPacked
		}
		value = append(value[:shared], p.bytes(p.number())...)
		calls := int64(p.number())
		t = analytics.Tally{Calls: calls, Success: calls - int64(p.number()), Measured: calls - int64(p.number())}
		high := p.number()
		t.Micros = analytics.SumOfWords(high, p.number())
		if p.bad {
			return errPacked
		}
		fn(value, &t)
	}
	return nil
}

// unpack adds packed tallies; nil is a section that was not kept.
func (s *section) unpack(b []byte) error {
	if b == nil {
		s.overflow()
		return nil
	}
	return eachTally(b, func(value []byte, t *analytics.Tally) {
		if mine := s.tally(value); mine != nil {
			mergeTally(mine, t)
		}
	})
}

func packDimensions(sections []section) []byte {
	out := []byte{}
	for i := range sections {
		b := sections[i].pack()
		if b == nil {
			continue
		}
		out = binary.AppendUvarint(out, uint64(summedDimensions[i].Tag))
		out = binary.AppendUvarint(out, uint64(len(b)))
		out = append(out, b...)
	}
	return out
}

// packedDimension finds the tallies of a dimension; nil when they were not kept.
func packedDimension(b []byte, tag int) ([]byte, error) {
	p := packed{b: b}
	for len(p.b) > 0 {
		got := p.number()
		tallies := p.bytes(p.number())
		if p.bad {
			return nil, errPacked
		}
		if got == uint64(tag) {
			return tallies[:len(tallies):len(tallies)], nil
		}
	}
	return nil, nil
}

func unpackDimensions(sections []section, b []byte) error {
	for i := range sections {
		tallies, err := packedDimension(b, summedDimensions[i].Tag)
		if err == nil {
			err = sections[i].unpack(tallies)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h histogram) pack() []byte {
	out := []byte{}
	last := 0
	for bucket, n := range h {
		if n > 0 {
			out = binary.AppendUvarint(out, uint64(bucket-last))
			out = binary.AppendUvarint(out, uint64(n))
			last = bucket
		}
	}
	return out
}

// maxBucket is over the bucket of every duration.
const maxBucket = 1 << 12

func (h *histogram) unpack(b []byte) error {
	p := packed{b: b}
	bucket := uint64(0)
	for len(p.b) > 0 {
		bucket += p.number()
		n := p.number()
		if p.bad || bucket > maxBucket {
			return errPacked
		}
		h.add(int(bucket), int64(n))
	}
	return nil
}

// packActorIDs makes the hashes of the ids in actors.
func packActorIDs(actors *section) []byte {
	if actors.over {
		return nil
	}
	list := make([]uint64, 0, len(actors.values))
	for key := range actors.values {
		if id, _ := splitJoined([]byte(key)); len(id) > 0 {
			list = append(list, hashOf(id))
		}
	}
	slices.Sort(list)
	out := make([]byte, 0, len(list)*idBytes)
	for _, h := range slices.Compact(list) {
		out = binary.BigEndian.AppendUint64(out, h)
	}
	return out
}

// Bytes of one entry of actor_ids and of sessions.
const (
	idBytes      = 8
	sessionBytes = 16
)

// pack needs a settled list.
func (s *sessionSums) pack(start int64) (kinds, sessions []byte) {
	if s.over {
		return nil, nil
	}
	place := map[string]uint16{}
	var names []string
	for i := range s.list {
		if _, ok := place[s.list[i].kind]; !ok {
			if len(names) == 1<<16 {
				return nil, nil
			}
			place[s.list[i].kind] = uint16(len(names))
			names = append(names, s.list[i].kind)
		}
	}
	kinds = []byte{}
	for _, name := range names {
		kinds = binary.AppendUvarint(kinds, uint64(len(name)))
		kinds = append(kinds, name...)
	}
	sessions = make([]byte, 0, len(s.list)*sessionBytes)
	for i := range s.list {
		first := &s.list[i]
		sessions = binary.BigEndian.AppendUint64(sessions, first.hash)
		sessions = binary.BigEndian.AppendUint64(sessions, uint64(place[first.kind])<<48|uint64(first.at-start))
	}
	return kinds, sessions
}

func unpackKinds(b []byte) ([]string, error) {
	p := packed{b: b}
	var names []string
	for len(p.b) > 0 {
		names = append(names, string(p.bytes(p.number())))
		if p.bad {
			return nil, errPacked
		}
	}
	return names, nil
}

// unpackSession reads one entry of a period's sessions.
func unpackSession(entry []byte, start int64) (hash uint64, kind int, at int64) {
	rest := binary.BigEndian.Uint64(entry[8:])
	return binary.BigEndian.Uint64(entry), int(rest >> 48), start + int64(rest&(1<<48-1))
}

func (s *sessionSums) unpack(kinds, sessions []byte, start int64) error {
	if kinds == nil || sessions == nil {
		s.overflow()
		return nil
	}
	names, err := unpackKinds(kinds)
	if err != nil || s.over {
		return err
	}
	for ; len(sessions) >= sessionBytes; sessions = sessions[sessionBytes:] {
		hash, kind, at := unpackSession(sessions, start)
		if kind >= len(names) {
			return errPacked
		}
		s.list = append(s.list, sessionFirst{hash: hash, at: at, kind: names[kind]})
	}
	return nil
}
