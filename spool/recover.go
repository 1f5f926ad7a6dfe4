package spool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
)

// recovered is what one directory of a dead process holds.
type recovered struct {
	segments []*segment // in order; those without waiting entries too
	damage   []Damage
	save     saver
}

// saver sets damaged bytes aside, and gives the name of the copy; "" where there is none.
type saver func(path string, offset int64, content []byte) string

// saveBelow sets damaged bytes aside below a base directory.
func saveBelow(base string, l *slog.Logger) saver {
	return func(path string, offset int64, content []byte) string {
		return setAside(base, path, offset, content, l)
	}
}

// saveNothing is for those who only look.
func saveNothing(string, int64, []byte) string { return "" }

// waiting counts the entries that are not consumed, and their frames.
func (rec *recovered) waiting() (entries uint64, bytes int64) {
	for _, seg := range rec.segments {
		for _, e := range seg.extents {
			entries += e.n
			bytes += e.end - e.off
		}
	}
	return entries, bytes
}

// loaded is one segment file while its directory is read.
type loaded struct {
	path   string
	header header
	whole  bool   // the header is undamaged
	until  uint64 // the last sequence number that belongs here
	scanned
}

// recoverHome reads the directory of a dead process: its identity, its cursor
// and every frame. Nothing is changed, but for the copies of what is damaged.
// It fails when a file is of another version, or the disk cannot be read.
func recoverHome(h *home, save saver) (*recovered, error) {
	rec := &recovered{save: save}
	paths, err := h.segmentFiles()
	if err != nil {
		return nil, err
	}
	files := make([]loaded, len(paths))
	haveKey, err := rec.readIdentity(h)
	if err != nil {
		return nil, err
	}
	for i, path := range paths {
		f := &files[i]
		f.path = path
		if f.header, f.whole, err = readHeader(path); err != nil {
			return nil, err
		}
		if f.whole && !haveKey {
			h.key, haveKey = f.header.key, true
		}
	}
	if files, err = withoutUnused(files); err != nil {
		return nil, err
	}
	cursorWhole := rec.readCursor(h, len(paths) > 0)
	if !haveKey {
		// Identity and all headers are gone: nothing can be told from anything.
		for _, f := range files {
			if err := rec.giveUp(h, f.path); err != nil {
				return nil, err
			}
		}
		return rec, nil
	}
	if len(files) > 0 && files[0].whole && cursorWhole && files[0].header.after > h.cursor.seq {
		n := files[0].header.after - h.cursor.seq
		rec.damage = append(rec.damage, Damage{File: files[0].path, Entries: int64(n), Reason: "segments before this one are missing"})
	}
	var last uint64
	for i := range files {
		f := &files[i]
		b, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		f.consumed, f.until = h.cursor.seq, untilOf(files, i)
		f.scan(b, &h.key, last, i > 0, i == len(files)-1)
		last = max(last, f.last)
	}
	prove(files)
	for i := range files {
		if err := rec.take(h, &files[i]); err != nil {
			return nil, err
		}
	}
	return rec, nil
}

// withoutUnused leaves out a segment at the end that was named and never written.
func withoutUnused(files []loaded) ([]loaded, error) {
	for n := len(files); n > 0 && !files[n-1].whole; n = len(files) {
		b, err := os.ReadFile(files[n-1].path)
		if err != nil {
			return nil, err
		}
		if len(b) < headerSize || !zeros(b) {
			break
		}
		files = files[:n-1]
	}
	return files, nil
}

// untilOf gives the last sequence number that belongs to segment i. Past it are
// frames that were refused, and may have been written again after it.
func untilOf(files []loaded, i int) uint64 {
	if i+1 < len(files) && files[i+1].whole {
		return files[i+1].header.after
	}
	return noEnd
}

