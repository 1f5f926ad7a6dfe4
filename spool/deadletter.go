package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// DeadLetters keeps entries that could not be delivered, one file each, until
// somebody looks at them, and not more of them than its bounds allow. It is
// safe for concurrent use, also by several processes, and it needs no lock: a
// spool may be open at the same time.
type DeadLetters struct {
	dir  string
	now  func() time.Time
	room deadRoom
}

// DeadLetter is one entry that was set aside.
type DeadLetter struct {
	Name     string    // of the file; Get and Remove take it like an id
	ID       string    // empty where the file is corrupt
	Reason   string    // why it was set aside; of a corrupt file, what is wrong with it
	Attempts int       // how often it was tried
	At       time.Time // when it was set aside
	Bytes    int64     // of the entry; of a corrupt file, of the file
	Corrupt  bool      // the file is not what was written
}

// A file is one line of JSON, then the entry. The checksum in the line covers
// the line without it and the entry.
type deadHead struct {
	Version  int    `json:"version"`
	ID       string `json:"id"`
	Reason   string `json:"reason"`
	Attempts int    `json:"attempts"`
	At       int64  `json:"at_us"`
	Bytes    int    `json:"bytes"`
	CRC      uint32 `json:"crc32c"`
}

const (
	deadExt     = ".dead"
	deadVersion = 1
	// staleTemp is how old a temporary file must be to be what a dead process left.
	staleTemp = time.Hour
)

// OpenDeadLetters opens the dead letters of the spool at dir, which need not be
// open, with the default bounds; now may be nil.
func OpenDeadLetters(dir string, now func() time.Time) (*DeadLetters, error) {
	return OpenBoundedDeadLetters(dir, DeadLetterOptions{Now: now})
}

// OpenBoundedDeadLetters is OpenDeadLetters with bounds of the caller's choice.
// What is there is not touched, even where it is over them.
func OpenBoundedDeadLetters(dir string, opt DeadLetterOptions) (*DeadLetters, error) {
	if dir == "" {
		return nil, audit.Invalid("spool.dir", "is empty")
	}
	if err := opt.complete(); err != nil {
		return nil, err
	}
	d := &DeadLetters{dir: filepath.Join(dir, deadDir), now: opt.Now, room: deadRoom{opt: opt}}
	if err := mkdirDurably(d.dir, osDisk{}); err != nil {
		return nil, audit.Unavailable("the directory of the dead letters cannot be made", err)
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, audit.Unavailable("the dead letters cannot be read", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleTemp {
			_ = os.Remove(filepath.Join(d.dir, e.Name()))
		}
	}
	return d, nil
}

// Put keeps an entry: nil means that it is on disk. An entry of the same id is
// replaced. [ErrFull]: it would be over the bounds, and nothing was kept; see
// [DeadLetterOptions] for why it is the new letter that has to go.
func (d *DeadLetters) Put(id string, entry []byte, reason string, attempts int) error {
	if id == "" {
		return audit.Invalid("id", "is empty")
	}
	h := deadHead{
		Version: deadVersion, ID: id, Reason: strings.ToValidUTF8(reason, "\uFFFD"), Attempts: attempts,
		At: d.now().UnixMicro(), Bytes: len(entry),
	}
	if h.ID = strings.ToValidUTF8(id, "\uFFFD"); h.ID != id {
		return audit.Invalid("id", "is not UTF-8")
	}
	h.CRC = h.sum(entry)
	b := append(append(h.line(), '\n'), entry...)
	name := deadName(id)
	if err := d.room.take(d.dir, name, int64(len(b))); err != nil {
		return err
	}
	if err := writeDurably(d.dir, name, b); err != nil {
		d.room.forget() // what is there now is anybody's guess
		return audit.Unavailable("the dead letter cannot be written", err)
	}
	return nil
}

// List gives all dead letters, oldest first, corrupt ones at the end. It reads
// every file; nil when there is none.
func (d *DeadLetters) List() ([]DeadLetter, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, audit.Unavailable("the dead letters cannot be read", err)
	}
	var out []DeadLetter
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), deadExt) {
			continue
		}
		l, _, err := d.read(e.Name())
		if errors.Is(err, os.ErrNotExist) {
			continue // somebody has just removed it
		}
		if err != nil {
			l = DeadLetter{Name: e.Name(), Reason: "cannot be read: " + err.Error(), Corrupt: true}
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b DeadLetter) int {
		switch {
		case a.Corrupt != b.Corrupt && a.Corrupt:
			return 1
		case a.Corrupt != b.Corrupt:
			return -1
		}
		return a.At.Compare(b.At)
	})
	return out, nil
}

