package spool

import (
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// faultDisk is a disk that fails when a test wants it to, and that remembers
// what was not synced: a sync that fails loses it, as Linux does, and so does a
// loss of power.
type faultDisk struct {
	osDisk
	mu sync.Mutex
	// Each is asked before the real thing; an error takes its place.
	onCreate, onSync, onSyncDir func(path string) error
	// onWrite says how many bytes reach the file before the error.
	onWrite func(path string, b []byte) (int, error)

	unsynced []write
	names    []string // made or renamed since the last sync of their directory
}

// write is one that a sync has not covered yet.
type write struct {
	path string
	off  int64
	old  []byte
}

type faultFile struct {
	file
	d    *faultDisk
	path string
}

func ask(f func(string) error, path string) error {
	if f == nil {
		return nil
	}
	return f(path)
}

func (d *faultDisk) create(path string, size int64) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ask(d.onCreate, path); err != nil {
		return nil, err
	}
	f, err := d.osDisk.create(path, size)
	if err != nil {
		return nil, err
	}
	d.names = append(d.names, path)
	return &faultFile{f, d, path}, nil
}

func (d *faultDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = append(d.names, to)
	for i := range d.unsynced {
		if d.unsynced[i].path == from {
			d.unsynced[i].path = to
		}
	}
	return d.osDisk.rename(from, to)
}

func (d *faultDisk) syncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ask(d.onSyncDir, path); err != nil {
		return err
	}
	var left []string
	for _, name := range d.names {
		if filepath.Dir(name) != path {
			left = append(left, name)
		}
	}
	d.names = left
	return nil
}

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, fault := len(b), error(nil)
	if f.d.onWrite != nil {
		n, fault = f.d.onWrite(f.name(), b)
	}
	old := make([]byte, n)
	if _, err := f.file.ReadAt(old, off); err != nil && err != io.EOF {
		return 0, err
	}
	f.d.unsynced = append(f.d.unsynced, write{f.name(), off, old})
	if n, err := f.file.WriteAt(b[:n], off); err != nil {
		return n, err
	}
	return n, fault
}

func (f *faultFile) datasync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := ask(f.d.onSync, f.name())
	var left []write
	for i := len(f.d.unsynced) - 1; i >= 0; i-- {
		w := f.d.unsynced[i]
		if w.path != f.name() {
			left = append([]write{w}, left...)
			continue
		}
		if err != nil {
			if _, err := f.file.WriteAt(w.old, w.off); err != nil {
				return err
			}
		}
	}
	f.d.unsynced = left
	return err
}

// name is where the file is now: a spare is renamed when it becomes a segment.
func (f *faultFile) name() string {
	if real, ok := f.file.(osFile); ok && filepath.Base(f.path) == spareName {
		if now, err := os.Readlink("/proc/self/fd/" + itoa(real.Fd())); err == nil {
			return now
		}
	}
	return f.path
}

func itoa(n uintptr) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// set changes the faults while the spool runs.
func (d *faultDisk) set(change func(*faultDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// losePower copies the directory as a loss of power may leave it: each sector of
// what was not synced is there or not, and so is each name. Under mu.
func (d *faultDisk) losePower(t testing.TB, from, to string, r *rand.Rand) {
	t.Helper()
	copyDir(t, from, to)
	moved := func(path string) string { return to + strings.TrimPrefix(path, from) }
	for i := len(d.unsynced) - 1; i >= 0; i-- {
		w := d.unsynced[i]
		f, err := os.OpenFile(moved(w.path), os.O_WRONLY, 0)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(w.old); {
			end := min(len(w.old), at+512-int((w.off+int64(at))%512))
			if r.Intn(2) == 0 {
				if _, err := f.WriteAt(w.old[at:end], w.off+int64(at)); err != nil {
					t.Fatal(err)
				}
			}
			at = end
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range d.names {
		if r.Intn(2) == 0 {
			if err := os.RemoveAll(moved(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
