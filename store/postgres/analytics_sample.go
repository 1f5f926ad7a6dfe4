package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// maxHashBytes is how much of the packed hashes of actors or sessions one
// question reads at most. Beyond it a sample of them is counted: all those
// whose hash is below a bound. That is the same sample in every period, so that
// it can be merged.
const maxHashBytes = 8 << 20

// sampleError is how far a count by a sample is off at most, but for one answer
// in a thousand: three standard deviations of a sample of 100,000.
const sampleError = 0.01

// hashed is one row of packed hashes.
type hashed struct {
	start int64
	kinds []byte
	roles []byte // what the kinds are for, see sort
	list  []byte
}

// sampled are rows of packed hashes, of which those below a bound count.
type sampled struct {
	rows  []hashed
	bound uint64 // of the hashes that count; hashes from it on do not
}

// counts reports whether a hash is in the sample.
func (s *sampled) counts(hash uint64) bool { return hash < s.bound || s.bound == math.MaxUint64 }

// fraction is how much of everything the sample is.
func (s *sampled) fraction() float64 {
	if s.bound == math.MaxUint64 {
		return 1
	}
	return float64(s.bound) / (1 << 64)
}

// error is the relative error of a count.
func (s *sampled) error() float64 {
	if s.bound == math.MaxUint64 {
		return 0
	}
	return sampleError
}

// sample reads a column of packed hashes, entries of a width in the order of
// the hashes, of which there are that many bytes in all.
func (st *statistic) sample(ctx context.Context, column string, width int, total int64) (*sampled, error) {
	out := &sampled{bound: math.MaxUint64}
	columns := column
	if most := cmp.Or(st.s.rollups.hashBytes, maxHashBytes); total > most {
		fraction := float64(most) / float64(total)
		out.bound = uint64(fraction * (1 << 64))
		// The first entries of each row: as many as are expected below the bound, and
		// some more.
		columns = fmt.Sprintf(`substring(%[1]s FROM 1 FOR %[2]d * (16 + ceil(octet_length(%[1]s) / %[2]d * %[3]v::float8 + 4 * sqrt(octet_length(%[1]s) / %[2]d * %[3]v::float8))::int))`,
			column, width, fraction)
	}
	err := st.sums(ctx, `kinds, octet_length(`+column+`), `+columns, false, func(start int64, raw [][]byte) (bool, error) {
		if raw[2] == nil {
			return false, nil
		}
		row := hashed{start: start, kinds: append([]byte(nil), raw[0]...), list: append([]byte(nil), raw[2]...)}
		out.rows = append(out.rows, row)
		if full := int(binary.BigEndian.Uint32(raw[1])); len(row.list) < full && len(row.list) >= width {
			// What is not there is not below the last hash that is.
			out.bound = min(out.bound, binary.BigEndian.Uint64(row.list[len(row.list)-width:]))
		}
		return true, nil
	})
	return out, err
}

// octets reads octet_length; has is false for NULL.
func octets(b []byte) (n int64, has bool) {
	if len(b) != 4 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint32(b)), true
}

// sweepEntries is about how many entries are in one part of a sweep: what they
// make fits into the processor's cache.
const sweepEntries = 8192

// sweep goes through the hashes of all rows, part by part of their range, so
// that hashes which are the same meet in the same part. visit gets every entry of
// the sample; done ends a part: hashes from upper on come later.
func (s *sampled) sweep(width int, visit func(row *hashed, entry []byte), done func(upper uint64, last bool)) {
	entries := 0
	for i := range s.rows {
		entries += len(s.rows[i].list) / width
	}
	parts := uint64(entries/sweepEntries + 1)
	for part := uint64(1); part <= parts; part++ {
		last := part == parts
		upper := s.bound / parts * part
		for i := range s.rows {
			row := &s.rows[i]
			for len(row.list) >= width {
				hash := binary.BigEndian.Uint64(row.list)
				if hash >= upper && !last {
					break
				}
				if s.counts(hash) {
					visit(row, row.list[:width])
				}
				row.list = row.list[width:]
			}
		}
		done(upper, last)
	}
}

// hashTable holds values by hashes, which need no hashing themselves.
type hashTable[V any] struct {
	slots []slot[V]
	n     int
}

type slot[V any] struct {
	hash  uint64 // 0 is an empty slot
	value V
}

// at gives the place of a hash's value until the next call, and whether it is
// new; the hash 0 is taken for 1.
func (t *hashTable[V]) at(hash uint64) (value *V, fresh bool) {
	if t.n*2 >= len(t.slots) {
		t.grow()
	}
	hash = max(hash, 1)
	s := t.find(hash)
	if s.hash == 0 {
		s.hash, fresh = hash, true
		t.n++
	}
	return &s.value, fresh
}

func (t *hashTable[V]) find(hash uint64) *slot[V] {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.hash == 0 || s.hash == hash {
			return s
		}
	}
}

func (t *hashTable[V]) grow() {
	old := t.slots
	t.slots = make([]slot[V], max(256, 4*len(old)))
	for i := range old {
		if old[i].hash != 0 {
			*t.find(old[i].hash) = old[i]
		}
	}
}

// take gives every value and leaves the table empty.
func (t *hashTable[V]) take(fn func(*V)) {
	for i := range t.slots {
		if t.slots[i].hash != 0 {
			fn(&t.slots[i].value)
		}
	}
	clear(t.slots)
	t.n = 0
}

// distinct counts the different hashes of rows, and of a list besides, in the sample.
func (s *sampled) distinct(width int, others []uint64) (n int64) {
	slices.Sort(others)
	var table hashTable[struct{}]
	s.sweep(width, func(_ *hashed, entry []byte) {
		table.at(binary.BigEndian.Uint64(entry))
	}, func(upper uint64, last bool) {
		for len(others) > 0 && (others[0] < upper || last) {
			if s.counts(others[0]) {
				table.at(others[0])
			}
			others = others[1:]
		}
		table.take(func(*struct{}) { n++ })
	})
	return scale(n, s.fraction())
}
