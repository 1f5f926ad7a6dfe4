package sqlite

import (
	"encoding/json"
	"strings"
	"unsafe"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// maxPatterns is how many values a filter on metadata may have for each to be
// looked for in the text of the document.
const maxPatterns = 8

// metadata compares one member of the metadata. What counts is
// audit.MetadataValue, called from SQL, as SQLite's own functions would write
// numbers anew. Before it, cheaply, stands a search in the text: a document
// without the member's text, and without a backslash that could write it
// another way, cannot match.
func (w *where) metadata(key string, f *audit.Filter) {
	value := "annals_metadata(r.metadata, ?)"
	if f.Op == audit.OpNot || hasEmpty(f.Values) {
		value = "ifnull(" + value + ", '')" // an absent member matches too, so nothing can be searched for
	} else {
		w.likely(key, f)
	}
	switch f.Op {
	case audit.OpPrefix:
		w.add("(")
		for i, p := range f.Values {
			if i > 0 {
				w.add(" OR ")
			}
			w.add("annals_has_prefix("+value+", ?)", key, p)
		}
		w.add(")")
		return
	case audit.OpNot:
		w.add(value+" NOT IN ", key)
	default:
		w.add(value+" IN ", key)
	}
	w.list(f.Values)
}

func hasEmpty(values []string) bool {
	for _, v := range values {
		if v == "" {
			return true
		}
	}
	return false
}

// likely adds the search in the text.
func (w *where) likely(key string, f *audit.Filter) {
	w.add(`(instr(r.metadata, '\') > 0`)
	defer w.add(") AND ")
	if !plainJSON(key) {
		return // then the key itself is written with a backslash
	}
	member := `"` + key + `":`
	if len(f.Values) > maxPatterns {
		w.add(" OR instr(r.metadata, ?) > 0", member)
		return
	}
	for _, v := range f.Values {
		if !plainJSON(v) {
			continue
		}
		text := member + `"` + v
		if f.Op == audit.OpIs {
			text += `"`
		}
		w.add(" OR instr(r.metadata, ?) > 0", text)
		if literalStart(v) {
			w.add(" OR instr(r.metadata, ?) > 0", member+v)
		}
	}
}

// plainJSON reports whether a JSON string may hold the text as it is.
func plainJSON(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// literalStart reports whether the text may be, or begin, a number, true or false.
func literalStart(s string) bool {
	return s[0] == '-' || s[0] >= '0' && s[0] <= '9' || strings.HasPrefix("true", s) || strings.HasPrefix("false", s)
}

// registerMetadata makes the functions above known to a connection.
func registerMetadata(c *z.Conn) error {
	err := c.CreateFunction("annals_metadata", &z.FunctionImpl{
		NArgs:         2,
		Deterministic: true,
		Scalar: func(_ z.Context, args []z.Value) (z.Value, error) {
			doc := args[0].Text()
			if doc == "" {
				return z.Value{}, nil
			}
			value, ok := audit.MetadataValue(json.RawMessage(unsafe.Slice(unsafe.StringData(doc), len(doc))), args[1].Text())
			if !ok {
				return z.Value{}, nil
			}
			return z.TextValue(value), nil
		},
	})
	if err != nil {
		return err
	}
	return c.CreateFunction("annals_has_prefix", &z.FunctionImpl{
		NArgs:         2,
		Deterministic: true,
		Scalar: func(_ z.Context, args []z.Value) (z.Value, error) {
			if strings.HasPrefix(args[0].Text(), args[1].Text()) {
				return z.IntegerValue(1), nil
			}
			return z.IntegerValue(0), nil
		},
	})
}
