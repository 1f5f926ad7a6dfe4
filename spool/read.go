package spool

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// Batch is what one Read gives.
type Batch struct {
	// Entries are the caller's: the spool does not touch them again, unless they are released.
	Entries [][]byte
	// First is the number that AppendBatch gave to the first of them; the others
	// follow. 0: an earlier process appended them.
	First uint64
	// Token commits these entries and everything before them.
	Token Token

	from *readBuffer
}

// Release gives the memory of the entries to a later Read of any spool, which
// saves making and collecting it. Neither Entries nor what they hold may be
// used any more. To call it is optional, and once is enough; the token stays good.
func (b Batch) Release() {
	if b.from != nil && cap(b.from.bytes) <= maxReadAhead+maxReadAhead/4 {
		clear(b.from.entries)
		readBuffers.Put(b.from)
	}
}

// readBuffer is the memory of one Read.
type readBuffer struct {
	bytes   []byte
	entries [][]byte
}

var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

// Token is a place in the spool that gave it; it means nothing to any other.
// The zero value commits nothing.
type Token struct {
	spool *Spool
	at    place
}

// reader is the state of the consumer.
type reader struct {
	mu   sync.Mutex
	head *segment // the oldest segment that may not be removed yet
	at   place    // what Read gives next comes after it
	seg  *segment // whose file is open
	file file
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	r.seg, r.file = nil, nil
}

// holds reports whether anything of the home is left.
func (r *reader) holds(h *home) bool {
	for seg := r.head; seg != nil; seg = seg.next {
		if seg.home == h && !seg.removed {
			return true
		}
	}
	return false
}

// Read gives the next entries, oldest first, at least one: up to maxEntries, and
// up to maxBytes unless the first alone is larger. It waits until there is
// something or ctx ends, whose cause it then returns. Each call goes on where
// the last one ended, whatever was committed; Rewind goes back. A batch may be
// smaller than what waits. An entry is given only when its checksum and its
// sequence number are right; what is damaged is set aside, counted and passed
// over. Code unavailable: the disk does not read, try again. After Close:
// audit.ErrClosed.
func (s *Spool) Read(ctx context.Context, maxEntries int, maxBytes int64) (Batch, error) {
	if maxEntries < 1 {
		return Batch{}, audit.Invalid("max_entries", "is %d, at least 1", maxEntries)
	}
	if maxBytes < 1 {
		return Batch{}, audit.Invalid("max_bytes", "is %d, at least 1", maxBytes)
	}
	for {
		if ctx.Err() != nil {
			return Batch{}, context.Cause(ctx)
		}
		b, err := s.readNext(maxEntries, maxBytes)
		if err != nil || len(b.Entries) > 0 {
			return b, err
		}
		select {
		case <-s.readable:
		case <-s.quit:
			return Batch{}, audit.ErrClosed
		case <-ctx.Done():
			return Batch{}, context.Cause(ctx)
		}
	}
}

// readNext gives an empty batch where nothing waits.
func (s *Spool) readNext(maxEntries int, maxBytes int64) (Batch, error) {
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	for {
		s.mu.Lock()
		closed := s.closed
		r, ok := s.reader.at.after()
		s.mu.Unlock()
		if closed {
			return Batch{}, audit.ErrClosed
		}
		if !ok {
			return Batch{}, nil
		}
		buf, end, err := s.readRegion(r, maxEntries, maxBytes)
		if err != nil {
			return Batch{}, audit.Unavailable("the spool cannot be read", err)
		}
		if n := uint64(len(buf.entries)); n > 0 {
			s.reader.at = place{r.seg, end, r.first + n - 1}
			b := Batch{Entries: buf.entries, Token: Token{s, s.reader.at}, from: buf}
			if r.seg.home == s.own {
				b.First = r.first
			}
			return b, nil
		}
		if err := s.repair(r); err != nil {
			return Batch{}, audit.Unavailable("the spool cannot be read", err)
		}
	}
}

