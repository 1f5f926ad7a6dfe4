package spool

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The names below the base directory.
const (
	homePrefix = "q-"    // the directory of one process
	gonePrefix = "gone-" // one that is being removed
	baseLock   = "lock"  // held for moments, while directories are made and adopted
	damagedDir = "damaged"
	deadDir    = "dead"
)

// The names in the directory of a process.
const (
	lockName     = "lock" // held for the life of the process
	identityName = "identity"
	cursorName   = "cursor"
	storeName    = "store" // which store the entries are for; see Options.Store
	spareName    = "spare"
	segmentExt   = ".seg"
)

// home is the directory of one process, ours or one that was adopted.
type home struct {
	dir    string
	store  string // which store the entries are for; "" is not known
	lock   *os.File
	key    key
	cursor cursor
	keep   bool // something in it must stay: it is not removed
}

// newHome names the directory of this process. It is made with the first
// entry: a spool that is only read needs no room on a full disk.
func newHome(base, store string, now time.Time) *home {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	h := &home{store: store, dir: filepath.Join(base, fmt.Sprintf("%s%016x-%s", homePrefix, now.UnixMicro(), hex.EncodeToString(random[:])))}
	_, _ = rand.Read(h.key[:])
	if h.key[0] == 0 {
		h.key[0] = 1 // the mark must differ from space that was never written
	}
	return h
}

// create makes the directory, unless it is there. The base lock keeps others
// from adopting it before it is locked.
func (h *home) create(base string, d disk) (err error) {
	if h.lock != nil {
		return nil
	}
	guard, err := lock(filepath.Join(base, baseLock), true)
	if err != nil {
		return err
	}
	defer guard.Close()
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			h.close()
			h.lock, h.cursor.file = nil, nil
			_ = os.RemoveAll(h.dir)
		}
	}()
	l, err := lock(filepath.Join(h.dir, lockName), false)
	if err != nil {
		return err
	}
	if l == nil {
		return fmt.Errorf("%s: just created, and locked by somebody else", h.dir)
	}
	h.lock = l
	id := header{key: h.key}
	for _, f := range [...]struct {
		name    string
		content []byte
	}{{identityName, id.encode()}, {cursorName, newCursorFile()}, {storeName, storeFile(h.store)}} {
		if len(f.content) == 0 {
			continue
		}
		if err := writeNew(d, filepath.Join(h.dir, f.name), f.content); err != nil {
			return err
		}
	}
	if err := errors.Join(d.syncDir(h.dir), d.syncDir(base)); err != nil {
		return err
	}
	return h.openCursor()
}

func writeNew(d disk, path string, content []byte) error {
	f, err := d.create(path, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.datasync()
	}
	return errors.Join(err, f.Close())
}

// openCursor opens the cursor file for writing; a missing one is made.
func (h *home) openCursor() error {
	f, err := os.OpenFile(filepath.Join(h.dir, cursorName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	h.cursor.file = osFile{f}
	return nil
}

// adoptHomes takes over the directories of dead processes, oldest first; the
// caller holds the base lock. What cannot be looked at is an error, and so is
// that of a living process that feeds another store.
func adoptHomes(base, store string) (homes []*home, err error) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		dir := filepath.Join(base, e.Name())
		switch {
		case !e.IsDir():
		case strings.HasPrefix(e.Name(), gonePrefix):
			_ = os.RemoveAll(dir) // its removal was cut short
		case strings.HasPrefix(e.Name(), homePrefix):
			h, err := adopt(dir, store)
			if err != nil {
				for _, h := range homes {
					h.close()
				}
				return nil, err
			}
			if h != nil {
				homes = append(homes, h)
			}
		}
	}
	return homes, nil
}

// adopt takes the lock of one directory; nil when its process lives, or has
// just removed it.
func adopt(dir, store string) (*home, error) {
	path := filepath.Join(dir, lockName)
	f, err := lock(path, false)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := &home{dir: dir, lock: f}
	if err := h.readStore(); err != nil {
		h.close()
		return nil, err
	}
	if f == nil {
		return nil, h.mustFeed(store, "the entries of a running process")
	}
	// The owner may have removed the directory between our open and our lock.
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		_ = f.Close()
		return nil, nil
	}
	return h, nil
}

// segmentPath is the name of a segment; names sort in order.
func (h *home) segmentPath(index uint64) string {
	return filepath.Join(h.dir, fmt.Sprintf("%012d%s", index, segmentExt))
}

// segmentFiles lists the segments in order.
func (h *home) segmentFiles() ([]string, error) {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return nil, err
	}
	type numbered struct {
		n    uint64
		path string
	}
	var found []numbered
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), segmentExt)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(stem, 10, 64)
		if err != nil {
			continue // not of our making; it keeps the directory
		}
		found = append(found, numbered{n, filepath.Join(h.dir, e.Name())})
	}
	slices.SortFunc(found, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	paths := make([]string, len(found))
	for i := range found {
		paths[i] = found[i].path
	}
	return paths, nil
}

// remove deletes the directory. It gets another name first, so that a removal
// that is cut short cannot be taken for a directory with missing files. Files
// that are not ours keep it.
func (h *home) remove() error {
	gone := filepath.Join(filepath.Dir(h.dir), gonePrefix+filepath.Base(h.dir))
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == lockName, name == identityName, name == cursorName, name == storeName, name == spareName, strings.HasSuffix(name, segmentExt):
		default:
			return fmt.Errorf("%s holds %s, which is not of the spool: the directory stays", h.dir, name)
		}
	}
	if err := os.Rename(h.dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// close gives up the lock.
func (h *home) close() {
	if h.cursor.file != nil {
		_ = h.cursor.file.Close()
	}
	if h.lock != nil {
		_ = h.lock.Close()
	}
}
