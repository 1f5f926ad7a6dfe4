package recorder

import (
	"hash/maphash"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// recent keeps the records that were given to the spool a moment ago, so that
// the pump need not decode what was encoded just before: the way back from JSON
// costs more than all else that the recorder does with an event. It is bounded,
// and only a shortcut: what it has not is decoded.
type recent struct {
	seed     maphash.Seed
	maxItems int
	maxBytes int64

	mu    sync.Mutex
	items map[uint64]item // by the hash of the entry
	bytes int64
}

func newRecent(maxItems int, maxBytes int64) *recent {
	return &recent{seed: maphash.MakeSeed(), maxItems: maxItems, maxBytes: maxBytes, items: map[uint64]item{}}
}

// keep takes the record of an entry that is about to be appended, and gives the
// key under which it is here; 0 where there is no room, and the record is still
// the caller's.
func (c *recent) keep(entry []byte, it *item) (key uint64) {
	key = maphash.Bytes(c.seed, entry)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) >= c.maxItems || c.bytes+int64(it.size) > c.maxBytes {
		return 0
	}
	if _, taken := c.items[key]; taken || key == 0 {
		return 0
	}
	c.items[key] = *it
	c.bytes += int64(it.size)
	return key
}

// take gives the record of an entry, if it is here; it is the caller's then.
func (c *recent) take(entry []byte) (item, bool) {
	it, ok := c.drop(maphash.Bytes(c.seed, entry))
	if ok && !isEntryOf(entry, it.rec) {
		return item{}, false
	}
	return it, ok
}

// drop gives back what keep has taken.
func (c *recent) drop(key uint64) (item, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it, ok := c.items[key]
	if ok {
		delete(c.items, key)
		c.bytes -= int64(it.size)
	}
	return it, ok
}

const idAt = 1 + len(`{"id":"`)

// isEntryOf checks a hash by the id, with which every entry begins.
func isEntryOf(entry []byte, rec *audit.Record) bool {
	return len(entry) > idAt+36 && string(entry[idAt:idAt+36]) == rec.ID.String()
}

// size gives the bytes that the records take.
func (c *recent) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
