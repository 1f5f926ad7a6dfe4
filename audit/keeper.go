package audit

import (
	"context"
	"strings"
)

// Limits of the documents that a [Keeper] keeps; what the smallest of the
// engines takes without effort.
const (
	MaxKeptKey   = 128       // bytes of a key
	MaxKeptValue = 256 << 10 // bytes of a document
)

// Keeper keeps a few small documents beside the records, for every process that
// opens the same data: the secret of the cursors, the lease of retention, the
// legal holds. It is linearizable for each key: of two that save over the same
// version one fails. Fallback: a random secret a process, no lease, no holds.
type Keeper interface {
	// Load gives a document and its version, which is greater than 0, or
	// ErrNotFound. The value is the caller's.
	Load(ctx context.Context, key string) (value []byte, version int64, err error)

	// Save replaces the document that version was loaded with; version 0 makes
	// a new one, and a nil value deletes. ErrConflict: it is not the version
	// any more, and nothing was changed (engines give [ErrMoved]). The new version is another one that
	// never was before, also where the document was deleted in between; Load
	// tells it. An error that is retryable leaves it open whether the document
	// was saved. Save does not keep value. Arguments are judged by [CheckKept].
	Save(ctx context.Context, key string, value []byte, version int64) error
}

// ErrMoved is the ErrConflict of [Keeper].
var ErrMoved error = &Error{Code: CodeConflict, Message: "the document was changed since it was read"}

// CheckKept judges the arguments of [Keeper.Save], for engines. A key has 1 to
// MaxKeptKey bytes, lower-case letters, digits, dots, dashes and underscores,
// which every engine can have in a name; a document has 1 to MaxKeptValue bytes.
func CheckKept(key string, value []byte, version int64) error {
	if key == "" || len(key) > MaxKeptKey || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return Invalid("key", "%q: want 1 to %d lower-case letters, digits, dots, dashes and underscores", clip(key), MaxKeptKey)
	}
	switch {
	case version < 0:
		return Invalid("version", "is negative")
	case value == nil && version == 0:
		return Invalid("version", "is 0: what is deleted must have been loaded")
	case value != nil && len(value) == 0:
		return Invalid("value", "is empty")
	case len(value) > MaxKeptValue:
		return &Error{Code: CodeTooLarge, Field: "value", Message: "the document is larger than 256 KiB"}
	}
	return nil
}
