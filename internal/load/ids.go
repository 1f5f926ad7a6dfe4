package load

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// An id is a UUID version 7 (RFC 9562): the milliseconds, and in the place of
// random bits the run, the user and the number of its event. So an id is never
// given twice, ids of one time lie together in an index as those of a real
// sender do, and the check recognises its own.
const (
	runBits   = 30
	userBits  = 17
	eventBits = 27
	maxEvents = 1 << eventBits // of one user
)

// makeID gives the id of an event of a user.
func makeID(at time.Time, run uint32, user, number int) (id audit.ID) {
	rest := uint64(user)<<eventBits | uint64(number) // 44 bits
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|0x7000|rest>>32)
	binary.BigEndian.PutUint32(id[8:], 0x8000_0000|run)
	binary.BigEndian.PutUint32(id[12:], uint32(rest))
	return id
}

// runOf gives the run that made the id; false where no run did.
func runOf(id audit.ID) (run uint32, ok bool) {
	return binary.BigEndian.Uint32(id[8:]) & (1<<runBits - 1), id[6]>>4 == 7
}

// chunkIDs is how many ids the ledger asks memory for at once.
const chunkIDs = 4096

// ledger keeps the ids that were acknowledged and are to be in the store.
type ledger struct {
	mu     sync.Mutex
	chunks [][]audit.ID
	n      int
}

func (l *ledger) add(ids ...audit.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += len(ids)
	for len(ids) > 0 {
		last := len(l.chunks) - 1
		if last < 0 || len(l.chunks[last]) == chunkIDs {
			l.chunks = append(l.chunks, make([]audit.ID, 0, chunkIDs))
			last++
		}
		n := min(len(ids), chunkIDs-len(l.chunks[last]))
		l.chunks[last] = append(l.chunks[last], ids[:n]...)
		ids = ids[n:]
	}
}

// sorted gives all ids in their order; the ledger is empty afterwards.
func (l *ledger) sorted() []audit.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]audit.ID, 0, l.n)
	for i, c := range l.chunks {
		all = append(all, c...)
		l.chunks[i] = nil
	}
	l.chunks, l.n = nil, 0
	slices.SortFunc(all, audit.ID.Compare)
	return all
}
