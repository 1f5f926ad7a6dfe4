package conformance

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/retention"
	"github.com/annals-dev/annals/store/storetest"
)

//go:generate env UPDATE=1 go test -run TestCapabilityTable .

const capabilityPage = "../../docs/reference/engines.md"

// capabilityRows are the rows of the table: what an engine says of itself, and
// which of the optional interfaces it has.
var capabilityRows = []struct {
	name string
	of   func(s audit.Store) string
}{
	{"survives the end of the process", func(s audit.Store) string { return yes(s.Capabilities().Durable) }},
	{"questions see a record", func(s audit.Store) string {
		if lag := s.Capabilities().Lag; lag > 0 {
			return "within " + lag.String()
		}
		return "at once"
	}},
	{"full text", func(s audit.Store) string { return yes(s.Capabilities().Text) }},
	{"largest record, bytes", func(s audit.Store) string {
		if n := s.Capabilities().RecordBytes; n > 0 {
			return fmt.Sprint(n)
		}
		return fmt.Sprint(audit.MaxRecordBytes)
	}},
	{"batch it likes best, records", func(s audit.Store) string { return fmt.Sprint(s.Capabilities().BatchSize) }},
	{"hash chain", has[chain.Appender]},
	{"can be copied into", has[chain.Restorer]},
	{"statistics by the engine", has[analytics.Analyzer]},
	{"counting by the engine", has[audit.Counter]},
	{"leases, legal holds, lasting cursors", has[audit.Keeper]},
	{"capture in the application's transaction", has[audit.Relayer]},
	{"months dropped as a whole", has[retention.Partitioner]},
	{"deletion by the engine itself", has[audit.Holder]},
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func has[T any](s audit.Store) string {
	_, ok := audit.As[T](s)
	return yes(ok)
}

// TestCapabilityTable checks the page against the engines, which are asked.
func TestCapabilityTable(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: it starts every engine")
	}
	names := []string{"memory", "sqlite", "postgres", "dynamodb", "clickhouse", "opensearch"}
	if len(names) != len(engines) {
		t.Fatalf("the table has %d engines, there are %d", len(names), len(engines))
	}
	var page bytes.Buffer
	page.WriteString("# What each engine can do\n\nGenerated from the engines themselves by `go generate ./internal/conformance`; do not edit.\n\n")
	fmt.Fprintf(&page, "| | %s |\n|---%s|\n", strings.Join(names, " | "), strings.Repeat("|---", len(names)))
	stores, harnesses := make([]audit.Store, len(names)), make([]storetest.Harness, len(names))
	for i, name := range names {
		harnesses[i] = engines[name](t)
		stores[i] = harnesses[i].New(t)
	}
	for _, row := range capabilityRows {
		fmt.Fprintf(&page, "| %s |", row.name)
		for _, s := range stores {
			fmt.Fprintf(&page, " %s |", row.of(s))
		}
		page.WriteByte('\n')
	}
	page.WriteString("\nOpted out of in the conformance suite, and why:\n\n")
	for i, name := range names {
		skip := harnesses[i].Skip
		var categories []storetest.Category
		for c := range skip {
			categories = append(categories, c)
		}
		slices.Sort(categories)
		for _, c := range categories {
			fmt.Fprintf(&page, "- %s, %s: %s.\n", name, c, skip[c])
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(capabilityPage, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(capabilityPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("docs/reference/engines.md is not what the engines say (-page +engines); go generate ./internal/conformance:\n%s", diff)
	}
}
