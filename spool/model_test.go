package spool

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// model is what a spool should hold.
type model struct {
	t     *rapid.T
	tb    testing.TB
	opt   Options
	dir   string
	spool *Spool

	entries   [][]byte
	committed int
	read      int
	tokens    []struct {
		token Token
		upTo  int
	}
	n int // entries made so far
}

func (m *model) start() {
	s, err := Open(m.dir, m.opt)
	if err != nil {
		m.t.Fatalf("Open: %v", err)
	}
	m.spool, m.read, m.tokens = s, m.committed, nil
	if rec := s.Recovery(); int(rec.Entries) != len(m.entries)-m.committed || len(rec.Damaged) != 0 {
		m.t.Fatalf("recovery: %+v, want %d entries", rec, len(m.entries)-m.committed)
	}
}

func (m *model) make() []byte {
	m.n++
	size := rapid.SampledFrom([]int{1, 30, 300, 3000, 5000}).Draw(m.t, "size")
	return append(fmt.Appendf(nil, "%d ", m.n), bytes.Repeat([]byte{byte(m.n)}, size)...)
}

func (m *model) bytes() (n int64) {
	for _, e := range m.entries[m.committed:] {
		n += frameOverhead + int64(len(e))
	}
	return n
}

func (m *model) add(batch [][]byte, err error) {
	var size int64
	for _, e := range batch {
		size += frameOverhead + int64(len(e))
	}
	if fits := m.bytes()+size <= m.opt.MaxBytes; fits != (err == nil) || !fits && !errors.Is(err, ErrFull) {
		m.t.Fatalf("appending %d bytes to %d of %d: %v", size, m.bytes(), m.opt.MaxBytes, err)
	}
	if err == nil {
		m.entries = append(m.entries, batch...)
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, tb: t, dir: fastDir(t), opt: Options{
			MaxBytes: 60 << 10, MaxEntry: 6000, SegmentBytes: rapid.SampledFrom([]int64{4 << 10, 9 << 10}).Draw(rt, "segment"),
			Logger: quietLogger(),
		}}
		m.start()
		defer func() { _ = m.spool.Close(ctx) }()
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) {
				e := m.make()
				m.add([][]byte{e}, m.spool.Append(ctx, e))
			},
			"batch": func(rt *rapid.T) {
				var batch [][]byte
				for range rapid.IntRange(1, 6).Draw(rt, "n") {
					batch = append(batch, m.make())
				}
				_, err := m.spool.AppendBatch(ctx, batch)
				m.add(batch, err)
			},
			"read": func(rt *rapid.T) {
				max := rapid.IntRange(1, 10).Draw(rt, "max")
				bytes := rapid.Int64Range(1, 9000).Draw(rt, "bytes")
				b, err := m.spool.readNext(max, bytes)
				if err != nil {
					rt.Fatalf("Read: %v", err)
				}
				m.check(b, max, bytes)
			},
			"commit": func(rt *rapid.T) {
				if len(m.tokens) == 0 {
					return
				}
				k := m.tokens[rapid.IntRange(0, len(m.tokens)-1).Draw(rt, "token")]
				if err := m.spool.Commit(k.token); err != nil {
					rt.Fatalf("Commit: %v", err)
				}
				m.committed = max(m.committed, k.upTo)
				m.read = max(m.read, m.committed)
			},
			"rewind": func(*rapid.T) {
				m.spool.Rewind()
				m.read = m.committed
			},
			"close": func(rt *rapid.T) {
				if err := m.spool.Close(ctx); err != nil {
					rt.Fatalf("Close: %v", err)
				}
				m.start()
			},
			"crash": func(rt *rapid.T) {
				to := fastDir(t)
				copyDir(t, m.dir, to)
				if err := m.spool.Close(ctx); err != nil {
					rt.Fatalf("Close: %v", err)
				}
				m.dir = to
				m.start()
			},
			"": func(rt *rapid.T) {
				st := m.spool.Stats()
				if int(st.Depth) != len(m.entries)-m.committed || st.Bytes != m.bytes() {
					rt.Fatalf("stats %+v, want %d entries of %d bytes", st, len(m.entries)-m.committed, m.bytes())
				}
				// Space is given back by segments: at most one is partly consumed,
				// one is written to, and one is ready.
				if n := int64(len(segmentsIn(t, m.dir))); n > 2+len64(m)+2 {
					rt.Fatalf("%d segments for %d bytes", n, st.Bytes)
				}
			},
		})
	})
}

// len64 is how many segments what waits can take when each may be half empty,
// and each start of a process begins a new one.
func len64(m *model) int64 { return 2*m.bytes()/m.opt.SegmentBytes + int64(len(homesIn(m.tb, m.dir))) }

// check compares a batch with what comes next.
func (m *model) check(b Batch, maxEntries int, maxBytes int64) {
	if len(b.Entries) == 0 {
		if m.read < len(m.entries) {
			m.t.Fatalf("nothing was read with %d entries left", len(m.entries)-m.read)
		}
		return
	}
	var size int64
	for i, e := range b.Entries {
		if m.read >= len(m.entries) || !bytes.Equal(e, m.entries[m.read]) {
			m.t.Fatalf("entry %d differs", m.read)
		}
		if size += int64(len(e)); i > 0 && size > maxBytes {
			m.t.Fatalf("a batch has %d bytes, more than %d", size, maxBytes)
		}
		m.read++
	}
	if len(b.Entries) > maxEntries {
		m.t.Fatalf("a batch has %d entries, more than %d", len(b.Entries), maxEntries)
	}
	m.tokens = append(m.tokens, struct {
		token Token
		upTo  int
	}{b.Token, m.read})
}
