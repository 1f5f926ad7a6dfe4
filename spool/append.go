package spool

import (
	"context"
	"fmt"
	"runtime"

	"github.com/annals-dev/annals/audit"
)

// maxGroup bounds the memory of what waits for one commit. A single batch may
// be larger; it then is a commit of its own.
const maxGroup = 8 << 20

// group is what one commit writes. It is filled under Spool.mu, and belongs to
// the committing goroutine once that has taken it.
type group struct {
	frames []byte
	first  uint64
	n      uint64
	at     int64 // when its first entry came, microseconds

	taken chan struct{} // closed when the committing goroutine has taken it
	done  chan struct{} // closed when err is final
	err   error
}

// Append makes one entry durable: nil means that it has been written and
// synced. It copies the entry, which the caller may use again at once.
//
// Entries of one goroutine are read in the order in which it appended them.
// ErrFull: over MaxBytes, nothing was accepted. Code too_large or invalid: never
// accepted. Code backlog otherwise: ctx ended while the spool was busy, nothing was accepted. Code
// unavailable: the disk failed, or ctx ended during the sync; the entry was not
// acknowledged but may still be read one day, so the caller retries with an id
// that makes it idempotent. The spool stays usable once the disk has room or
// works again. After Close: audit.ErrClosed.
func (s *Spool) Append(ctx context.Context, entry []byte) error {
	if err := s.checkEntry(entry); err != nil {
		return err
	}
	one := [1][]byte{entry}
	return s.append(ctx, one[:], frameOverhead+int64(len(entry)))
}

// AppendBatch makes several entries durable in one commit, next to each other
// and in their order, with the contract of Append for all of them: none is
// acknowledged without the others.
func (s *Spool) AppendBatch(ctx context.Context, entries [][]byte) error {
	if len(entries) == 0 {
		return nil
	}
	var size int64
	for _, e := range entries {
		if err := s.checkEntry(e); err != nil {
			return err
		}
		size += frameOverhead + int64(len(e))
	}
	if size > s.opt.MaxBytes {
		return &audit.Error{
			Code: audit.CodeTooLarge, Field: "entries",
			Message: fmt.Sprintf("take %d bytes, more than spool.max_bytes, which is %d", size, s.opt.MaxBytes),
		}
	}
	return s.append(ctx, entries, size)
}

func (s *Spool) checkEntry(entry []byte) error {
	if len(entry) == 0 {
		return audit.Invalid("entry", "is empty")
	}
	if len(entry) > s.opt.MaxEntry {
		return tooLarge(len(entry), s.opt.MaxEntry)
	}
	return nil
}

func (s *Spool) append(ctx context.Context, entries [][]byte, size int64) error {
	g, err := s.join(ctx, entries, size)
	if err != nil {
		return err
	}
	select {
	case <-g.done:
		return g.err
	default:
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return leftEarly(context.Cause(ctx))
	}
}

// join puts the entries into the pending group, when there is room.
func (s *Spool) join(ctx context.Context, entries [][]byte, size int64) (*group, error) {
	for {
		if ctx.Err() != nil {
			return nil, leftOutside(context.Cause(ctx))
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, audit.ErrClosed
		}
		if used := s.bytes + s.waiting; used+size > s.opt.MaxBytes {
			s.counts.full += int64(len(entries))
			s.mu.Unlock()
			return nil, full(used, size, s.opt.MaxBytes)
		}
		g := s.pending
		if g == nil {
			g = &group{
				frames: s.writer.buffer(), first: s.nextSeq, at: s.opt.Now().UnixMicro(),
				taken: make(chan struct{}), done: make(chan struct{}),
			}
			s.pending = g
		} else if int64(len(g.frames))+size > s.writer.maxGroup {
			s.mu.Unlock()
			select {
			case <-g.taken:
			case <-ctx.Done():
			}
			continue
		}
		fresh := g.n == 0
		for _, e := range entries {
			var flags uint32
			if g.n == 0 {
				flags = flagFirst
			}
			g.frames = appendFrame(g.frames, &s.own.key, flags, s.nextSeq, g.at, e)
			s.nextSeq++
			g.n++
		}
		s.waiting += size
		s.mu.Unlock()
		if fresh {
			select {
			case s.kick <- struct{}{}:
			default:
			}
		}
		return g, nil
	}
}

// take gives the committing goroutine what waits, or nil.
func (s *Spool) take() *group {
	s.gather()
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.pending
	if g != nil {
		s.pending = nil
		close(g.taken)
	}
	return g
}

// gather lets the producers run that the last commit has woken, as long as that
// brings new entries, and not for long: otherwise the first of them would get a
// sync for itself and the others would wait for the next one.
func (s *Spool) gather() {
	before := uint64(0)
	for range 4 {
		s.mu.Lock()
		var n uint64
		if s.pending != nil && int64(len(s.pending.frames)) < s.writer.maxGroup/2 {
			n = s.pending.n
		}
		s.mu.Unlock()
		if n <= before {
			return
		}
		before = n
		runtime.Gosched()
	}
}
