package chain

import (
	"crypto/sha256"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// HashOf gives the hash that the record must carry. buf is scratch space that
// is returned, possibly grown, for the next call.
func HashOf(r *audit.Record, buf []byte) (audit.Digest, []byte) {
	enc, buf := encode(buf, r)
	return sha256.Sum256(enc), buf
}

// Seal links the records after head, in their order, and gives the new head.
// The records must belong to head's scope and be outside any chain.
func Seal(head Head, recs []*audit.Record) Head {
	s := scratch.Get().(*[]byte)
	buf := *s
	for _, r := range recs {
		r.Segment, r.Sequence, r.PrevHash = head.Segment, head.Sequence+1, head.Hash
		r.Hash, buf = HashOf(r, buf)
		head.Sequence, head.Hash = r.Sequence, r.Hash
	}
	keepScratch(s, buf)
	return head
}

// scratch keeps buffers between calls: most batches on a busy trail are small,
// so growing a buffer for each would cost more than it holds.
var scratch = sync.Pool{New: func() any {
	b := make([]byte, 0, 4<<10)
	return &b
}}

// maxScratch is the largest buffer worth keeping; a record of a megabyte is rare.
const maxScratch = 128 << 10

func keepScratch(s *[]byte, buf []byte) {
	if cap(buf) <= maxScratch {
		*s = buf
	}
	scratch.Put(s)
}
