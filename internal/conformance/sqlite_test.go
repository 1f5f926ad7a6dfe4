package conformance

import (
	"path/filepath"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/sqlite"
	"github.com/annals-dev/annals/store/storetest"
)

func sqliteHarness(testing.TB) storetest.Harness {
	paths := map[audit.Store]string{}
	open := func(tb testing.TB, path string) audit.Store {
		// What is tested here does not depend on flushing, and there are thousands of stores.
		s, err := sqlite.Open(tb.Context(), sqlite.Options{Path: path, LosePowerFailure: true})
		if err != nil {
			tb.Fatal(err)
		}
		paths[s] = path
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		})
		return s
	}
	return storetest.Harness{
		New: func(tb testing.TB) audit.Store { return open(tb, filepath.Join(tb.TempDir(), "annals.db")) },
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			return open(tb, paths[s])
		},
	}
}
