package spool

import (
	"errors"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// tinyDisk is a real file system of half a megabyte where mounting is allowed.
// Elsewhere the faults say that the disk is full once so much has been created.
func tinyDisk(t *testing.T) (dir string, d disk) {
	t.Helper()
	const size = 512 << 10
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		return dir, osDisk{}
	}
	return dir, &quotaDisk{left: size}
}

// quotaDisk has room for so many bytes of files.
type quotaDisk struct {
	osDisk
	left int64
	used map[string]int64
}

func (q *quotaDisk) create(path string, size int64) (file, error) {
	if size > q.left {
		return nil, syscall.ENOSPC
	}
	if q.used == nil {
		q.used = map[string]int64{}
	}
	q.left -= size
	q.used[path] = size
	return q.osDisk.create(path, size)
}

func (q *quotaDisk) remove(path string) error {
	q.left += q.used[path]
	delete(q.used, path)
	return q.osDisk.remove(path)
}

func TestDiskThatIsFull(t *testing.T) {
	dir, d := tinyDisk(t)
	opt := Options{MaxBytes: 64 << 20, SegmentBytes: 64 << 10, Logger: quietLogger(), disk: d}
	s := open(t, dir, opt)
	next, first := 0, 0
	for range 3 { // fill, drain, fill …
		for {
			err := s.Append(ctx, entry(0, next))
			if err == nil {
				next++
				continue
			}
			if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFull) {
				t.Fatalf("full disk: %v", err)
			}
			break
		}
		if next-first < 100 {
			t.Fatalf("only %d entries fitted", next-first)
		}
		got, last := drain(t, s)
		if d := cmp.Diff(upTo(first, next), numbers(t, got)); d != "" {
			t.Fatal(d)
		}
		if err := s.Commit(last); err != nil {
			t.Fatal(err)
		}
		first = next
	}
	// A full disk holds nobody up who only wants to read what is there.
	for s.Append(ctx, entry(0, next)) == nil {
		next++
	}
	closeSpool(t, s)
	s = open(t, dir, opt)
	got, last := drain(t, s)
	if d := cmp.Diff(upTo(first, next), numbers(t, got)); d != "" {
		t.Fatal(d)
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	appendN(t, s, 0, next, next+1)
	closeSpool(t, s)
}
