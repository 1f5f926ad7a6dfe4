package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// MaxStoreName is the longest name of a store in bytes.
const MaxStoreName = 200

// StoreName makes a name for [Options.Store]: the engine for people, and a hash
// of whatever says which one of its kind it is, such as URL and prefix. Leave
// out of the parts what may change while the store stays the same, such as a
// password.
func StoreName(engine string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return engine + " " + hex.EncodeToString(h.Sum(nil)[:8])
}

func checkStoreName(name string) error {
	if len(name) > MaxStoreName {
		return audit.Invalid("spool.store", "has %d bytes, at most %d", len(name), MaxStoreName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) || name != strings.TrimSpace(name) {
		return audit.Invalid("spool.store", "%q has characters that cannot be printed, or blanks around it", name)
	}
	return nil
}

// storeFile is the content of the file that says which store a directory is for.
func storeFile(name string) []byte {
	if name == "" {
		return nil
	}
	return []byte(name + "\n")
}

// readStore finds out which store the directory is for.
func (h *home) readStore() error {
	b, err := os.ReadFile(filepath.Join(h.dir, storeName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	h.store = strings.TrimSpace(string(b[:min(len(b), 2*MaxStoreName)]))
	return nil
}

// mustFeed refuses a directory that is for another store than ours. what says
// what there is in it.
func (h *home) mustFeed(ours, what string) error {
	if ours == "" || h.store == "" || ours == h.store {
		return nil
	}
	return &audit.Error{
		Code: audit.CodeConflict, Field: "spool.dir",
		Message: fmt.Sprintf("%s in %s are for the store %q, and this spool feeds %q; nothing was touched. "+
			"Deliver them with the settings of that store, or give this one a directory of its own; "+
			"where it is the same store under another name, remove the file %s",
			what, h.dir, h.store, ours, filepath.Join(h.dir, storeName)),
	}
}
