package cli

import (
	"strings"
	"testing"

	"github.com/annals-dev/annals/internal/enginetest"
)

// The commands on a search cluster, whose questions lag unless writes wait.
func TestElasticsearch(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: a server takes its time")
	}
	url := enginetest.OpenSearch(t)
	enginetest.DropIndices(t, url, "cli_")
	t.Cleanup(func() { enginetest.DropIndices(t, url, "cli_") })
	at := []string{
		"--set", "audit.backend=elasticsearch", "--set", "audit.url=" + url, "--set", "audit.prefix=cli_",
		"--set", "audit.elasticsearch.visible=true", "--set", "audit.spool_dir=" + t.TempDir(),
	}
	has := func(stdin string, args []string, parts ...string) {
		t.Helper()
		stdout, stderr, code := call(t, stdin, append(args, at...)...)
		if code != exitOK {
			t.Fatalf("annals %q: exit code %d: %s", args, code, stderr)
		}
		for _, part := range parts {
			if !strings.Contains(stdout, part) {
				t.Errorf("annals %q: %q is not in %s", args, part, stdout)
			}
		}
	}
	has("", []string{"migrate"})
	has(`{"action":"thing.update","actor":{"id":"alice"},"payload":{"text":"the quick fox"}}`, []string{"record"}, `"sequence":1`)
	has("", []string{"query", "--text", "fox"}, `"alice"`)
	has("", []string{"stats", "overview"}, `"total":1`)
	has("", []string{"verify"}, `"valid":true`)
	has("", []string{"partitions", "list"}, "cli_records-000001")
	has("", []string{"doctor"}, "OpenSearch 3.", "answers in")
}
