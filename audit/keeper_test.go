package audit

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckKept(t *testing.T) {
	one := []byte{0}
	for _, c := range []struct {
		name    string
		key     string
		value   []byte
		version int64
		code    Code
		field   string
	}{
		{"create", "cursor.secret", one, 0, "", ""},
		{"replace", "a", make([]byte, MaxKeptValue), 7, "", ""},
		{"delete", strings.Repeat("z-_.09", 21), nil, 1, "", ""},
		{"no key", "", one, 0, CodeInvalid, "key"},
		{"long key", strings.Repeat("a", MaxKeptKey+1), one, 0, CodeInvalid, "key"},
		{"upper case", "A", one, 0, CodeInvalid, "key"},
		{"bad byte inside", "a/b", one, 0, CodeInvalid, "key"},
		{"not ASCII", "aé", one, 0, CodeInvalid, "key"},
		{"negative version", "a", one, -1, CodeInvalid, "version"},
		{"deleting the unknown", "a", nil, 0, CodeInvalid, "version"},
		{"no bytes", "a", []byte{}, 0, CodeInvalid, "value"},
		{"too many bytes", "a", make([]byte, MaxKeptValue+1), 0, CodeTooLarge, "value"},
	} {
		var e *Error
		err := CheckKept(c.key, c.value, c.version)
		if CodeOf(err) != c.code || errors.As(err, &e) && e.Field != c.field {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if !errors.Is(ErrMoved, ErrConflict) {
		t.Error("ErrMoved is no conflict")
	}
}
