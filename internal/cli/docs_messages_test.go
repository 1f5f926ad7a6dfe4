package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the page of symptoms quotes is what the program says: every span of code
// that begins with a quotation mark stands in its source, but for the parts
// that are left open by an ellipsis.
func TestQuotedMessages(t *testing.T) {
	source := programText(t)
	_, spans, _ := parts(t, "docs/manage/troubleshooting.md")
	seen := 0
	for _, s := range spans {
		message, ok := strings.CutPrefix(s.text, `"`)
		if !ok || strings.Contains(message, `":`) { // JSON
			continue
		}
		seen++
		message = strings.TrimSuffix(message, `"`)
		for _, field := range []string{"tls.ca_file: "} {
			message = strings.TrimPrefix(message, field)
		}
		for part := range strings.SplitSeq(message, "…") {
			if part = strings.Trim(part, " ,;"); len(part) > 3 && !strings.Contains(source, part) {
				t.Errorf("%s:%d: the program does not say %q", s.page, s.line, part)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d messages were found", seen)
	}
}

func programText(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

var figure = regexp.MustCompile(`\d[\d,]*(?:\.\d+)?`)

// The table of measured figures holds only figures that were recorded.
func TestMeasuredFigures(t *testing.T) {
	recorded := map[string]bool{}
	for _, n := range figure.FindAllString(page(t, "bench/results.md"), -1) {
		recorded[strings.ReplaceAll(n, ",", "")] = true
	}
	_, section, ok := strings.Cut(page(t, "docs/manage/choosing-an-engine.md"), "## What was measured\n")
	if !ok {
		t.Fatal("the page has no measured figures")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	seen := 0
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		for _, n := range figure.FindAllString(line, -1) {
			if seen++; !recorded[strings.TrimSuffix(strings.ReplaceAll(n, ",", ""), ".")] {
				t.Errorf("%s is in no recorded result: %s", n, line)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d figures were found", seen)
	}
}
