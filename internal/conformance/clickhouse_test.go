package conformance

import (
	"sync"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/clickhouse"
	"github.com/annals-dev/annals/store/storetest"
)

// clickhouseHarness gives every store a database of its own on one server.
func clickhouseHarness(testing.TB) storetest.Harness {
	var urls sync.Map // audit.Store → the URL of its database
	open := func(tb testing.TB, url string) audit.Store {
		s, err := clickhouse.Open(tb.Context(), clickhouse.Options{URL: url})
		if err != nil {
			tb.Fatal(err)
		}
		urls.Store(s, url)
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		})
		return s
	}
	return storetest.Harness{
		New: func(tb testing.TB) audit.Store { return open(tb, enginetest.ClickHouse(tb)) },
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			url, _ := urls.Load(s)
			return open(tb, url.(string))
		},
		Segment: clickhouse.DefaultWriter + ".1",
	}
}
