package spool

import (
	"encoding/binary"
	"hash/crc32"
)

// cursor is the file that says how far the consumer has committed in one
// directory. It has two slots in different sectors, written in turn, so that
// one of them is whole whatever happens during a write:
//
//	0  magic       4  "CURS"
//	4  generation  8  the higher one rules
//	12 seq         8  everything up to it is consumed
//	20 crc         4  CRC-32C of bytes 0 to 20
//
// A write is not synced, as the cursor may lag: after a loss of power entries
// come again. It is synced before a segment is removed and at Close.
type cursor struct {
	file       file
	generation uint64
	seq        uint64
	dirty      bool // written since the last sync
}

const (
	cursorMagic = "CURS"
	cursorSlot  = 512
	cursorSize  = 2 * cursorSlot
)

func encodeCursor(generation, seq uint64) []byte {
	b := make([]byte, 0, 24)
	b = append(b, cursorMagic...)
	b = binary.LittleEndian.AppendUint64(b, generation)
	b = binary.LittleEndian.AppendUint64(b, seq)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseCursor gives the newer whole slot. whole is false when a slot is damaged:
// then the cursor may be older than it was.
func parseCursor(b []byte) (generation, seq uint64, whole bool) {
	whole = true
	for at := 0; at < cursorSize; at += cursorSlot {
		if len(b) < at+24 || string(b[at:at+4]) != cursorMagic ||
			crc32.Checksum(b[at:at+20], castagnoli) != binary.LittleEndian.Uint32(b[at+20:]) {
			whole = false
			continue
		}
		if g := binary.LittleEndian.Uint64(b[at+4:]); g >= generation {
			generation, seq = g, binary.LittleEndian.Uint64(b[at+12:])
		}
	}
	return generation, seq, whole
}

// newCursorFile is the content of a cursor that has consumed nothing.
func newCursorFile() []byte {
	b := make([]byte, cursorSize)
	copy(b, encodeCursor(0, 0))
	copy(b[cursorSlot:], encodeCursor(0, 0))
	return b
}

func (c *cursor) set(seq uint64) error {
	if seq <= c.seq {
		return nil
	}
	c.generation++
	slot := int64(c.generation%2) * cursorSlot
	if _, err := c.file.WriteAt(encodeCursor(c.generation, seq), slot); err != nil {
		return err
	}
	c.seq, c.dirty = seq, true
	return nil
}

func (c *cursor) sync() error {
	if !c.dirty {
		return nil
	}
	if err := c.file.datasync(); err != nil {
		return err
	}
	c.dirty = false
	return nil
}
