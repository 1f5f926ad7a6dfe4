package recorder

import (
	"sync"

	"github.com/annals-dev/annals/audit"
)

// records are reused: at more than a kilobyte each, to make and to collect them
// is a third of what an event costs its caller. The zero record goes in and out.
//
// One is given back only where nobody can hold it any more: the first call of
// the sink took it, and Stored did not get it. After an attempt that failed a
// careless sink may still be reading in a goroutine that it left behind.
var records = sync.Pool{New: func() any { return new(audit.Record) }}

// giveBack gives a record back that nobody else holds.
func giveBack(rec *audit.Record) {
	*rec = audit.Record{}
	records.Put(rec)
}

// reuse gives back the records of a call that has answered for all its items.
// kept says that Stored has those that are new.
func reuse(items []item, results []audit.Result, kept bool) {
	for i := range items {
		it, res := &items[i], &results[i]
		if res.Err != nil || it.gap || it.open || it.took != 0 || kept && !res.Duplicate {
			continue
		}
		giveBack(it.rec)
		it.rec = nil
	}
}
