package recorder

import (
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
)

// recent keeps the records that were given to the spool a moment ago, so that
// the pump need not make them again of what it reads. It is a ring by the
// numbers of the entries, bounded, without a lock, and only a shortcut: what it
// has not is decoded.
type recent struct {
	slots    []atomic.Pointer[audit.Record]
	maxBytes int64
	bytes    atomic.Int64
	passed   atomic.Uint64 // the pump asks for nothing up to here any more, or is asking now
}

// newRecent makes room for at least n records.
func newRecent(n int, maxBytes int64) *recent {
	size := 1
	for size < n {
		size *= 2
	}
	return &recent{slots: make([]atomic.Pointer[audit.Record], size), maxBytes: maxBytes}
}

func (c *recent) slot(number uint64) *atomic.Pointer[audit.Record] {
	return &c.slots[number&uint64(len(c.slots)-1)]
}

// keep takes the record of the entry of that number; false: there is no room,
// and it is still the caller's. Its Sequence, which only a stored record has,
// holds the number as long as it lies here. c may be nil.
func (c *recent) keep(number uint64, rec *audit.Record, size int32) bool {
	if c == nil || number == 0 {
		return false
	}
	if c.bytes.Add(int64(size)) > c.maxBytes {
		c.bytes.Add(-int64(size))
		return false
	}
	rec.Sequence = int64(number)
	slot := c.slot(number)
	if old := slot.Swap(rec); old != nil {
		c.forget(old)
	}
	if number <= c.passed.Load() && slot.CompareAndSwap(rec, nil) {
		c.forget(rec) // the pump was faster, and has decoded it or will
	}
	return true
}

// pass notes that the pump is about to take what lies here up to a number.
func (c *recent) pass(number uint64) {
	if c != nil {
		c.passed.Store(number)
	}
}

// take gives the record of the entry of that number, or nil. It is the caller's then.
func (c *recent) take(number uint64) *audit.Record {
	if c == nil || number == 0 {
		return nil
	}
	rec := c.slot(number).Swap(nil)
	if rec == nil {
		return nil
	}
	if rec.Sequence != int64(number) {
		c.forget(rec)
		return nil
	}
	rec.Sequence = 0
	c.bytes.Add(-int64(sizeOf(rec)))
	return rec
}

func (c *recent) forget(rec *audit.Record) {
	c.bytes.Add(-int64(sizeOf(rec)))
	giveBack(rec)
}

// size gives the bytes that the records take. c may be nil.
func (c *recent) size() int64 {
	if c == nil {
		return 0
	}
	return c.bytes.Load()
}
