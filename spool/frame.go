package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A frame holds one entry, little-endian:
//
//	0  mark    4  the first half of the directory's key
//	4  length  4  of the entry; the top bits are flags
//	8  seq     8  1, 2, 3 … within the directory
//	16 at      8  microseconds since 1970
//	24 crc     4  CRC-32C of bytes 4 to 24 and the entry, started from the second half of the key
//	28 entry
//
// The key is random for each directory, so bytes that a sender put into an
// entry can never pass for a frame when damage makes us search for the next one.
const frameOverhead = 28

const (
	flagFirst     = 1 << 31 // begins a commit: everything before it had been synced when it was written
	flagSeal      = 1 << 30 // no entry: the segment ends here, and seq is its last
	flagContinued = 1 << 29 // with flagSeal: entries in a later segment have been acknowledged
	lengthMask    = 1<<29 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// key is what makes frames of one directory recognisable.
type key [8]byte

func (k *key) mark() []byte { return k[:4] }
func (k *key) seed() uint32 { return binary.LittleEndian.Uint32(k[4:]) }

type frame struct {
	flags uint32
	seq   uint64
	at    int64
	entry []byte
	size  int64 // of the whole frame
}

// appendFrame adds a frame to dst; entry is copied.
func appendFrame(dst []byte, k *key, flags uint32, seq uint64, at int64, entry []byte) []byte {
	start := len(dst)
	dst = append(dst, k.mark()...)
	dst = binary.LittleEndian.AppendUint32(dst, flags|uint32(len(entry)))
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	crc := crc32.Update(k.seed(), castagnoli, dst[start+4:start+24])
	crc = crc32.Update(crc, castagnoli, entry)
	dst = binary.LittleEndian.AppendUint32(dst, crc)
	return append(dst, entry...)
}

// frameLength gives the whole length that the frame at the beginning of b
// claims, or false where that is no frame of this directory or b is too short to tell.
func frameLength(b []byte, k *key) (int64, bool) {
	if len(b) < frameOverhead || !bytes.Equal(b[:4], k.mark()) {
		return 0, false
	}
	return frameOverhead + int64(binary.LittleEndian.Uint32(b[4:])&lengthMask), true
}

// parseFrame reads the frame at the beginning of b. Its entry is part of b.
// false: there is no whole and undamaged frame of this directory.
func parseFrame(b []byte, k *key) (frame, bool) {
	size, ok := frameLength(b, k)
	if !ok || size > int64(len(b)) {
		return frame{}, false
	}
	entry := b[frameOverhead:size:size]
	crc := crc32.Update(k.seed(), castagnoli, b[4:24])
	crc = crc32.Update(crc, castagnoli, entry)
	if crc != binary.LittleEndian.Uint32(b[24:]) {
		return frame{}, false
	}
	return frame{
		flags: binary.LittleEndian.Uint32(b[4:]) &^ lengthMask,
		seq:   binary.LittleEndian.Uint64(b[8:]),
		at:    int64(binary.LittleEndian.Uint64(b[16:])),
		entry: entry, size: size,
	}, true
}
