// Package redact replaces the values of sensitive fields before an event is
// hashed, queued, spooled, stored, logged or streamed. That a field was there
// stays visible; its value does not.
package redact

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// DefaultPlaceholder stands in the place of a redacted value.
const DefaultPlaceholder = "[REDACTED]"

// Limits of a configuration.
const (
	MaxFields      = 1000           // entries of Fields
	MaxSteps       = audit.MaxDepth // steps of a path
	MaxStep        = 256            // bytes of one key
	MaxPlaceholder = 128            // bytes, so that it fits into every text field
)

// Config says what is redacted. The zero value redacts nothing, and neither
// does an Enabled one without Fields. The fields are checked also when it is
// not enabled.
type Config struct {
	Enabled bool
	// Fields are keys or paths. Case does not count, blanks around an entry
	// are trimmed, and empty entries are ignored.
	//
	// A key without a dot ("password") matches at any depth of every document:
	// payload, metadata, changes.before, changes.after, tool.parameters and
	// details. Where it is also the name of a document ("payload",
	// "parameters", "changes") or of a text field of the event ("error",
	// "actor_email"), that is redacted too.
	//
	// A path is one of:
	//   - a document ("tool.parameters"), or a place in one, from its root:
	//     "payload.card.number", "metadata.token", "changes.before.ssn",
	//     "changes.ssn" (both sides), "parameters.*.secret";
	//   - a text field of the event: "actor.email", "actor.ip";
	//   - anything else: a place in every document, from its root, as in
	//     "user.password". The groups actor, resource, tool, source, request
	//     and response are the event's own: in a document they need its name
	//     in front ("payload.request.headers").
	//
	// In a path * is any one key or index, a number is a key or an index, and
	// arrays are transparent: "users.password" is also in each element of users.
	// A key that has dots in it counts as that many steps, so "db.password"
	// matches {"db.password":…} and {"db":{"password":…}} alike.
	//
	// The whole value goes, also an object, an array or null. Metadata as a
	// whole keeps its keys. JSON inside of a string is not looked into.
	//
	// Namespace, tenant, kind, external_id, action, operation, outcome, level
	// and segment are what the record is found and judged by, so they are
	// refused; numbers, times, ids and hashes of the record cannot be
	// redacted either.
	Fields []string
	// Placeholder is the text that stands in the place of a value, at most
	// MaxPlaceholder bytes; "" is DefaultPlaceholder.
	Placeholder string
}

// Redactor applies a configuration. It is immutable and safe for concurrent
// use; a nil one redacts nothing.
type Redactor struct {
	texts     []*audit.Field
	documents []*document // only those that something matches in
	mark      string      // the placeholder
	markJSON  []byte      // the placeholder as a JSON string
}

// New checks the configuration; an error names the field: fields, fields[i]
// (the entry, from 0) or placeholder.
func New(cfg Config) (*Redactor, error) {
	mark := cfg.Placeholder
	if mark == "" {
		mark = DefaultPlaceholder
	}
	if len(mark) > MaxPlaceholder || !utf8.ValidString(mark) || strings.ContainsFunc(mark, unicode.IsControl) {
		return nil, audit.Invalid("placeholder", "must be at most %d bytes of UTF-8 without control characters", MaxPlaceholder)
	}
	var quoted bytes.Buffer
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(mark); err != nil {
		return nil, &audit.Error{Code: audit.CodeInvalid, Field: "placeholder", Message: "cannot be written as JSON", Cause: err}
	}
	r := &Redactor{mark: mark, markJSON: slices.Clip(bytes.TrimSuffix(quoted.Bytes(), []byte("\n")))}
	rules, err := compile(cfg.Fields)
	if err != nil {
		return nil, err
	}
	if cfg.Enabled {
		r.texts = rules.texts
		for _, d := range rules.documents {
			if d.matchesSomething() {
				r.documents = append(r.documents, d)
			}
		}
	}
	return r, nil
}

// Apply redacts the normalised record in place: changed documents are new,
// never edited. It reports whether anything was redacted; a value that already
// is the placeholder does not count. Where nothing matches it neither
// allocates nor copies. It takes time linear in the record.
//
// A document that cannot be walked as compact JSON within audit.MaxDepth, which
// audit.Normalize never lets pass, is replaced as a whole rather than let
// through unread. Values that no rule can reach are not validated.
func (r *Redactor) Apply(rec *audit.Record) bool {
	if r == nil {
		return false
	}
	changed := false
	for _, f := range r.texts {
		if s := f.Text(rec); s != "" && s != r.mark {
			f.SetText(rec, r.mark)
			changed = true
		}
	}
	for _, d := range r.documents {
		if doc := d.field.Bytes(rec); len(doc) > 0 {
			if out, hit := r.rewrite(d, doc); hit {
				d.field.SetBytes(rec, out)
				changed = true
			}
		}
	}
	return changed
}

// rewrite gives the document without what the rules match; hit is false when it stays as it is.
func (r *Redactor) rewrite(d *document, doc []byte) (out []byte, hit bool) {
	if d.whole {
		return r.markJSON, !bytes.Equal(doc, r.markJSON)
	}
	w := rewriter{doc: doc, rules: d, mark: r.markJSON}
	out, hit, ok := w.run()
	if ok {
		return out, hit
	}
	if d.object {
		return append(append([]byte(`{"redacted":`), r.markJSON...), '}'), true
	}
	return r.markJSON, true
}
