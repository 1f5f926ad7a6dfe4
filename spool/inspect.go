package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Inspection is what Inspect found.
type Inspection struct {
	Depth     int64         // entries that are durable and not committed
	Bytes     int64         // their frames
	OldestAge time.Duration // of the oldest of them, to about a second
	Held      int64         // those of Depth that a running process delivers; the others wait for the next Open
	Running   bool          // a process has the spool open, and something in it

	Stores []string // the stores that the entries are for, where that is known

	Damaged   []Damage // what is not as it should be, and was not found by an Open before
	TornBytes int64    // remains of commits that a crash cut short

	SetAside      int   // copies of damaged bytes below the base directory
	SetAsideBytes int64 // their size
	Letters       int   // dead letters
	LetterBytes   int64 // the size of their files
}

// Inspect looks at the spool below dir and changes nothing: it takes no entry,
// makes no file, and holds no lock that a running process would wait for longer
// than a moment. It works on a spool that is open too, as a snapshot of a
// moment: an entry that is being appended or committed meanwhile may be counted
// or not. A directory that is not there holds nothing. It reads every waiting
// byte, up to MaxBytes. Code unavailable: the disk does not read, or the spool
// changes too fast; unsupported: a file is of another version.
func Inspect(dir string) (Inspection, error) {
	in := Inspection{}
	if dir == "" {
		return in, audit.Invalid("spool.dir", "is empty")
	}
	err := in.look(dir)
	var known *audit.Error
	if err != nil && !errors.As(err, &known) {
		err = audit.Unavailable("the spool cannot be inspected", err)
	}
	return in, err
}

func (in *Inspection) look(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var oldest int64
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), homePrefix) {
			continue
		}
		at, err := in.home(dir, filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		if at != 0 && (oldest == 0 || at < oldest) {
			oldest = at
		}
	}
	if oldest != 0 {
		in.OldestAge = max(0, time.Since(time.UnixMicro(oldest)))
	}
	if in.SetAside, in.SetAsideBytes, err = countFiles(filepath.Join(dir, damagedDir), ""); err == nil {
		in.Letters, in.LetterBytes, err = countFiles(filepath.Join(dir, deadDir), deadExt)
	}
	return err
}

// inspectTries is how often a directory is read that changes meanwhile.
const inspectTries = 5

// home looks at the directory of one process. oldest is the time of its oldest
// waiting entry; 0 where there is none.
func (in *Inspection) home(base, dir string) (oldest int64, err error) {
	running, err := isHeld(base, filepath.Join(dir, lockName))
	if err != nil {
		return 0, err
	}
	h := &home{dir: dir}
	rec, err := readHome(h)
	for i := 0; running && err == nil && rec.lasting(nil) && i < inspectTries; i++ {
		// What is being written looks like damage to whoever reads beside it,
		// but not for long.
		before := rec.damage
		time.Sleep(time.Millisecond << i)
		if rec, err = readHome(h); err == nil {
			rec.lasting(before)
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		if _, gone := os.Stat(dir); errors.Is(gone, os.ErrNotExist) {
			return 0, nil // read to its end and removed
		}
	}
	if err != nil {
		return 0, err
	}
	n, bytes := rec.waiting()
	in.Depth += int64(n)
	in.Bytes += bytes
	if running {
		in.Running = true
		in.Held += int64(n)
	}
	if h.store != "" && !slices.Contains(in.Stores, h.store) {
		in.Stores = append(in.Stores, h.store)
	}
	for _, d := range rec.damage {
		if d.Torn {
			in.TornBytes += d.Bytes
			continue
		}
		in.Damaged = append(in.Damaged, d)
	}
	for _, seg := range rec.segments {
		if len(seg.extents) > 0 && len(seg.marks) > 0 {
			return seg.marks[0].at, nil
		}
	}
	return 0, nil
}

// lasting leaves the damage that may be some in the directory of a running
// process, which was there before where that is given, and reports whether
// there is any: not what it has not finished, and no file that it has just made.
func (rec *recovered) lasting(before []Damage) bool {
	rec.damage = slices.DeleteFunc(rec.damage, func(d Damage) bool {
		fresh := d.Offset == 0 && d.Bytes == 0 && d.Entries == 0
		return d.Torn || fresh || before != nil && !slices.Contains(before, d)
	})
	return len(rec.damage) > 0
}

// readHome reads a directory without a change, again where a segment has
// vanished meanwhile because it was consumed.
func readHome(h *home) (rec *recovered, err error) {
	for range inspectTries {
		h.key, h.cursor = key{}, cursor{}
		if err = h.readStore(); err != nil {
			return nil, err
		}
		if rec, err = recoverHome(h, saveNothing); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return rec, err
}

// countFiles counts the files of a directory whose names have the ending, and
// their bytes. A directory that is not there has none.
func countFiles(dir, ending string) (n int, bytes int64, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ending) || strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // somebody has just removed it
		}
		if err != nil {
			return 0, 0, err
		}
		n++
		bytes += info.Size()
	}
	return n, bytes, nil
}
