package conformance

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/elasticsearch"
	"github.com/annals-dev/annals/store/storetest"
)

var searchPrefixes atomic.Int64

// opensearchHarness gives every store indices of its own on one OpenSearch.
func opensearchHarness(tb testing.TB) storetest.Harness {
	return searchHarness(enginetest.OpenSearch(tb))
}

func searchHarness(url string) storetest.Harness {
	var prefixes sync.Map // audit.Store → the prefix of its indices
	open := func(tb testing.TB, prefix string) audit.Store {
		s, err := elasticsearch.Open(tb.Context(), elasticsearch.Options{URL: url, Prefix: prefix})
		if err != nil {
			tb.Fatal(err)
		}
		prefixes.Store(s, prefix)
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		})
		return s
	}
	return storetest.Harness{
		New: func(tb testing.TB) audit.Store {
			prefix := fmt.Sprintf("c%d-%d_", os.Getpid(), searchPrefixes.Add(1))
			tb.Cleanup(func() { enginetest.DropIndices(tb, url, prefix) })
			return open(tb, prefix)
		},
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			prefix, _ := prefixes.Load(s)
			return open(tb, prefix.(string))
		},
		// The suite may hold the store in a struct of its own.
		Settle: func(tb testing.TB, _ audit.Store) {
			enginetest.RefreshIndices(tb, url, fmt.Sprintf("c%d-", os.Getpid()))
		},
	}
}

// TestElasticsearch puts the cores of Elasticsearch through the suite, one server
// after the other.
func TestElasticsearch(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: OpenSearch stands for both")
	}
	for _, major := range []string{"9", "7"} {
		t.Run(major, func(t *testing.T) {
			storetest.Run(t, searchHarness(enginetest.Elasticsearch(t, major)))
		})
	}
}