// readRegion gives the entries at the beginning of r, and where they end. None
// without an error means that the first frame is damaged.
func (s *Spool) readRegion(r region, maxEntries int, maxBytes int64) (*readBuffer, int64, error) {
	buf := readBuffers.Get().(*readBuffer)
	buf.entries = buf.entries[:0]
	f, err := s.fileOf(r.seg)
	if errors.Is(err, os.ErrNotExist) {
		return buf, r.off, nil
	}
	if err != nil {
		return nil, 0, err
	}
	key := &r.seg.home.key
	b, err := buf.read(f, r.off, min(r.end, r.off+readAhead(r, maxEntries, maxBytes)))
	if err != nil {
		return nil, 0, err
	}
	if size, ok := frameLength(b, key); ok && size > int64(len(b)) && r.off+size <= r.end {
		if b, err = buf.read(f, r.off, r.off+size); err != nil {
			return nil, 0, err
		}
	}
	var at, taken int64
	for n := 0; n < maxEntries && uint64(n) < r.n; n++ {
		f, ok := parseFrame(b[at:], key)
		if !ok || f.seq != r.first+uint64(n) || f.flags&flagSeal != 0 {
			break
		}
		taken += int64(len(f.entry))
		if taken > maxBytes && n > 0 {
			break
		}
		buf.entries = append(buf.entries, f.entry)
		at += f.size
	}
	return buf, r.off + at, nil
}

// read reads from..to, or less where the file ends before.
func (b *readBuffer) read(f file, from, to int64) ([]byte, error) {
	b.bytes = slices.Grow(b.bytes[:0], int(to-from))[:to-from]
	return readInto(f, from, b.bytes)
}

// maxReadAhead is the most that is read for one batch, but for a single entry that is larger.
const maxReadAhead = 4 << 20

// readAhead is how many bytes are read for one batch: what it takes when the
// entries are about as large as those that wait are on average.
func readAhead(r region, maxEntries int, maxBytes int64) int64 {
	const most, least = maxReadAhead, 4 << 10
	n := min(uint64(maxEntries), r.n)
	average := (r.end - r.off) / int64(r.n)
	want := int64(n)*(average+average/4) + least
	return min(most, want, min(maxBytes, most)+frameOverhead*int64(min(n, most/frameOverhead)))
}

// fileOf opens the file of a segment for reading; one is open at a time.
func (s *Spool) fileOf(seg *segment) (file, error) {
	r := &s.reader
	if r.seg != seg {
		r.close()
		f, err := s.opt.disk.open(seg.path)
		if err != nil {
			return nil, err
		}
		r.seg, r.file = seg, f
	}
	return r.file, nil
}

// readRange reads from..to, or less where the file ends before.
func readRange(f file, from, to int64) ([]byte, error) {
	return readInto(f, from, make([]byte, to-from))
}

func readInto(f file, from int64, b []byte) ([]byte, error) {
	n, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// repair looks at a region whose first frame is damaged, sets aside what cannot
// be read, and leaves what can.
func (s *Spool) repair(r region) error {
	var b []byte
	f, err := s.fileOf(r.seg)
	if err == nil {
		b, err = readRange(f, r.off, r.end)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	last := r.first + r.n - 1
	found := scan(b, 0, &r.seg.home.key, r.first-1, true, last, 0)
	var left uint64
	var leftBytes int64
	for i := range found.extents {
		e := &found.extents[i]
		e.off += r.off
		e.end += r.off
		left += e.n
		leftBytes += e.end - e.off
	}
	if len(found.bad) == 0 || found.bad[0].from > 0 {
		// The bytes are not there, or have become readable since.
		if left == r.n {
			return nil
		}
		found.bad = append(found.bad, stretch{from: int64(len(b)), to: int64(len(b)), why: "missing", lost: r.n - left})
	}
	for _, bad := range found.bad {
		d := Damage{File: r.seg.path, Offset: r.off + bad.from, Bytes: bad.to - bad.from, Entries: int64(bad.lost), Reason: "damaged while the spool was open"}
		d.SavedAs = setAside(s.base, d.File, d.Offset, b[bad.from:bad.to], s.opt.Logger)
		if d.SavedAs == "" && d.Bytes > 0 {
			r.seg.keep, r.seg.home.keep = true, true
		}
		s.faults.log(slog.LevelError, "the spool is damaged; what is readable is delivered", "file", d.File, "offset", d.Offset,
			"bytes", d.Bytes, "entries", r.n-left, "saved_as", d.SavedAs)
	}
	s.mu.Lock()
	r.seg.replace(r, found.extents)
	s.depth -= r.n - left
	s.bytes -= r.end - r.off - leftBytes
	s.counts.damaged += int64(len(found.bad))
	s.counts.lost += int64(r.n - left)
	s.mu.Unlock()
	return nil
}
