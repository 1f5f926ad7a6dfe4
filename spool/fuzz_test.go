package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRecover opens a directory whose segment is anything at all. What comes
// out was put in: frames carry the key of the directory, which the fuzzer has
// only from the seeds.
func FuzzRecover(f *testing.F) {
	k := key{9, 8, 7, 6, 5, 4, 3, 2}
	h := header{key: k, index: 1, first: 1, size: 512}
	seg := h.encode()
	for i, e := range []string{"one", "two", "three"} {
		seg = appendFrame(seg, &k, flagFirst, uint64(i+1), int64(i), []byte(e))
	}
	open := append(bytes.Clone(seg), make([]byte, 512-len(seg))...)
	f.Add(open, newCursorFile())
	f.Add(appendFrame(bytes.Clone(seg), &k, flagSeal, 3, 0, nil), newCursorFile())
	f.Add(appendFrame(bytes.Clone(seg), &k, flagSeal|flagContinued, 9, 0, nil), append(encodeCursor(1, 2), make([]byte, cursorSize)...))
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, 100), make([]byte, cursorSize))
	dir := fastDir(f)
	f.Fuzz(func(t *testing.T, segment, cursor []byte) {
		base, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(base)
		home := filepath.Join(base, homePrefix+"fuzz")
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		id := header{key: k}
		for name, content := range map[string][]byte{identityName: id.encode(), cursorName: cursor, "000000000001.seg": segment} {
			if err := os.WriteFile(filepath.Join(home, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(base, small())
		if err != nil {
			return // another version
		}
		got, last := drain(t, s)
		if int64(len(got)) != s.Recovery().Entries {
			t.Errorf("%d entries, recovery says %d", len(got), s.Recovery().Entries)
		}
		for _, e := range got {
			if !bytes.Contains(segment, e) {
				t.Errorf("an entry that was not there: %q", e)
			}
		}
		if err := s.Commit(last); err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Depth != 0 || st.Bytes != 0 {
			t.Errorf("stats: %+v", st)
		}
		closeSpool(t, s)
	})
}

func FuzzDeadLetter(f *testing.F) {
	h := deadHead{Version: deadVersion, ID: "id", Reason: "why", Attempts: 10, At: 1, Bytes: 5}
	h.CRC = h.sum([]byte("entry"))
	f.Add(append(append(h.line(), '\n'), "entry"...))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, entry, why := parseDead(b)
		if why == "" && !bytes.Equal(b, append(append(h.line(), '\n'), entry...)) {
			t.Errorf("%q is read as %+v and %q", b, h, entry)
		}
	})
}
