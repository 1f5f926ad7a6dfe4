package postgres

import (
	"encoding/binary"
	"io"
	"strings"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// copyStatement takes what copySource writes.
var copyStatement = func() string {
	var b strings.Builder
	b.WriteString("COPY @records(" + columnBlock + ", " + columnScope)
	for _, f := range columns {
		b.WriteString(", " + column(f))
	}
	b.WriteString(", " + columnSearch + ") FROM STDIN (FORMAT binary)")
	return b.String()
}()

// The frame of the binary form (PostgreSQL, "COPY", Binary Format).
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // no flags, no extension
	copyTrailer = "\xff\xff"
	copyChunk   = 60 << 10 // bytes encoded at a time: about what the driver sends in one piece
)

// copySource writes items in the binary form of COPY, a chunk at a time while
// the server already works on those before.
type copySource struct {
	items []*item
	block int32
	text  bool        // with the words for full text
	link  func(*item) // called for each before it is written; nil outside chains
	mu    sync.Mutex  // after an error the driver may still be reading
	done  bool        // nothing is to be read any more
	next  int         // the next item
	buf   []byte      // what is encoded
	off   int         // what of it was read
	lex   *lexemes    // scratch space of search
}

var copySources = sync.Pool{New: func() any {
	return &copySource{lex: newLexemes()}
}}

func newCopySource(items []*item, block int32, text bool, link func(*item)) *copySource {
	c := copySources.Get().(*copySource)
	c.items, c.block, c.text, c.link = items, block, text, link
	c.done, c.next, c.off = false, 0, 0
	c.buf = append(c.buf[:0], copyHeader...)
	return c
}

// close ends reading: the records belong to the caller again. whole says that
// the source was read to its end, so that nobody reads it any more and it may
// be used again.
func (c *copySource) close(whole bool) {
	c.mu.Lock()
	c.done = true
	c.items, c.link = nil, nil
	reuse := whole && cap(c.buf) <= 8*copyChunk
	c.mu.Unlock()
	if reuse {
		copySources.Put(c)
	}
}

// Read implements io.Reader.
func (c *copySource) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return 0, io.ErrUnexpectedEOF
	}
	if c.off == len(c.buf) {
		c.buf, c.off = c.buf[:0], 0
	}
	for len(c.buf) < copyChunk && c.next < len(c.items) {
		it := c.items[c.next]
		if c.link != nil {
			c.link(it)
		}
		c.row(it)
		if c.next++; c.next == len(c.items) {
			c.buf = append(c.buf, copyTrailer...)
		}
	}
	n := copy(p, c.buf[c.off:])
	if c.off += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// row appends one record. Every value is preceded by its length; NULL has the
// length -1.
func (c *copySource) row(it *item) {
	b, r := c.buf, it.rec
	b = binary.BigEndian.AppendUint16(b, uint16(3+len(columns)))
	b = appendInt32(b, c.block)
	b = appendInt32(b, it.scope)
	for _, f := range columns {
		switch f.Kind {
		case audit.Text:
			if s := f.Text(r); s != "" {
				b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
				b = append(b, s...)
				continue
			}
		case audit.Document, audit.Identity, audit.Hash:
			if v := f.Bytes(r); len(v) > 0 {
				b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
				b = append(b, v...)
				continue
			}
		case audit.Flag:
			if f.Int(r) != 0 {
				b = append(b, 0, 0, 0, 1, 1)
				continue
			}
		case audit.Instant:
			// The columns of these two are NOT NULL: the zero time is that of 1970,
			// as everywhere (audit.Micros).
			if n := f.Int(r); n != 0 || f == occurredAt || f == recordedAt {
				b = appendInt64(b, n-epoch)
				continue
			}
		default:
			if n := f.Int(r); n != 0 {
				b = appendInt64(b, n)
				continue
			}
		}
		b = append(b, 0xff, 0xff, 0xff, 0xff)
	}
	c.buf = c.search(b, r)
}

var (
	occurredAt, _ = audit.FieldByName("occurred_at")
	recordedAt, _ = audit.FieldByName("recorded_at")
)

func appendInt32(b []byte, n int32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(n))
}

func appendInt64(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(n))
}

// search appends what full text and filters on metadata look for, see [lexemes].
func (c *copySource) search(b []byte, r *audit.Record) []byte {
	start := len(b)
	b = append(b, 0xff, 0xff, 0xff, 0xff)
	b = c.lex.appendVector(b, r, c.text)
	if size := len(b) - start - 4; size > 0 {
		binary.BigEndian.PutUint32(b[start:], uint32(size))
	}
	return b
}
