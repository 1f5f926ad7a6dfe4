package chain_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	gocmp "github.com/google/go-cmp/cmp"
)

const docFile = "../docs/design/chain.md"

// The published table of tags is that of audit.Fields; -update writes it.
func TestDocumentedFields(t *testing.T) {
	const begin, end = "<!-- fields: written by go test ./chain -update -->\n", "<!-- end of fields -->\n"
	raw, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the marks of the table are gone")
	}
	want := fieldTable()
	if table == want {
		return
	}
	if !*update {
		t.Fatalf("run go test ./chain -update: %s", gocmp.Diff(table, want))
	}
	if err := os.WriteFile(docFile, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func fieldTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| Key | Value | In JSON | Meaning |\n|---|---|---|---|\n| 0 | integer %d | | version of the encoding |\n", chain.Version)
	kinds := map[audit.FieldKind]string{
		audit.Text: "text string", audit.Document: "text string: the document's bytes", audit.Number: "integer",
		audit.Flag: "integer 1 where true", audit.Span: "integer: microseconds", audit.Instant: "integer: microseconds since 1970-01-01T00:00:00Z",
		audit.Identity: "byte string of 16", audit.Hash: "byte string of 32",
	}
	fields := slices.SortedFunc(slices.Values(audit.Fields()), func(a, b *audit.Field) int { return cmp.Compare(a.Tag, b.Tag) })
	for _, f := range fields {
		kind := kinds[f.Kind]
		if f.Name == "hash" {
			kind = "never encoded"
		}
		fmt.Fprintf(&b, "| %d | %s | `%s` | %s |\n", f.Tag, kind, f.Path, f.Doc)
	}
	return b.String()
}

// Every reason is explained, under the name that reports use.
func TestDocumentedReasons(t *testing.T) {
	raw, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range chain.Reasons() {
		if !strings.Contains(string(raw), "| `"+string(r)+"` |") {
			t.Errorf("%s is not explained", r)
		}
	}
}
