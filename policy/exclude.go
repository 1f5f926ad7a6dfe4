package policy

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// maxEntry is the longest exclusion in bytes: the limit of an action and of a resource type.
const maxEntry = 256

// exclusions is a list of exact names and * patterns.
type exclusions struct {
	entries  []string // as configured, trimmed, empty ones left out
	exact    map[string]string
	patterns []pattern
	shortest int // bytes of the shortest exact name
	longest  int // bytes of the longest exact name
}

func newExclusions(field string, entries []string) (exclusions, error) {
	x := exclusions{shortest: maxEntry}
	for _, e := range entries {
		e = strings.TrimSpace(e)
		switch {
		case e == "" || slices.Contains(x.entries, e):
			continue
		case len(e) > maxEntry:
			return exclusions{}, audit.Invalid(field, "has the entry %s of %d bytes, at most %d are allowed", quote(e), len(e), maxEntry)
		case !utf8.ValidString(e) || strings.IndexByte(e, 0) >= 0:
			return exclusions{}, audit.Invalid(field, "has the entry %s, which has a NUL or is not valid UTF-8", quote(e))
		}
		x.entries = append(x.entries, e)
		if strings.Contains(e, "*") {
			x.patterns = append(x.patterns, newPattern(e))
			continue
		}
		if x.exact == nil {
			x.exact = make(map[string]string)
		}
		var buf [maxEntry]byte
		n, _ := foldInto(buf[:], e)
		x.exact[string(buf[:n])] = e
		x.shortest, x.longest = min(x.shortest, n), max(x.longest, n)
	}
	return x, nil
}

// match gives the entry that excludes the name, or "". An empty name is absent
// and never excluded.
func (x *exclusions) match(name string) string {
	// Folding never makes a name longer, so a short one cannot be in the map.
	if len(x.exact) > 0 && len(name) >= x.shortest {
		if e := x.matchExact(name); e != "" {
			return e
		}
	}
	if name != "" {
		for i := range x.patterns {
			if x.patterns[i].match(name) {
				return x.patterns[i].entry
			}
		}
	}
	return ""
}

func (x *exclusions) matchExact(name string) string {
	if len(name) <= 48 { // clearing the large buffer would cost more than folding a usual name
		var small [48]byte
		n, _ := foldInto(small[:], name)
		return x.exact[string(small[:n])]
	}
	var buf [maxEntry]byte
	n, fits := foldInto(buf[:min(x.longest, maxEntry)], name)
	if !fits {
		return ""
	}
	return x.exact[string(buf[:n])]
}

// pattern is an entry with at least one *, cut at the stars and folded. A star
// stands for any text, also the empty one.
type pattern struct {
	entry string
	first string // before the first star
	last  string // after the last star
	inner []string
}

func newPattern(entry string) pattern {
	var buf [maxEntry]byte
	n, _ := foldInto(buf[:], entry)
	parts := strings.Split(string(buf[:n]), "*")
	end := len(parts) - 1
	inner := slices.DeleteFunc(parts[1:end:end], func(s string) bool { return s == "" })
	return pattern{entry: entry, first: parts[0], last: parts[end], inner: inner}
}

// match takes the leftmost place for each inner part, which finds a match
// whenever there is one, in time linear in the name for each part.
func (p *pattern) match(name string) bool {
	n, ok := foldedPrefix(name, p.first)
	if !ok {
		return false
	}
	name = name[n:]
	if n, ok = foldedSuffix(name, p.last); !ok {
		return false
	}
	name = name[:len(name)-n]
	for _, part := range p.inner {
		for {
			if n, ok = foldedPrefix(name, part); ok {
				name = name[n:]
				break
			}
			if name == "" {
				return false
			}
			_, n = utf8.DecodeRuneInString(name)
			name = name[n:]
		}
	}
	return true
}
