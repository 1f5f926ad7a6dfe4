package audit

import (
	"encoding/hex"
	"slices"
	"strings"
)

// DecodeEvent reads one event. It is strict: an unknown field, a field given
// twice, a field that only Annals sets, a value of the wrong kind or anything
// after the object is an error that names the field by its path. An id that is
// not a UUID is kept as ExternalID. Nothing of data is kept. The result is not
// normalised yet.
func DecodeEvent(data []byte) (*Event, error) {
	r, err := decode(data, "an event")
	if err != nil {
		return nil, err
	}
	return &r.Event, nil
}

// DecodeRecord reads one record, as an export or another Annals wrote it; it is
// as strict as [DecodeEvent].
func DecodeRecord(data []byte) (*Record, error) { return decode(data, "a record") }

// wireNode is one name in the JSON form: a field, or a group of names.
type wireNode struct {
	index   int // counts the nodes, for the search for names given twice
	field   *Field
	ours    bool // only Annals sets it
	members map[string]*wireNode
}

// maxWireNodes is room for every node; a test holds it against the field table.
const maxWireNodes = 128

var wireRoot, wireNodes = func() (*wireNode, int) {
	root := &wireNode{members: map[string]*wireNode{}}
	n := 0
	for _, f := range fields {
		at := root
		for name := range strings.SplitSeq(f.Path, ".") {
			next := at.members[name]
			if next == nil {
				next = &wireNode{index: n, members: map[string]*wireNode{}}
				at.members[name] = next
				n++
			}
			at = next
		}
		at.field = f
		at.ours = f.Name == "kind" || doorFields[f.Name] && f.Name != "expires_at"
	}
	return root, n
}()

// eventDecoder walks the JSON form along the field table.
type eventDecoder struct {
	docScanner
	what string // "an event" or "a record"
	seen [maxWireNodes]bool
	rec  *Record
	id   string
}

func decode(data []byte, what string) (*Record, error) {
	d := eventDecoder{docScanner: docScanner{in: data, check: true}, what: what, rec: &Record{}}
	d.blank()
	if d.pos == len(data) {
		return nil, Invalid("", "the JSON ends too early")
	}
	if kind := d.kind(); kind != "an object" {
		if err := d.value(0); err != nil {
			return nil, d.broken("", err)
		}
		return nil, Invalid("", "%s must be a JSON object, not %s", what, kind)
	}
	if err := d.group(wireRoot, ""); err != nil {
		return nil, err
	}
	d.blank()
	if d.pos != len(data) {
		return nil, Invalid("", "there is text after the object")
	}
	return d.rec, d.takeID()
}

// group reads one object whose members are fields or groups; path is its own
// path with a dot at the end, empty for the whole.
func (d *eventDecoder) group(g *wireNode, path string) error {
	d.pos++
	d.blank()
	for first := true; !d.next('}'); first = false {
		if !first {
			if !d.next(',') {
				return d.broken(path, d.fail("expected ',' or '}'"))
			}
			d.blank()
		}
		key, err := d.key()
		if err != nil {
			return d.broken(path, err)
		}
		node := g.members[string(key)]
		switch {
		case node == nil:
			return Invalid(path+clip(string(key)), "is not a field of %s", d.what)
		case d.seen[node.index]:
			return Invalid(path+string(key), "is given twice")
		case node.ours && d.what == "an event":
			return Invalid(node.field.Path, "is set by Annals and cannot be sent")
		}
		d.seen[node.index] = true
		if err := d.member(node, path, key); err != nil {
			return err
		}
		d.blank()
	}
	return nil
}

// key reads a name and the colon after it.
func (d *eventDecoder) key() ([]byte, error) {
	if d.pos >= len(d.in) || d.in[d.pos] != '"' {
		return nil, d.fail("an object's key must be a string")
	}
	from := d.pos + 1
	if err := d.str(); err != nil {
		return nil, err
	}
	key := d.in[from : d.pos-1]
	if hasEscape(key) {
		key = []byte(unquote(key))
	}
	d.blank()
	if !d.next(':') {
		return nil, d.fail("expected ':'")
	}
	d.blank()
	return key, nil
}

func (d *eventDecoder) member(node *wireNode, path string, key []byte) error {
	kind := d.kind()
	if node.field == nil && kind == "an object" {
		return d.group(node, path+string(key)+".")
	}
	from := d.pos
	if err := d.value(0); err != nil {
		return d.broken(path+string(key)+".", err)
	}
	if kind == "null" {
		return nil
	}
	if node.field == nil {
		return Invalid(path+string(key), "cannot be %s", kind)
	}
	return d.set(node.field, d.in[from:d.pos], kind)
}

// set gives the field its value, which is well formed JSON.
func (d *eventDecoder) set(f *Field, raw []byte, kind string) error {
	want := "a string"
	switch f.Kind {
	case Document:
		*f.doc(d.rec) = slices.Clone(raw)
		return nil
	case Number, Span:
		want = "a number"
	case Flag:
		want = "true or false"
	}
	if kind != want {
		return Invalid(f.Path, "cannot be %s", kind)
	}
	switch f.Kind {
	case Number:
		n, exact, ok := parseDecimal(string(raw), 0)
		if !ok || !exact || n < 0 {
			return Invalid(f.Path, "is %s, want a whole number from 0 to 2^63-1", clip(string(raw)))
		}
		f.SetInt(d.rec, n)
		return nil
	case Span:
		us, ok := parseMillis(string(raw))
		if !ok || us < 0 || us > MaxDuration.Microseconds() {
			return Invalid(f.Path, "is %s, want 0 to %s", clip(string(raw)), formatMillis(MaxDuration))
		}
		f.SetInt(d.rec, us)
		return nil
	case Flag:
		*f.flag(d.rec) = raw[0] == 't'
		return nil
	}
	s := unquote(raw[1 : len(raw)-1])
	switch {
	case f.Kind == Text:
		*f.text(d.rec) = s
	case s == "": // as good as absent
	case f.Kind == Instant:
		t, err := ParseTime(f.Path, s)
		*f.inst(d.rec) = t
		return err
	case f.Kind == Identity:
		d.id = s
	default:
		dst := f.raw(d.rec)
		if len(s) != hex.EncodedLen(len(dst)) {
			return Invalid(f.Path, "is not %d hexadecimal digits", hex.EncodedLen(len(dst)))
		}
		if _, err := hex.Decode(dst, []byte(s)); err != nil {
			return Invalid(f.Path, "is not hexadecimal")
		}
	}
	return nil
}

// takeID comes last, as it may have to agree with the external id.
func (d *eventDecoder) takeID() error {
	if d.id == "" {
		return nil
	}
	id, external, err := IDFrom(d.id)
	if err != nil {
		return err
	}
	ev := &d.rec.Event
	ev.ID = id
	if external != "" {
		if ev.ExternalID != "" && ev.ExternalID != external {
			return Invalid("external_id", "does not belong to the id: leave one of them out")
		}
		ev.ExternalID = external
	}
	return nil
}

// kind names the value at the position by its first byte.
func (d *eventDecoder) kind() string {
	if d.pos >= len(d.in) {
		return "nothing"
	}
	switch d.in[d.pos] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// broken makes an error of what the scanner said, with the field it was in.
func (d *eventDecoder) broken(path string, err error) error {
	message := err.(*Error).Message
	if d.pos >= len(d.in) {
		message = "the JSON ends too early"
	}
	return Invalid(strings.TrimSuffix(path, "."), "%s", message)
}
