package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFieldTable(t *testing.T) {
	names, paths, tags := map[string]bool{}, map[string]bool{}, map[int]bool{}
	for _, f := range Fields() {
		if f.Tag <= 0 || tags[f.Tag] {
			t.Errorf("%s: tag %d is zero or used twice", f.Name, f.Tag)
		}
		if f.Name == "" || names[f.Name] || f.Path == "" || paths[f.Path] {
			t.Errorf("%s: name or path is empty or used twice", f.Name)
		}
		if f.Doc == "" || (f.Kind == Text) != (f.Limit > 0) {
			t.Errorf("%s: no description, or a limit that does not go with its kind", f.Name)
		}
		// A suffix or a reserved parameter in a name would make a question ambiguous.
		if _, _, suffix := splitSuffix(f.Name); suffix != "" || strings.HasPrefix(f.Name, MetadataPrefix) {
			t.Errorf("%s: ends or begins like an operator", f.Name)
		}
		switch f.Name {
		case ParamFrom, ParamTo, ParamText, ParamOpen, ParamPhase, ParamOrder, ParamLimit, ParamCursor:
			t.Errorf("%s is a parameter of its own", f.Name)
		}
		tags[f.Tag], names[f.Name], paths[f.Path] = true, true, true
		if got, ok := FieldByName(f.Name); !ok || got != f {
			t.Errorf("%s is not found by its name", f.Name)
		}
		if (f.Ops != 0) != slices.Contains(Dimensions(), f) {
			t.Errorf("%s: Dimensions disagrees with its operators", f.Name)
		}
	}
	if wireNodes > maxWireNodes {
		t.Errorf("%d names in the JSON form, room for %d: raise maxWireNodes", wireNodes, maxWireNodes)
	}
	for name := range doorFields {
		if !names[name] {
			t.Errorf("doorFields names %s, which is no field", name)
		}
	}
	if len(searchFields) != len(searchable) {
		t.Error("searchable names a field that is not in the table")
	}
}

// The struct's own JSON tags and the table must name the same leaves.
func TestFieldTableMatchesTheStruct(t *testing.T) {
	var leaves []string
	var walk func(typ reflect.Type, prefix string)
	walk = func(typ reflect.Type, prefix string) {
		for sf := range typ.Fields() {
			name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
			switch {
			case sf.Anonymous:
				walk(sf.Type, prefix)
			case name == "" || name == "-":
				t.Errorf("%s.%s has no JSON name", typ, sf.Name)
			case sf.Type.Kind() == reflect.Struct && sf.Type != reflect.TypeFor[time.Time]():
				walk(sf.Type, prefix+name+".")
			default:
				leaves = append(leaves, prefix+name)
			}
		}
	}
	walk(reflect.TypeFor[Record](), "")
	var table []string
	for _, f := range Fields() {
		table = append(table, f.Path)
	}
	slices.Sort(leaves)
	slices.Sort(table)
	if !slices.Equal(leaves, table) {
		t.Errorf("the struct has\n%v\nthe table has\n%v", leaves, table)
	}
}

// Each accessor must reach the struct field that its path names, and no other.
func TestFieldAccessorsReachTheirPath(t *testing.T) {
	for _, f := range Fields() {
		r := &Record{}
		if !f.Absent(r) {
			t.Errorf("%s is not absent in the zero record", f.Name)
		}
		switch f.Kind {
		case Text:
			f.SetText(r, "x")
		case Document:
			f.SetBytes(r, []byte(`"x"`))
		case Identity, Hash:
			f.SetBytes(r, bytes.Repeat([]byte{7}, 32)[:len(f.raw(r))])
		default:
			f.SetInt(r, 1)
		}
		if f.Absent(r) {
			t.Errorf("%s is absent after it was set", f.Name)
		}
		var doc any
		if err := json.Unmarshal(r.AppendJSON(nil), &doc); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		for name := range strings.SplitSeq(f.Path, ".") {
			m, ok := doc.(map[string]any)
			if !ok || len(m) != 1 || m[name] == nil {
				t.Fatalf("%s: setting it gives %s", f.Name, r.AppendJSON(nil))
			}
			doc = m[name]
		}
	}
}

func TestFieldSetAndGet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(Fields()).Draw(t, "field")
		r := &Record{}
		switch f.Kind {
		case Text:
			s := rapid.String().Draw(t, "text")
			if f.SetText(r, s); f.Text(r) != s {
				t.Fatalf("%s: got %q, want %q", f.Name, f.Text(r), s)
			}
		case Document:
			b := rapid.SliceOf(rapid.Byte()).Draw(t, "doc")
			if f.SetBytes(r, b); !bytes.Equal(f.Bytes(r), b) || f.Text(r) != string(b) {
				t.Fatalf("%s: got %q, want %q", f.Name, f.Bytes(r), b)
			}
		case Identity, Hash:
			b := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "bytes")[:len(f.raw(r))]
			f.SetBytes(r, b)
			if got := f.Bytes(r); !bytes.Equal(got, b) && !(got == nil && bytes.Count(b, []byte{0}) == len(b)) {
				t.Fatalf("%s: got %x, want %x", f.Name, got, b)
			}
			if f.SetBytes(r, b[:3]); !bytes.Equal(f.raw(r), append(slices.Clone(b[:3]), make([]byte, len(b)-3)...)) {
				t.Fatalf("%s: a short value leaves the rest of the old one", f.Name)
			}
		default:
			n := rapid.Int64Range(-1e15, 1e15).Draw(t, "number")
			if f.Kind == Flag {
				n &= 1
			}
			if f.SetInt(r, n); f.Int(r) != n {
				t.Fatalf("%s: got %d, want %d", f.Name, f.Int(r), n)
			}
		}
	})
}

func TestFieldText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 120_000_000, time.FixedZone("", 3600))
	r := &Record{Event: Event{ID: ID{15: 1}, Duration: 1500 * time.Microsecond, OccurredAt: at, Payload: json.RawMessage(`[1]`)}, Hash: Digest{31: 255}}
	r.Tool.Enrichment = Enrichment{Applied: true, TokensFull: 7}
	for name, want := range map[string]string{
		"id": "00000000-0000-0000-0000-000000000001", "duration_ms": "1.5", "occurred_at": "2026-01-02T02:04:05.12Z", "payload": "[1]",
		"hash": strings.Repeat("0", 62) + "ff", "prev_hash": "", "enriched": "true", "tokens_full": "7", "tokens_dedup": "0",
		"expires_at": "", "action": "",
	} {
		f, _ := FieldByName(name)
		if got := f.Text(r); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if f, _ := FieldByName("enriched"); f.Text(&Record{}) != "false" || f.Int(r) != 1 || f.Int(&Record{}) != 0 {
		t.Error("a flag has the wrong text or number")
	}
	f, _ := FieldByName("action")
	for name, call := range map[string]func(){"Int": func() { f.Int(r) }, "SetInt": func() { f.SetInt(r, 1) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of a text does not panic", name)
				}
			}()
			call()
		}()
	}
}

func TestMicros(t *testing.T) {
	if Micros(time.Time{}) != 0 || !FromMicros(0).IsZero() {
		t.Error("the zero time is not 0")
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	if got := FromMicros(Micros(at)); got != at {
		t.Errorf("got %v, want %v", got, at)
	}
}
