package recorder

import (
	"math"
	"math/rand/v2"
	"sync/atomic"

	"github.com/annals-dev/annals/policy"
)

const filterShards = 32 // a power of two

// filteredCounts counts filtered events by reason. It is all that a filtered
// event costs besides the decision, so it is spread over cache lines: callers
// on many processors would otherwise wait for one another's line.
type filteredCounts struct {
	last   atomic.Pointer[filteredTotals] // set once sealed
	shards [filterShards]struct {
		by [policy.NumReasons]atomic.Int64
		_  [cacheLine - 8*policy.NumReasons%cacheLine]byte
	}
}

const cacheLine = 64

type filteredTotals struct {
	by    [policy.NumReasons]int64
	total int64
}

// sealed is far below every count: a counter that is negative is closed, so
// closing and counting need no lock between them and yet no count is lost.
const sealed = math.MinInt64

// add counts one event; false means that the counts are closed and it is not in them.
func (f *filteredCounts) add(reason policy.Reason) bool {
	return f.shards[rand.Uint32()&(filterShards-1)].by[reason].Add(1) > 0
}

// seal closes the counts for good. It must be called once.
func (f *filteredCounts) seal() {
	var last filteredTotals
	for i := range f.shards {
		for k := range f.shards[i].by {
			n := f.shards[i].by[k].Add(sealed) - sealed
			last.by[k] += n
			last.total += n
		}
	}
	f.last.Store(&last)
}

// load sums the shards up.
func (f *filteredCounts) load() filteredTotals {
	if last := f.last.Load(); last != nil {
		return *last
	}
	var t filteredTotals
	for i := range f.shards {
		for k := range f.shards[i].by {
			n := f.shards[i].by[k].Load() &^ sealed
			t.by[k] += n
			t.total += n
		}
	}
	return t
}
