package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
)

// OpenSearch gives the address of an OpenSearch that the test binary shares. A
// test takes indices of its own, by a prefix. ANNALS_TEST_OPENSEARCH_URL names
// another server to share.
func OpenSearch(tb testing.TB) string {
	tb.Helper()
	return sharedSearch(tb, SearchOptions{Kind: OpenSearchKind})
}

// Elasticsearch gives the address of an Elasticsearch of a major version, 7 or 9,
// that the test binary shares; ANNALS_TEST_ELASTICSEARCH7_URL and
// ANNALS_TEST_ELASTICSEARCH9_URL name others.
func Elasticsearch(tb testing.TB, major string) string {
	tb.Helper()
	return sharedSearch(tb, SearchOptions{Kind: ElasticsearchKind + major})
}

// StartSearch starts a server for this test alone, and closes it when the test
// ends. When the test failed, its log holds the last of the server's.
func StartSearch(tb testing.TB, options SearchOptions) *SearchServer {
	tb.Helper()
	return own(tb, func(ctx context.Context) (*SearchServer, error) { return LaunchSearch(ctx, options) })
}

// searchServers is one server, as each takes a heap of its own.
var searchServers = shared[*SearchServer]{single: true}

func sharedSearch(tb testing.TB, o SearchOptions) string {
	tb.Helper()
	if address := os.Getenv(searchVariable(o.Kind) + "_URL"); address != "" {
		return address
	}
	return searchServers.server(tb, o.Kind, func(ctx context.Context) (*SearchServer, error) { return LaunchSearch(ctx, o) }).URL()
}

// DropIndices removes the indices and the template of a store.
func DropIndices(tb testing.TB, address, prefix string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dropPatience)
	defer cancel()
	for _, path := range []string{"/" + prefix + "*?expand_wildcards=all", "/_index_template/" + prefix + "records"} {
		if err := callSearch(ctx, http.MethodDelete, address+path); err != nil {
			tb.Errorf("dropping %s: %v", path, err)
		}
	}
}

// RefreshIndices makes what was written to the indices with a prefix visible.
func RefreshIndices(tb testing.TB, address, prefix string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dropPatience)
	defer cancel()
	if err := callSearch(ctx, http.MethodPost, address+"/"+prefix+"*/_refresh"); err != nil {
		tb.Error(err)
	}
}

func callSearch(ctx context.Context, method, address string) error {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // it was read to its end
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNotFound {
		err = errors.Join(err, fmt.Errorf("%s: %s", res.Status, answer))
	}
	return err
}
