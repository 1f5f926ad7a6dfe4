package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// maxPatterns is how many values a filter on metadata may have for each to be
// looked for in the text of the document.
const maxPatterns = 8

// metadata compares one member of the metadata. What audit.MetadataValue says
// is what PostgreSQL's json operators say of a document that our door let in:
// json, unlike jsonb, leaves numbers as they are written. Reading a document so
// takes a microsecond and more, so that a search in its text goes before:
// without the member's text, and without a backslash that could write it in
// another way, the member is absent.
func (w *where) metadata(key string, f *audit.Filter) {
	test := func(value string) {
		switch {
		case f.Op == audit.OpPrefix:
			w.add(value, " ^@ ANY(", w.arg(f.Values), "::text[])")
		case f.Op == audit.OpNot:
			w.add(value, " <> ALL(", w.arg(f.Values), "::text[])")
		default:
			w.add(value, " = ANY(", w.arg(f.Values), "::text[])")
		}
	}
	// CASE, as nothing else promises that the cheap test goes first. What it
	// leaves out has none of the values, or where they say so not even the key.
	empty, is := hasEmpty(f.Values), f.Op != audit.OpNot
	w.add("CASE WHEN ")
	if empty {
		w.mayHold(key)
	} else {
		w.likely(key, f)
	}
	w.add(" THEN ")
	if !empty && nameable(key) && len(f.Values) <= maxPatterns && !slices.ContainsFunc(f.Values, func(v string) bool { return !plainJSON(v) }) {
		w.add("CASE WHEN ", flat, " THEN ")
		if !is {
			w.add("NOT ")
		}
		w.exact(key, f)
		w.add(" ELSE ")
		test(w.member(key))
		w.add(" END")
	} else {
		test(w.member(key))
	}
	w.add(" ELSE ", strconv.FormatBool(empty == is), " END")
}

// flat is a document without an object or array inside, and without escapes: a
// text in quotes and a colon are then a key, if the text is [nameable], and the
// document need not be read.
const flat = `(position('\' in r.metadata) = 0 AND position('":{' in r.metadata) = 0 AND position('":[' in r.metadata) = 0)`

// exact adds the test of the values in the text of a flat document.
func (w *where) exact(key string, f *audit.Filter) {
	member := `"` + key + `":`
	var forms []string
	for _, v := range f.Values {
		if f.Op == audit.OpPrefix {
			forms = append(forms, member+`"`+v)
		} else {
			forms = append(forms, member+`"`+v+`"`)
		}
		switch {
		case !literalStart(v):
		case f.Op == audit.OpPrefix:
			forms = append(forms, member+v)
		default:
			forms = append(forms, member+v+",", member+v+"}")
		}
	}
	w.add("(")
	for i, form := range forms {
		if i > 0 {
			w.add(" OR ")
		}
		w.add("position(", w.arg(form), "::text in r.metadata) > 0")
	}
	w.add(")")
}

// member is the text of a member of the metadata, empty where it is absent or is no
// text, number or truth value.
func (w *where) member(key string) string {
	k := w.arg(key)
	return "CASE WHEN json_typeof(r.metadata::json -> " + k + "::text) IN ('string', 'number', 'boolean')" +
		" THEN r.metadata::json ->> " + k + "::text ELSE '' END"
}

// mayHold adds the test whether the document can have the key at all.
func (w *where) mayHold(key string) {
	if !plainJSON(key) {
		w.add("r.metadata IS NOT NULL") // the key itself is written with a backslash
		return
	}
	w.add("(position(", w.arg(`"`+key+`":`), "::text in r.metadata) > 0 OR position('\\' in r.metadata) > 0)")
}

// likely adds the search for the values in the text.
func (w *where) likely(key string, f *audit.Filter) {
	if !plainJSON(key) || len(f.Values) > maxPatterns {
		w.mayHold(key)
		return
	}
	member := `"` + key + `":`
	w.add("(position('\\' in r.metadata) > 0")
	for _, v := range f.Values {
		if !plainJSON(v) {
			continue // then it is written with a backslash
		}
		text := member + `"` + v
		if f.Op != audit.OpPrefix {
			text += `"`
		}
		w.add(" OR position(", w.arg(text), "::text in r.metadata) > 0")
		if literalStart(v) {
			w.add(" OR position(", w.arg(member+v), "::text in r.metadata) > 0")
		}
	}
	w.add(")")
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

// nameable reports whether the text between two quotes can only be a JSON string:
// what stands between one string's end and the next one's beginning has a colon, a
// comma or a bracket.
func nameable(s string) bool { return plainJSON(s) && !strings.ContainsAny(s, ":,{}[]") }

// literalStart reports whether the text may be, or begin, a number, true or false.
func literalStart(s string) bool {
	return s[0] == '-' || s[0] >= '0' && s[0] <= '9' || strings.HasPrefix("true", s) || strings.HasPrefix("false", s)
}
