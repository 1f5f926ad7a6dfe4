package sqlite

import (
	"bytes"
	"errors"
	"strings"
	"unsafe"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// maxPatterns is how many values a filter on metadata may have for each to be
// looked for in the text of the document.
const maxPatterns = 8

// maxArguments is how many values one call of a function takes here; SQLite
// allows a hundred and more.
const maxArguments = 50

// metadata compares one member of the metadata. What counts is
// audit.MetadataValue, called from SQL, as SQLite's own functions would write
// numbers anew. Before it, cheaply, stands a search in the text: a document
// without the member's text, and without a backslash that could write it
// another way, cannot match. Most blocks hold no backslash at all.
func (w *where) metadata(key string, f *audit.Filter) {
	function := "annals_metadata_is"
	switch {
	case f.Op == audit.OpPrefix:
		function = "annals_metadata_begins"
		w.likely(key, f)
	case f.Op == audit.OpNot:
		w.add("NOT ") // an absent member matches, so nothing can be searched for
	case !hasEmpty(f.Values): // the same holds for the empty value
		w.likely(key, f)
	}
	w.add("(")
	for i, v := range f.Values {
		switch {
		case i%maxArguments != 0:
			w.add(", ?", v)
			continue
		case i > 0:
			w.add(") OR ")
		}
		w.add(function+"(r.metadata, ?, ?", key, v)
	}
	w.add("))")
}

// escaped reports whether a document could be written in another way.
func escaped(doc []byte) bool { return bytes.IndexByte(doc, '\\') >= 0 }

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
	w.add(`(? AND instr(r.metadata, '\') > 0`, slotEscaped)
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

// registerMetadata makes the functions above known to a connection. Both take
// a document, a key and values, and are true or false: an absent member counts
// as the empty text.
func registerMetadata(c *z.Conn) error {
	for name, test := range map[string]func(value, arg string) bool{
		"annals_metadata_is":     func(value, arg string) bool { return value == arg },
		"annals_metadata_begins": strings.HasPrefix,
	} {
		err := c.CreateFunction(name, &z.FunctionImpl{
			NArgs:         -1,
			Deterministic: true,
			Scalar: func(_ z.Context, args []z.Value) (z.Value, error) {
				if len(args) < 2 {
					return z.Value{}, errArguments
				}
				doc := args[0].Text()
				value, _ := audit.MetadataValue(unsafe.Slice(unsafe.StringData(doc), len(doc)), args[1].Text())
				for _, arg := range args[2:] {
					if test(value, arg.Text()) {
						return z.IntegerValue(1), nil
					}
				}
				return z.IntegerValue(0), nil
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errArguments = errors.New("want a document, a key and values")
