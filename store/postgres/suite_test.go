package postgres

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// The suite runs in internal/conformance too; there all records fall into one
// block. Here a block holds about four, so that everything goes over many.
func TestSuiteOverManyBlocks(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute: in full runs only; internal/conformance runs the suite over one block")
	}
	url := enginetest.Postgres(t)
	options := map[audit.Store]Options{}
	var n atomic.Int64
	make := func(tb testing.TB, opt Options) audit.Store {
		s := open(tb, opt)
		s.unitRows, s.blockUnits = 1, 4
		options[s] = opt
		return s
	}
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB) audit.Store {
			opt := Options{URL: url, Prefix: fmt.Sprintf("s%d_", n.Add(1)), RollupInterval: -1, MaxConnections: 4}
			return make(tb, opt)
		},
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			return make(tb, options[s])
		},
	})
}
