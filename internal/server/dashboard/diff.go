package dashboard

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// diffMost is how many differences a page lists.
const diffMost = 500

// changes is the difference between a resource before and after, field by field.
type changes struct {
	Rows    []change
	More    int    // differences beyond those listed
	Note    string // what there is to say where there are no rows, or besides
	Added   int
	Removed int
	Changed int
}

// change is one difference. Kind is added, removed or changed.
type change struct {
	Kind, Sign    string
	Path          string
	Before, After string
}

// node is a JSON value: an object's members or an array's elements in their
// order, or the text of anything else.
type node struct {
	kind  byte // '{', '[' or 0
	keys  []string
	items []node
	text  string
}

// diff compares two documents; an absent one is nothing.
func diff(before, after []byte) *changes {
	c := &changes{}
	b, berr := parseNode(before)
	a, aerr := parseNode(after)
	switch {
	case berr != nil || aerr != nil:
		c.Note = "The documents cannot be compared: they are not JSON."
		return c
	case len(before) == 0:
		c.Note = "There is no state before: the resource was new, or its state was not reported."
	case len(after) == 0:
		c.Note = "There is no state after: the resource was removed, or its state was not reported."
	}
	switch {
	case len(before) == 0 && len(after) == 0:
	case len(before) == 0:
		c.leaves("added", "", a)
	case len(after) == 0:
		c.leaves("removed", "", b)
	default:
		c.compare("", b, a)
	}
	if len(c.Rows) == 0 && c.Note == "" {
		c.Note = "Before and after say the same."
		if !bytes.Equal(before, after) {
			c.Note += " Only the order of keys differs."
		}
	}
	return c
}

func (c *changes) compare(path string, b, a node) {
	switch {
	case b.kind == '{' && a.kind == '{':
		at := make(map[string]int, len(a.keys))
		for i, k := range a.keys {
			at[k] = i
		}
		seen := make(map[string]bool, len(b.keys))
		for i, k := range b.keys {
			seen[k] = true
			if j, ok := at[k]; ok {
				c.compare(member(path, k), b.items[i], a.items[j])
			} else {
				c.leaves("removed", member(path, k), b.items[i])
			}
		}
		for j, k := range a.keys {
			if !seen[k] {
				c.leaves("added", member(path, k), a.items[j])
			}
		}
	case b.kind == '[' && a.kind == '[':
		c.compareArrays(path, b.items, a.items)
	case b.kind == a.kind && b.text == a.text:
	default:
		c.add(change{Kind: "changed", Path: path, Before: b.String(), After: a.String()})
	}
}

// compareArrays leaves out what is equal at both ends, so that an element put in
// or taken out does not make every one behind it look changed.
func (c *changes) compareArrays(path string, b, a []node) {
	start := 0
	for start < len(b) && start < len(a) && b[start].equal(a[start]) {
		start++
	}
	end := 0
	for end < len(b)-start && end < len(a)-start && b[len(b)-1-end].equal(a[len(a)-1-end]) {
		end++
	}
	bm, am := b[start:len(b)-end], a[start:len(a)-end]
	for i := range max(len(bm), len(am)) {
		p := path + "[" + strconv.Itoa(start+i) + "]"
		switch {
		case i >= len(am):
			c.leaves("removed", p, bm[i])
		case i >= len(bm):
			c.leaves("added", p, am[i])
		default:
			c.compare(p, bm[i], am[i])
		}
	}
}

// leaves lists every value below a part that is on one side only.
func (c *changes) leaves(kind, path string, n node) {
	if len(n.items) == 0 {
		row := change{Kind: kind, Path: path}
		if kind == "added" {
			row.After = n.String()
		} else {
			row.Before = n.String()
		}
		c.add(row)
		return
	}
	for i, item := range n.items {
		p := path + "[" + strconv.Itoa(i) + "]"
		if n.kind == '{' {
			p = member(path, n.keys[i])
		}
		c.leaves(kind, p, item)
	}
}

func (c *changes) add(row change) {
	switch row.Kind {
	case "added":
		c.Added++
		row.Sign = "+"
	case "removed":
		c.Removed++
		row.Sign = "−"
	default:
		c.Changed++
		row.Sign = "~"
	}
	if len(c.Rows) >= diffMost {
		c.More++
		return
	}
	if row.Path == "" {
		row.Path = "(whole document)"
	}
	row.Path, row.Before, row.After = clip(300, row.Path), clip(600, row.Before), clip(600, row.After)
	c.Rows = append(c.Rows, row)
}

// member writes the path of a key; one that is not a plain word is quoted.
func member(path, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r < 0x80
	}) {
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// String gives the value in a line. A container is shown in short.
func (n node) String() string {
	switch n.kind {
	case '{':
		if len(n.items) == 0 {
			return "{}"
		}
		return "{…} " + plural(int64(len(n.items)), "member", "members")
	case '[':
		if len(n.items) == 0 {
			return "[]"
		}
		return "[…] " + plural(int64(len(n.items)), "element", "elements")
	}
	return n.text
}

func (n node) equal(m node) bool {
	if n.kind != m.kind || n.text != m.text || len(n.items) != len(m.items) {
		return false
	}
	if n.kind == '{' {
		at := make(map[string]int, len(m.keys))
		for i, k := range m.keys {
			at[k] = i
		}
		for i, k := range n.keys {
			if j, ok := at[k]; !ok || !n.items[i].equal(m.items[j]) {
				return false
			}
		}
		return true
	}
	for i := range n.items {
		if !n.items[i].equal(m.items[i]) {
			return false
		}
	}
	return true
}

// parseNode reads a document of at most audit.MaxDepth levels. A key that comes
// again is kept under a name of its own, so that nothing hides behind it.
func parseNode(doc []byte) (node, error) {
	if len(doc) == 0 {
		return node{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	return readNode(d, 0)
}

func readNode(d *json.Decoder, depth int) (node, error) {
	t, err := d.Token()
	if err != nil {
		return node{}, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth > audit.MaxDepth {
			return node{}, audit.Invalid("", "nests too deep")
		}
		n := node{kind: byte(t)}
		seen := map[string]bool{}
		for d.More() {
			if t == '{' {
				k, err := d.Token()
				if err != nil {
					return node{}, err
				}
				key, _ := k.(string) // the decoder takes nothing else
				for seen[key] {
					key += "#"
				}
				seen[key] = true
				n.keys = append(n.keys, key)
			}
			item, err := readNode(d, depth+1)
			if err != nil {
				return node{}, err
			}
			n.items = append(n.items, item)
		}
		_, err := d.Token() // the closing bracket
		return n, err
	case string:
		return node{text: strconv.Quote(t)}, nil
	case json.Number:
		return node{text: t.String()}, nil
	case bool:
		return node{text: strconv.FormatBool(t)}, nil
	}
	return node{text: "null"}, nil
}
