package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// image is a spool of one process as it lies on disk, in memory.
type image struct {
	home    string
	files   map[string][]byte
	entries int
	// where says in which bytes of which file each entry lies.
	where []span
	key   key
}

type span struct {
	file     string
	from, to int64
}

const imageEntries = 30

// takeImage makes a spool of three segments and takes it as it is after a
// crash, or after Close. consumed entries have been committed before.
func takeImage(t testing.TB, crashed bool, consumed int) *image {
	t.Helper()
	dir := fastDir(t)
	s := open(t, dir, small())
	appendN(t, s, 0, 0, imageEntries)
	if consumed > 0 {
		if err := s.Commit(readN(t, s, consumed).Token); err != nil {
			t.Fatal(err)
		}
	}
	if !crashed {
		closeSpool(t, s)
	}
	home := homesIn(t, dir)[0]
	img := &image{home: filepath.Base(home), files: map[string][]byte{}, entries: imageEntries, key: s.own.key}
	entries, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(home, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != spareName {
			img.files[e.Name()] = b
		}
	}
	for _, name := range img.segments() {
		found := scan(img.files[name], headerSize, &img.key, uint64(len(img.where)), true, noEnd, 0)
		if len(found.extents) != 1 {
			t.Fatalf("%s has %d extents", name, len(found.extents))
		}
		for off := found.extents[0].off; off < found.extents[0].end; {
			f, _ := parseFrame(img.files[name][off:], &img.key)
			img.where = append(img.where, span{name, off, off + f.size})
			off += f.size
		}
	}
	if len(img.segments()) != 3 || len(img.where) != imageEntries {
		t.Fatalf("the image has %d segments and %d entries", len(img.segments()), len(img.where))
	}
	return img
}

func (m *image) segments() []string {
	var names []string
	for name := range m.files {
		if strings.HasSuffix(name, segmentExt) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// delivered writes the image to an empty directory, opens it and gives what comes out.
func (m *image) delivered(t testing.TB, dir string, files map[string][]byte) ([]int, Recovery) {
	t.Helper()
	home := filepath.Join(dir, m.home)
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(home, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, small())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	got, last := drain(t, s)
	if st := s.Stats(); st.Depth != int64(len(got)) || s.Recovery().Entries != st.Depth {
		t.Fatalf("depth is %d, recovery says %d, and %d entries came", st.Depth, s.Recovery().Entries, len(got))
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	if left := homesIn(t, dir); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	for _, d := range s.Recovery().Damaged {
		if d.Bytes > 0 {
			saved, err := os.ReadFile(d.SavedAs)
			if err != nil {
				t.Fatal(err)
			}
			if want := files[filepath.Base(d.File)][d.Offset : d.Offset+d.Bytes]; !bytes.Equal(saved, want) {
				t.Fatalf("what was set aside differs from what was damaged: %+v", d)
			}
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, damagedDir)); err != nil {
		t.Fatal(err)
	}
	return numbers(t, got), s.Recovery()
}

// withVersion gives a copy of a file with another version in its header.
func withVersion(b []byte, version uint32) []byte {
	b = slices.Clone(b)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}
