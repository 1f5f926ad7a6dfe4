// Package conformance puts every engine of this module through the suite of
// store/storetest, bare and behind a wrapper, and through a property test
// against internal/model.
package conformance

import (
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/memory"
	"github.com/annals-dev/annals/store/storetest"
)

// engines are all engines. A new one is one line here and its harness function
// in a file of its own.
var engines = map[string]func(testing.TB) storetest.Harness{
	"memory":   memoryHarness,
	"sqlite":   sqliteHarness,
	"postgres": postgresHarness,
	"dynamodb": dynamodbHarness,

	"opensearch": opensearchHarness,

	"clickhouse": clickhouseHarness,
}

func memoryHarness(testing.TB) storetest.Harness {
	return storetest.Harness{
		New: func(tb testing.TB) audit.Store {
			s := memory.New(memory.Options{})
			tb.Cleanup(func() {
				if err := s.Close(); err != nil {
					tb.Error(err)
				}
			})
			return s
		},
		Skip: map[storetest.Category]string{
			storetest.Durability: "nothing outlives the process",
			storetest.Analytics:  "it streams; the reference is used as it is",
		},
	}
}
