package cli

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	link     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading  = regexp.MustCompile(`^#{1,6} +(.*)$`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// Every link from page to page leads somewhere, and so does the part behind #.
func TestLinks(t *testing.T) {
	anchors := map[string]map[string]bool{}
	anchorsOf := func(name string) map[string]bool {
		if anchors[name] == nil {
			anchors[name] = map[string]bool{}
			_, _, prose := parts(t, name)
			for _, line := range prose {
				if m := heading.FindStringSubmatch(line); m != nil {
					slug := slugOf(m[1])
					for n, unique := 1, slug; ; n++ {
						if !anchors[name][unique] {
							anchors[name][unique] = true
							break
						}
						unique = slug + "-" + strconv.Itoa(n)
					}
				}
			}
		}
		return anchors[name]
	}
	seen := 0
	for _, name := range documents(t) {
		_, _, prose := parts(t, name)
		for i, line := range prose {
			line = inline.ReplaceAllString(line, "") // a span of code is no link; one around a span has lost only its text
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				seen++
				to := name
				if target != "" {
					to = path.Join(path.Dir(name), target)
				}
				if _, err := os.Stat(filepath.Join(root, to)); err != nil {
					t.Errorf("%s:%d: %s leads nowhere", name, i+1, m[1])
				} else if anchor != "" && path.Ext(to) == ".md" && !anchorsOf(to)[anchor] {
					t.Errorf("%s:%d: %s has no heading for #%s", name, i+1, to, anchor)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d links were found", seen)
	}
}

// slugOf gives the anchor that GitHub makes of a heading.
func slugOf(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(title))
}
