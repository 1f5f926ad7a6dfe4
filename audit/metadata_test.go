package audit

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const metadataDoc = `{"s":"text","n":1.50,"big":9223372036854775808,"t":true,"f":false,"z":null,"a":[1,"s"],"o":{"s":"inner","}":"]"},` +
	`"":"empty","\u0041\"\\":"esc\n\ud83e\udd16","é":"\u00e9","a.b":"dot","last":""}`

func TestMetadataValue(t *testing.T) {
	for key, want := range map[string]string{
		"s": "text", "n": "1.50", "big": "9223372036854775808", "t": "true", "f": "false", "": "empty", `A"\`: "esc\n🤖", "é": "é", "a.b": "dot", "last": "",
	} {
		if got, ok := MetadataValue(json.RawMessage(metadataDoc), key); !ok || got != want {
			t.Errorf("%q: got %q, %v; want %q", key, got, ok, want)
		}
	}
	for _, key := range []string{"z", "a", "o", "absent", "inner", "}", `\u0041`, "S", "1"} {
		if got, ok := MetadataValue(json.RawMessage(metadataDoc), key); ok || got != "" {
			t.Errorf("%q: got %q", key, got)
		}
	}
	for _, doc := range []string{"", "{}", "[1]", `"a"`} {
		if _, ok := MetadataValue(json.RawMessage(doc), "a"); ok {
			t.Errorf("%s has a value", doc)
		}
	}
}

func TestEachMetadata(t *testing.T) {
	var got [][2]string
	EachMetadata(json.RawMessage(metadataDoc), func(k, v string) { got = append(got, [2]string{k, v}) })
	want := [][2]string{
		{"s", "text"}, {"n", "1.50"}, {"big", "9223372036854775808"}, {"t", "true"}, {"f", "false"},
		{"", "empty"}, {`A"\`, "esc\n🤖"}, {"é", "é"}, {"a.b", "dot"}, {"last", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The walk over compact bytes must see what encoding/json sees.
func TestMetadataAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, err := CompactDocument([]byte(genObject(3).Draw(t, "doc")))
		if err != nil {
			t.Fatal(err)
		}
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(doc, &raw); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for k, v := range raw {
			var s string
			switch {
			case v[0] == '"':
				if err := json.Unmarshal(v, &s); err != nil {
					t.Fatal(err)
				}
				want[k] = s
			case v[0] != '{' && v[0] != '[' && v[0] != 'n':
				want[k] = string(v)
			}
		}
		got := map[string]string{}
		EachMetadata(doc, func(k, v string) { got[k] = v })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", doc, diff)
		}
		for k, v := range want {
			if s, ok := MetadataValue(doc, k); !ok || s != v {
				t.Fatalf("%s: %q gives %q, %v", doc, k, s, ok)
			}
		}
	})
}

// The same for the leaves of any document, which full text search reads.
func TestLeavesAgreeWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, err := CompactDocument([]byte(genJSON(4).Draw(t, "doc")))
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber()
		walkLeaves(t, d, &want)
		eachLeaf(doc, func(s string) { got = append(got, s) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", doc, diff)
		}
	})
}

// walkLeaves gives the strings, numbers and booleans of a document without its keys.
func walkLeaves(t fataler, d *json.Decoder, out *[]string) {
	type level struct{ object, key bool }
	var open []level
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		top := len(open) - 1
		if delim, ok := tok.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:top]
			continue
		}
		if top >= 0 && open[top].object {
			if open[top].key = !open[top].key; open[top].key {
				continue
			}
		}
		switch v := tok.(type) {
		case json.Delim:
			open = append(open, level{object: v == '{'})
		case string:
			*out = append(*out, v)
		case json.Number:
			*out = append(*out, v.String())
		case bool:
			*out = append(*out, strconv.FormatBool(v))
		}
	}
}
