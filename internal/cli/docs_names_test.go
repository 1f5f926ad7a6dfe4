package cli

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/annals-dev/annals/internal/config"
)

var (
	settingSpan = regexp.MustCompile(`^([a-z][a-z_]*(?:\.[a-z_]+)*) = `)
	variable    = regexp.MustCompile(`AUDIT_TRAIL_[A-Z_]+[A-Z]`)
	metric      = regexp.MustCompile(`annals_(?:[a-z]+_)+(?:total|seconds|bytes|events|max|flight)\b`)
	route       = regexp.MustCompile(`^(?:(?:GET|POST|DELETE) )?(/(?:v1/)?[a-z][a-z./{}_-]*)`)
)

// Settings, variables, metrics and paths that the pages name are the program's.
func TestDocumentedNames(t *testing.T) {
	settings, source := config.Settings(), programText(t)
	isEnd := func(key string) bool {
		return slices.ContainsFunc(settings, func(s config.Setting) bool { return s.Key == key || strings.HasSuffix(s.Key, "."+key) })
	}
	kinds := map[string]int{}
	for _, name := range documents(t) {
		if name == "docs/reference/configuration.md" || strings.HasPrefix(name, "docs/design/") {
			continue // the one is generated, the others name more than the program's own
		}
		blocks, spans, _ := parts(t, name)
		for _, b := range blocks {
			spans = append(spans, span{b.page, b.line, b.text})
		}
		for _, s := range spans {
			fail := func(what, which string) { t.Errorf("%s:%d: %s is no %s", s.page, s.line, which, what) }
			if m := settingSpan.FindStringSubmatch(s.text); m != nil && !strings.Contains(s.text, "\n") && !foreignSettings[m[1]] {
				if kinds["setting"]++; !isEnd(m[1]) {
					fail("setting", m[1])
				}
			}
			for _, v := range variable.FindAllString(s.text, -1) {
				kinds["variable"]++
				if !slices.ContainsFunc(settings, func(s config.Setting) bool { return s.Env == v }) {
					fail("variable", v)
				}
			}
			for _, m := range metric.FindAllString(s.text, -1) {
				kinds["metric"]++
				if !strings.Contains(source, `"`+strings.TrimPrefix(m, "annals_")+`"`) && !strings.Contains(source, `"`+m+`"`) {
					fail("metric", m)
				}
			}
			if m := route.FindStringSubmatch(s.text); m != nil && !strings.Contains(s.text, "\n") {
				if kinds["path"]++; !strings.Contains(source, `"`+strings.TrimRight(m[1], "/.")+`"`) {
					fail("path of the server", m[1])
				}
			}
		}
	}
	for _, kind := range []string{"setting", "variable", "metric", "path"} {
		if kinds[kind] == 0 {
			t.Errorf("the pages name no %s", kind)
		}
	}
}

// foreignSettings are those of databases.
var foreignSettings = map[string]bool{"insert_quorum": true}
