package spool

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/annals-dev/annals/audit"
)

// A header begins each segment, little-endian:
//
//	0  magic    8  "ANNSPOOL"
//	8  version  4
//	12 zero     4
//	16 key      8  see key
//	24 index    8  of the segment, from 1; 0 in the identity file
//	32 after    8  the last sequence number acknowledged before this segment was begun:
//	               frames of earlier segments past it were never acknowledged
//	40 first    8  sequence number of its first frame
//	48 size     8  bytes of the file when it was begun; a shorter file has been cut
//	56 zero     4
//	60 crc      4  CRC-32C of bytes 0 to 60
//
// The identity file of a directory is a header alone. Magic, version and crc
// stay where they are in every later version.
const (
	headerSize    = 64
	magic         = "ANNSPOOL"
	formatVersion = 1
)

type header struct {
	key          key
	index        uint64
	after, first uint64
	size         int64
}

func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	copy(b[16:], h.key[:])
	binary.LittleEndian.PutUint64(b[24:], h.index)
	binary.LittleEndian.PutUint64(b[32:], h.after)
	binary.LittleEndian.PutUint64(b[40:], h.first)
	binary.LittleEndian.PutUint64(b[48:], uint64(h.size))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// parseHeader gives false where b does not begin with an undamaged header, and
// an error of code unsupported where it is one of another version.
func parseHeader(b []byte, file string) (header, bool, error) {
	if len(b) < headerSize || string(b[:8]) != magic ||
		crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return header{}, false, nil
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return header{}, false, &audit.Error{
			Code: audit.CodeUnsupported, Field: "spool.dir",
			Message: file + " was written by another version of Annals, and nothing in the spool was touched: drain it with that version, or move the file away",
		}
	}
	h := header{
		index: binary.LittleEndian.Uint64(b[24:]),
		after: binary.LittleEndian.Uint64(b[32:]),
		first: binary.LittleEndian.Uint64(b[40:]),
		size:  int64(binary.LittleEndian.Uint64(b[48:])),
	}
	copy(h.key[:], b[16:])
	return h, true, nil
}
