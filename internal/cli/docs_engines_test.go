package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/annals-dev/annals/internal/enginetest"
)

// runOnEngine runs the blocks of a page on an empty store of an engine that the
// environment names, so that the commands stand in the page as a user types them.
func runOnEngine(t *testing.T, annals, engine string, blocks []fenced) {
	if testing.Short() {
		t.Skip("in full runs only: a server takes its time")
	}
	start := engineSettings[engine]
	if start == nil {
		t.Fatalf("%s:%d: %q is no engine that the test can start", blocks[0].page, blocks[0].line, engine)
	}
	dir := t.TempDir()
	layOut(t, dir, annals)
	env := append(start(t), "AUDIT_TRAIL_SPOOL_DIR="+filepath.Join(dir, "spool"))
	for _, b := range blocks {
		runBlock(t, dir, b, env...)
	}
}

// engineSettings start an engine and give the environment of an empty store on it.
var engineSettings = map[string]func(t *testing.T) []string{
	"postgres": func(t *testing.T) []string {
		return []string{"AUDIT_TRAIL_BACKEND=postgres", "AUDIT_TRAIL_URL=" + enginetest.Postgres(t)}
	},
	"clickhouse": func(t *testing.T) []string {
		return []string{"AUDIT_TRAIL_BACKEND=clickhouse", "AUDIT_TRAIL_URL=" + enginetest.ClickHouse(t)}
	},
	"dynamodb": func(t *testing.T) []string {
		url, table := enginetest.DynamoDB(t), "docs_"+strings.ToLower(filepath.Base(t.TempDir()))
		t.Cleanup(func() { enginetest.DropDynamoDBTable(t, url, table) })
		return []string{
			"AUDIT_TRAIL_BACKEND=dynamodb", "AUDIT_TRAIL_URL=" + url, "AUDIT_TRAIL_TABLE_NAME=" + table,
			"AWS_ACCESS_KEY_ID=annals", "AWS_SECRET_ACCESS_KEY=annals",
		}
	},
	"elasticsearch": func(t *testing.T) []string {
		url := enginetest.OpenSearch(t)
		enginetest.DropIndices(t, url, "docs_")
		t.Cleanup(func() { enginetest.DropIndices(t, url, "docs_") })
		return []string{
			"AUDIT_TRAIL_BACKEND=elasticsearch", "AUDIT_TRAIL_URL=" + url, "AUDIT_TRAIL_PREFIX=docs_", "AUDIT_TRAIL_ELASTICSEARCH_VISIBLE=true",
		}
	},
}
