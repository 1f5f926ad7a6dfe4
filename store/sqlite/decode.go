package sqlite

import (
	"unsafe"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// arenaChunk is how much memory an arena asks for at a time.
const arenaChunk = 256 << 10

// arena is memory that the values of rows lie in. Bytes given out are never
// moved or written to again until reset.
type arena struct {
	buf []byte // the part not yet given out follows its length
}

// reset makes the memory free for new rows.
func (a *arena) reset() { a.buf = a.buf[:0] }

// memory is where a walk puts the records of one piece after the other.
// Documents are overwritten by the next piece, as its caller was told. Texts
// are not: nobody expects a string to change.
type memory struct{ texts, docs arena }

func (m *memory) reset() {
	m.texts = arena{}
	m.docs.reset()
}

// read copies a text or blob column; nil when it is NULL or empty.
func (a *arena) read(st *z.Stmt, col int) []byte {
	for {
		from := len(a.buf)
		n := st.ColumnBytes(col, a.buf[from:cap(a.buf)])
		if n == cap(a.buf)-from {
			// All the room is used up, so it may be cut, or be empty for want of room.
			if size := st.ColumnLen(col); size > n {
				a.buf = make([]byte, 0, max(size, arenaChunk))
				continue
			}
		}
		a.buf = a.buf[:from+n]
		return a.buf[from : from+n : from+n]
	}
}

func (a *arena) text(st *z.Stmt, col int) string {
	b := a.read(st, col)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// decode reads a row of rowColumns into rec, whose values then lie in the memory.
func decode(st *z.Stmt, rec *audit.Record, mem *memory, names func(int64) (audit.Scope, error)) error {
	name, err := names(st.ColumnInt64(1))
	if err != nil {
		return err
	}
	*rec = audit.Record{}
	rec.Namespace, rec.Tenant = name.Namespace, name.Tenant
	for i, f := range allColumns {
		decodeField(st, firstColumn+i, f, rec, mem)
	}
	return nil
}

// decodeField reads one column into a field that has its zero value.
func decodeField(st *z.Stmt, col int, f *audit.Field, rec *audit.Record, mem *memory) {
	switch f.Kind {
	case audit.Text:
		if s := mem.texts.text(st, col); s != "" {
			f.SetText(rec, s)
		}
	case audit.Document:
		if b := mem.docs.read(st, col); len(b) > 0 {
			f.SetBytes(rec, b)
		}
	case audit.Identity, audit.Hash:
		// A value of another length is none of ours. It would not be found by
		// what it reads like, so it does not read at all.
		var b [33]byte
		want := 16
		if f.Kind == audit.Hash {
			want = 32
		}
		if st.ColumnBytes(col, b[:]) == want {
			f.SetBytes(rec, b[:want])
		}
	case audit.Flag:
		if st.ColumnInt64(col) == 1 {
			f.SetInt(rec, 1)
		}
	default:
		if n := st.ColumnInt64(col); n != 0 {
			f.SetInt(rec, n)
		}
	}
}

// decodeNew reads a row into a record of its own, which may be kept: its texts
// share one piece of memory and its documents another.
func decodeNew(st *z.Stmt, names func(int64) (audit.Scope, error)) (*audit.Record, error) {
	texts, docs := 0, 0
	for i, f := range allColumns {
		switch f.Kind {
		case audit.Text:
			texts += st.ColumnLen(firstColumn + i)
		case audit.Document:
			docs += st.ColumnLen(firstColumn + i)
		}
	}
	// One byte more, so that the last value does not look cut.
	mem := memory{texts: arena{make([]byte, 0, texts+1)}, docs: arena{make([]byte, 0, docs+1)}}
	rec := new(audit.Record)
	return rec, decode(st, rec, &mem, names)
}

// unsafeText gives the bytes as a string for a call that only reads it.
func unsafeText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
