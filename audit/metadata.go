package audit

import (
	"encoding/json"
)

// MaxMetadataKey is the longest metadata key, in bytes, that can be filtered by.
const MaxMetadataKey = 256

// checkMetadata wants an object without a key given twice: engines disagree on which of the two counts.
func checkMetadata(doc json.RawMessage) error {
	if doc[0] != '{' {
		return Invalid("metadata", "must be a JSON object")
	}
	var few [16][]byte
	keys := few[:0]
	var many map[string]bool
	var twice []byte // the key that came again; nil when none did
	eachMember(doc, func(key, _ []byte) bool {
		k := key
		if hasEscape(key) {
			k = []byte(unquote(key))
		}
		if many == nil {
			for _, seen := range keys {
				if string(seen) == string(k) {
					twice = k
					return false
				}
			}
			if len(keys) < len(few) {
				keys = append(keys, k)
				return true
			}
			many = make(map[string]bool, 4*len(few))
			for _, seen := range keys {
				many[string(seen)] = true
			}
		}
		if many[string(k)] {
			twice = k
			return false
		}
		many[string(k)] = true
		return true
	})
	if twice != nil {
		return Invalid("metadata", "has the key %q twice", clip(string(twice)))
	}
	return nil
}

// MetadataValue gives the filterable form of one member of a metadata object:
// the text of a string, the literal of a number, true or false. ok is false
// when the key is absent, or its value is null, an array or an object.
func MetadataValue(doc json.RawMessage, key string) (value string, ok bool) {
	eachMember(doc, func(k, v []byte) bool {
		if hasEscape(k) {
			if unquote(k) != key {
				return true
			}
		} else if string(k) != key {
			return true
		}
		value, ok = scalar(v)
		return false
	})
	return value, ok
}

// EachMetadata calls fn with every filterable member of a metadata object, in its order.
func EachMetadata(doc json.RawMessage, fn func(key, value string)) {
	eachMember(doc, func(k, v []byte) bool {
		if value, ok := scalar(v); ok {
			fn(unquote(k), value)
		}
		return true
	})
}

func scalar(v []byte) (string, bool) {
	switch v[0] {
	case '"':
		return unquote(v[1 : len(v)-1]), true
	case '{', '[', 'n':
		return "", false
	}
	return string(v), true
}

// eachMember walks the members of a compact object; key comes without its
// quotes. The document went through CompactDocument, so it is known to be well formed.
func eachMember(doc []byte, fn func(key, value []byte) bool) {
	if len(doc) < 2 || doc[0] != '{' || doc[1] == '}' {
		return
	}
	for i := 1; i < len(doc); {
		end := skipValue(doc, i)
		key := doc[i+1 : end-1]
		from := end + 1 // past the colon
		end = skipValue(doc, from)
		if !fn(key, doc[from:end]) {
			return
		}
		i = end + 1
	}
}

// skipValue gives the index after the value of a compact document that starts at i.
func skipValue(doc []byte, i int) int {
	depth := 0
	for ; i < len(doc); i++ {
		switch doc[i] {
		case '"':
			for i++; i < len(doc) && doc[i] != '"'; i++ {
				if doc[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
