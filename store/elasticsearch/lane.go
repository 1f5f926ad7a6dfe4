package elasticsearch

import (
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// lane writes one chain for this process, see [intake.Lanes]. Processes race by the
// head document.
type lane struct {
	s       *Store
	scope   audit.Scope
	segment string // only of a lane that takes in a chain
	head    head
	seat    seat
	known   bool // whether head is what was stored last, as far as we know
}

func (s *Store) openLane(scope audit.Scope) intake.Writer { return &lane{s: s, scope: scope} }

// key names the chain of the lane.
func (l *lane) key() chain.Key { return chain.Key{Scope: l.scope, Segment: l.segment} }

// idle is how long a lane waits for more before the last batch leaves the head.
const idle = 300 * time.Millisecond

// Bounds of a batch.
const (
	maxBatch      = 1000
	maxBatchBytes = 4 << 20
)

// newRoom is that of a batch.
func newRoom() func(r *audit.Record) bool {
	n, size := 0, 0
	return func(r *audit.Record) bool {
		n++
		size += sizeOf(r)
		return n <= maxBatch && size <= maxBatchBytes
	}
}

// sizeOf is about the size of a record.
func sizeOf(r *audit.Record) (n int) {
	n = 512
	for i := range columns {
		if columns[i].Kind == audit.Document {
			n += len(columns[i].Bytes(r))
		}
	}
	return n + len(r.Error)
}
