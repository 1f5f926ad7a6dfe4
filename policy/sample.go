package policy

import (
	"math"
	"math/bits"

	"github.com/annals-dev/annals/audit"
)

// Point gives the place of an event in [0, 1): it is kept by sampling when the
// place is below the rate. The place is XXH64 with seed 0 (the published
// xxHash algorithm) of the correlation id, or else of the id in its
// 36-character form, shifted right by 11 bits and divided by 2^53. So a test,
// or `printf %s ID | xxhsum -H1`, can predict it, and all services that share a
// correlation id and a rate keep the same requests.
//
// The hash has no secret: who may choose a correlation id can choose one that
// is dropped. Leave the rates at 1 where senders are not trusted.
func Point(ev *audit.Event) float64 { return float64(sampleHash(ev)) / (1 << 53) }

// rate is a share as the number of the 2^53 places that are kept.
type rate uint64

func newRate(field string, share float64) (rate, error) {
	if !(share >= 0 && share <= 1) { // NaN fails both
		return 0, audit.Invalid(field, "is %v, want a number from 0 to 1", share)
	}
	return rate(math.Ceil(share * (1 << 53))), nil
}

func (r rate) keeps(place uint64) bool { return place < uint64(r) }

// sampleHash gives the place of an event as one of 2^53.
func sampleHash(ev *audit.Event) uint64 {
	if id := ev.Request.CorrelationID; id != "" {
		return xxh64(id) >> 11
	}
	var buf [36]byte
	formatID(&buf, &ev.ID)
	return xxh64(buf[:]) >> 11
}

// formatID writes the 36-character form, of the zero id too, without allocating.
func formatID(buf *[36]byte, id *audit.ID) {
	const digits = "0123456789abcdef"
	n := 0
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			buf[n] = '-'
			n++
		}
		buf[n], buf[n+1] = digits[b>>4], digits[b&15]
		n += 2
	}
}

// The primes of XXH64.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// xxh64 is XXH64 with seed 0, after the algorithm's specification
// (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
func xxh64[T string | []byte](s T) uint64 {
	size := uint64(len(s))
	i := 0
	h := prime5
	if len(s) >= 32 {
		p := prime1 // a variable, so that the sums wrap around
		a, b, c, d := p+prime2, prime2, uint64(0), -p
		for ; len(s)-i >= 32; i += 32 {
			a = xxRound(a, le64(s, i))
			b = xxRound(b, le64(s, i+8))
			c = xxRound(c, le64(s, i+16))
			d = xxRound(d, le64(s, i+24))
		}
		h = bits.RotateLeft64(a, 1) + bits.RotateLeft64(b, 7) + bits.RotateLeft64(c, 12) + bits.RotateLeft64(d, 18)
		for _, lane := range [...]uint64{a, b, c, d} {
			h = (h^xxRound(0, lane))*prime1 + prime4
		}
	}
	h += size
	for ; len(s)-i >= 8; i += 8 {
		h ^= xxRound(0, le64(s, i))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
	}
	if len(s)-i >= 4 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24
		h ^= w * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		i += 4
	}
	for ; i < len(s); i++ {
		h ^= uint64(s[i]) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	h ^= h >> 33
	h *= prime2
	h ^= h >> 29
	h *= prime3
	h ^= h >> 32
	return h
}

func xxRound(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*prime2, 31) * prime1
}

func le64[T string | []byte](s T, i int) uint64 {
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}