// scan finds the frames of a segment whose content is b. last is the last number of the
// segments before it, and follows says that there are any.
func (f *loaded) scan(b []byte, k *key, last uint64, follows, final bool) {
	if f.whole {
		f.scanned = scan(b, headerSize, k, f.header.first-1, true, f.until, f.consumed)
	} else {
		top := min(headerSize, int64(len(b)))
		f.scanned = scan(b, top, k, last, follows, f.until, f.consumed)
		s := stretch{from: 0, to: top, why: "the header is damaged", proven: f.later || top < headerSize}
		f.bad = append([]stretch{s}, f.bad...)
	}
	end := int64(len(b))
	// What was consumed may be gone; only what comes after it can be missed.
	from := max(f.last, f.consumed)
	switch {
	case f.until != noEnd && from < f.until:
		f.bad = append(f.bad, stretch{from: end, to: end, lost: f.until - from, why: "the end is missing", proven: true})
	case final && f.continued && from == f.last:
		f.bad = append(f.bad, stretch{from: end, to: end, why: "the segments after this one are missing", proven: true})
	case final && !f.sealed && f.whole && end < f.header.size:
		// No crash makes a file shorter, so what is bad in it is no unfinished write either.
		f.prove()
		f.bad = append(f.bad, stretch{from: end, to: end, why: fmt.Sprintf("the file was cut: it had %d bytes", f.header.size), proven: true})
	}
}

// prove marks what cannot be the unfinished write of a crash because a later
// segment was begun: that happens only when the fate of everything before it is known.
func prove(files []loaded) {
	proof := false
	for i := len(files) - 1; i >= 0; i-- {
		f := &files[i]
		if proof {
			f.prove()
		}
		proof = proof || f.whole || f.proof
	}
}

// take makes a segment of a file that was read, sets aside what is damaged, and
// leaves out what is consumed.
func (rec *recovered) take(h *home, f *loaded) error {
	seg := &segment{home: h, path: f.path, marks: f.marks, last: f.last, extents: f.extents}
	if f.until != noEnd {
		seg.last = f.until
	}
	var b []byte
	for _, s := range f.bad {
		d := Damage{File: f.path, Offset: s.from, Bytes: s.to - s.from, Entries: int64(s.lost), Torn: !s.proven, Reason: s.why}
		if d.Torn {
			d.Reason = "torn: the last write was cut short"
		}
		if d.Bytes > 0 {
			if b == nil {
				var err error
				if b, err = os.ReadFile(f.path); err != nil {
					return err
				}
			}
			d.SavedAs = rec.save(f.path, s.from, b[s.from:s.to])
			seg.keep = seg.keep || d.SavedAs == ""
		}
		rec.damage = append(rec.damage, d)
	}
	h.keep = h.keep || seg.keep
	rec.segments = append(rec.segments, seg)
	return nil
}

// giveUp sets a whole file aside.
func (rec *recovered) giveUp(h *home, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := Damage{File: path, Bytes: int64(len(b)), Reason: "neither the identity of the directory nor any header is readable"}
	d.SavedAs = rec.save(path, 0, b)
	h.keep = h.keep || d.SavedAs == "" && len(b) > 0
	rec.damage = append(rec.damage, d)
	return nil
}

// readIdentity reads the key of the directory, or says that it could not.
func (rec *recovered) readIdentity(h *home) (bool, error) {
	path := filepath.Join(h.dir, identityName)
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return false, nil // its process died while it made the directory, or a header has the key
	}
	if err != nil {
		return false, err
	}
	id, whole, err := parseHeader(b, path)
	if err != nil {
		return false, err
	}
	if !whole {
		rec.damage = append(rec.damage, Damage{
			File: path, Bytes: int64(len(b)), Reason: "the identity is damaged", SavedAs: rec.save(path, 0, b),
		})
		return false, nil
	}
	h.key = id.key
	return true, nil
}

func readHeader(path string) (header, bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, false, err
	}
	defer f.Close()
	b := make([]byte, headerSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, false, err
	}
	return parseHeader(b[:n], path)
}

// readCursor finds where the consumer was. false means that this may be older
// than it really was; entries then come again.
func (rec *recovered) readCursor(h *home, needed bool) bool {
	path := filepath.Join(h.dir, cursorName)
	b, err := os.ReadFile(path)
	generation, seq, whole := parseCursor(b)
	h.cursor.generation, h.cursor.seq = generation, seq
	if needed && (err != nil || !whole) {
		d := Damage{File: path, Bytes: int64(len(b)), Reason: "the cursor is damaged: entries that were consumed may come again"}
		d.SavedAs = rec.save(path, 0, b)
		rec.damage = append(rec.damage, d)
	}
	return err == nil && whole
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