// Get gives one dead letter and its entry, by id or by name; ErrNotFound where
// there is none. The entry of a corrupt one is what is left of the whole file.
func (d *DeadLetters) Get(id string) (DeadLetter, []byte, error) {
	for _, name := range d.names(id) {
		l, entry, err := d.read(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return DeadLetter{}, nil, audit.Unavailable("the dead letter cannot be read", err)
		}
		return l, entry, nil
	}
	return DeadLetter{}, nil, noDeadLetter(id)
}

// Remove deletes one dead letter, by id or by name; ErrNotFound where there is none.
func (d *DeadLetters) Remove(id string) error {
	for _, name := range d.names(id) {
		err := os.Remove(filepath.Join(d.dir, name))
		d.room.forget()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = osDisk{}.syncDir(d.dir)
		}
		if err != nil {
			return audit.Unavailable("the dead letter cannot be removed", err)
		}
		return nil
	}
	return noDeadLetter(id)
}

func noDeadLetter(id string) error {
	return &audit.Error{Code: audit.CodeNotFound, Field: "id", Message: fmt.Sprintf("there is no dead letter %q", id)}
}

// names gives the files that id may mean.
func (d *DeadLetters) names(id string) []string {
	names := []string{deadName(id)}
	if strings.HasSuffix(id, deadExt) && filepath.Base(id) == id {
		names = append(names, id)
	}
	return names
}

// deadName is the name of the file for an id: what is harmless of it, for
// people, and its hash, so that no two ids share a file.
func deadName(id string) string {
	harmless := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, id)
	sum := sha256.Sum256([]byte(id))
	return harmless[:min(len(harmless), 64)] + "." + hex.EncodeToString(sum[:16]) + deadExt
}

// read reads a file. A corrupt one is no error.
func (d *DeadLetters) read(name string) (DeadLetter, []byte, error) {
	b, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		return DeadLetter{}, nil, err
	}
	h, entry, why := parseDead(b)
	if why == "" && deadName(h.ID) != name {
		why = "the file was renamed"
	}
	if why != "" {
		return DeadLetter{Name: name, Reason: why, Bytes: int64(len(b)), Corrupt: true}, b, nil
	}
	return DeadLetter{
		Name: name, ID: h.ID, Reason: h.Reason, Attempts: h.Attempts,
		At: time.UnixMicro(h.At).UTC(), Bytes: int64(len(entry)),
	}, entry, nil
}

// parseDead reads a file's content; why says what is wrong with it.
func parseDead(b []byte) (h deadHead, entry []byte, why string) {
	line, entry, ok := bytes.Cut(b, []byte("\n"))
	if !ok || json.Unmarshal(line, &h) != nil {
		return h, nil, "the head of the file is damaged"
	}
	switch {
	case h.Version != deadVersion:
		return h, nil, fmt.Sprintf("the file is of version %d, which this version of Annals does not know", h.Version)
	case !bytes.Equal(line, h.line()):
		return h, nil, "the head of the file is damaged"
	case len(entry) != h.Bytes:
		return h, nil, fmt.Sprintf("the entry has %d bytes and should have %d", len(entry), h.Bytes)
	case h.sum(entry) != h.CRC:
		return h, nil, "the checksum is wrong"
	}
	return h, entry, ""
}

func (h deadHead) line() []byte {
	b, err := json.Marshal(h)
	if err != nil {
		panic(err) // a struct of strings and numbers
	}
	return b
}

func (h deadHead) sum(entry []byte) uint32 {
	h.CRC = 0
	return crc32.Update(crc32.Checksum(h.line(), castagnoli), castagnoli, entry)
}
