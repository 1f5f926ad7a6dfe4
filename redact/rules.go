package redact

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// rules is what the entries of a configuration come to.
type rules struct {
	texts     []*audit.Field
	documents []*document // all documents of a record, in the order of audit.Fields
	keys      *keySet
}

// document holds the rules of one document of a record.
type document struct {
	field  *audit.Field
	object bool // it must stay an object
	whole  bool // it is redacted as a whole
	tree   tree
	keys   *keySet // shared by all documents
}

func (d *document) matchesSomething() bool { return d.whole || !d.tree.empty() || !d.keys.empty() }

// refused are the texts that a record is found and judged by.
var refused = []string{"namespace", "tenant", "kind", "external_id", "action", "operation", "outcome", "level", "segment"}

func compile(entries []string) (*rules, error) {
	if len(entries) > MaxFields {
		return nil, audit.Invalid("fields", "has %d entries, at most %d are allowed", len(entries), MaxFields)
	}
	r := &rules{keys: newKeySet()}
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			r.documents = append(r.documents, &document{field: f, object: f.Name == "metadata", tree: newTree(), keys: r.keys})
		}
	}
	for i, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if msg := r.add(entry); msg != "" {
			return nil, audit.Invalid("fields["+itoa(i)+"]", "%q %s", clip(entry), msg)
		}
	}
	return r, nil
}

// add compiles one entry, or says what is wrong with it.
func (r *rules) add(entry string) string {
	if !utf8.ValidString(entry) || strings.IndexByte(entry, 0) >= 0 {
		return "has a NUL or is not valid UTF-8"
	}
	steps := strings.Split(entry, ".")
	if len(steps) > MaxSteps {
		return "has more than " + itoa(MaxSteps) + " steps"
	}
	for i, s := range steps {
		switch {
		case s == "":
			return "has an empty step"
		case len(s) > MaxStep:
			return "has a step of more than " + itoa(MaxStep) + " bytes"
		case s != "*" && strings.Contains(s, "*"):
			return "has * beside other letters; it stands for one whole key only"
		}
		steps[i] = foldString(s)
	}
	path := strings.Join(steps, ".")

	field := fieldOf(path)
	if field != nil && slices.Contains(refused, field.Name) {
		return "is what a record is found and judged by and cannot be redacted; for a key of a document put its name in front, as in payload." + entry
	}
	docs, rest := r.documentsOf(steps)
	switch {
	case docs != nil:
		for _, d := range docs {
			d.add(rest)
		}
	case field != nil && field.Kind == audit.Text:
		if !slices.Contains(r.texts, field) {
			r.texts = append(r.texts, field)
		}
	case len(steps) == 1:
		// Nothing of the event's own: a key of documents only.
	case field != nil:
		return "is not a text; only texts and documents can be redacted"
	case isGroup(steps[0]):
		return "is not a text field of an event; for a key of a document put its name in front, as in payload." + entry
	default:
		r.everywhere(steps)
	}
	if path == "*" {
		r.everywhere(steps)
	} else if len(steps) == 1 {
		r.keys.add(path)
	}
	return ""
}

// everywhere adds a path to every document.
func (r *rules) everywhere(steps []string) {
	for _, d := range r.documents {
		d.add(steps)
	}
}

// add takes a path from the document's root; none is the whole document.
func (d *document) add(steps []string) {
	switch {
	case len(steps) > 0:
		d.tree.add(steps)
	case d.object:
		d.tree.add([]string{"*"})
	default:
		d.whole = true
	}
}

// documentsOf finds the documents that a path starts with, by path, by name or
// by a group that holds nothing but documents (changes), and the steps within them.
func (r *rules) documentsOf(steps []string) (docs []*document, rest []string) {
	first := steps[0]
	for _, d := range r.documents {
		path := strings.Split(d.field.Path, ".")
		if len(steps) >= len(path) && slices.Equal(steps[:len(path)], path) {
			return []*document{d}, steps[len(path):]
		}
		if d.field.Name == first {
			return []*document{d}, steps[1:]
		}
	}
	for _, f := range audit.Fields() {
		if strings.HasPrefix(f.Path, first+".") && f.Kind != audit.Document {
			return nil, nil
		}
	}
	for _, d := range r.documents {
		if strings.HasPrefix(d.field.Path, first+".") {
			docs = append(docs, d)
		}
	}
	return docs, steps[1:]
}

// fieldOf finds a field of the record by its path, or else by its name.
func fieldOf(path string) *audit.Field {
	for _, f := range audit.Fields() {
		if f.Path == path {
			return f
		}
	}
	f, _ := audit.FieldByName(path)
	return f
}

// isGroup reports whether fields of the record lie below the name.
func isGroup(name string) bool {
	return slices.ContainsFunc(audit.Fields(), func(f *audit.Field) bool { return strings.HasPrefix(f.Path, name+".") })
}

// clip keeps a wrong entry short enough to stand in an error.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
