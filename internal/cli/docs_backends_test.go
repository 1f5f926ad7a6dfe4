package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/annals-dev/annals/internal/config"
)

// Every engine has a page, and the pages the same chapters, so that whoever
// knows one finds their way in the others.
func TestEnginePages(t *testing.T) {
	chapters := []string{"Start", "Settings", "Schema", "Permissions", "TLS", "Tuning", "Limits", "Retention", "Backup and restore", "Clusters", "What is not promised"}
	for _, engine := range config.Backends() {
		want := chapters
		if engine == "memory" {
			want = []string{"Start", "Settings", "Limits", "What is not promised"}
		}
		var have []string
		_, _, prose := parts(t, "docs/backends/"+engine+".md")
		for _, line := range prose {
			if title, ok := strings.CutPrefix(line, "## "); ok {
				have = append(have, title)
			}
		}
		for _, title := range want {
			if !slices.Contains(have, title) {
				t.Errorf("docs/backends/%s.md has no chapter %q", engine, title)
			}
		}
	}
}
