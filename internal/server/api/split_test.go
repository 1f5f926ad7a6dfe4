package api

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzSplit compares the splitter with encoding/json: what that reads as an
// array, this must split into the same elements.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`[]`, ` [ ] `, `[1]`, `[{"a":[1,2,{"b":"]"}]}, "x\"],[", null]`, `{}`, `[1,]`, `[,]`, `[[],[[]],{}]`, `["\\",1]`, `[`, `"`, `[1] 2`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, err := splitJSON(body)
		if !json.Valid(body) {
			return // it must not panic
		}
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var want []json.RawMessage
		if bytes.HasPrefix(trim(body), []byte("[")) {
			if err := json.Unmarshal(body, &want); err != nil {
				t.Fatal(err)
			}
		} else {
			want = []json.RawMessage{trim(body)}
		}
		if len(parts) != len(want) {
			t.Fatalf("%s: %d parts, want %d", body, len(parts), len(want))
		}
		for i := range want {
			if !bytes.Equal(parts[i], want[i]) {
				t.Errorf("%s: part %d is %s, want %s", body, i, parts[i], want[i])
			}
		}
	})
}
