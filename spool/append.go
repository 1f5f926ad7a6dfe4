package spool

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

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
	turn  chan struct{} // closed with done, or before that when the disk is slow
	slow  bool          // turn was closed because the disk is slow; guarded by Spool.mu while the group is pending or committing
	done  chan struct{} // closed when err is final
	err   error

	callers atomic.Int64 // that have not left it
	over    atomic.Bool  // set just before done is closed
}

// leave is the end of one call, whatever its answer; last means that the group
// is over and that all others have left it before.
func (g *group) leave() (last bool) { return g.callers.Add(-1) == 0 && g.over.Load() }

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
	_, err := s.append(ctx, one[:], frameOverhead+int64(len(entry)))
	return err
}

// AppendBatch makes several entries durable in one commit, next to each other
// and in their order, with the contract of Append for all of them: none is
// acknowledged without the others. first is the number of the first of them,
// the others follow; [Batch] gives the same numbers.
func (s *Spool) AppendBatch(ctx context.Context, entries [][]byte) (first uint64, err error) {
	if len(entries) == 0 {
		return 0, nil
	}
	var size int64
	for _, e := range entries {
		if err := s.checkEntry(e); err != nil {
			return 0, err
		}
		size += frameOverhead + int64(len(e))
	}
	if size > s.opt.MaxBytes {
		return 0, &audit.Error{
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

func (s *Spool) append(ctx context.Context, entries [][]byte, size int64) (first uint64, err error) {
	g, first, err := s.join(ctx, entries, size)
	if err != nil {
		return 0, err
	}
	err = g.wait(ctx)
	if g.leave() {
		s.writer.allLeft()
	}
	return first, err
}

// wait waits for the answer. To select on a context that many callers share
// costs as much as all else here, so only those do who have waited for long.
func (g *group) wait(ctx context.Context) error {
	<-g.turn
	if g.over.Load() {
		return g.err
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return leftEarly(context.Cause(ctx))
	}
}

// join puts the entries into the pending group, when there is room.
func (s *Spool) join(ctx context.Context, entries [][]byte, size int64) (g *group, first uint64, err error) {
	for {
		if ctx.Err() != nil {
			return nil, 0, leftOutside(context.Cause(ctx))
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, 0, audit.ErrClosed
		}
		if used := s.bytes + s.waiting; used+size > s.opt.MaxBytes {
			s.counts.full += int64(len(entries))
			s.mu.Unlock()
			return nil, 0, full(used, size, s.opt.MaxBytes)
		}
		g = s.pending
		if g == nil {
			g = &group{
				frames: s.writer.buffer(), first: s.nextSeq, at: s.opt.Now().UnixMicro(),
				taken: make(chan struct{}), turn: make(chan struct{}), done: make(chan struct{}),
			}
			s.pending = g
			s.slow.Reset(slowAfter)
		} else if int64(len(g.frames))+size > s.writer.maxGroup {
			s.mu.Unlock()
			select {
			case <-g.taken:
			case <-ctx.Done():
			}
			continue
		}
		g.callers.Add(1)
		fresh := g.n == 0
		first = s.nextSeq
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
		return g, first, nil
	}
}

// slowAfter is how long an answer takes until its callers look at their
// contexts, which may thus end up to twice as long before that is noticed.
const slowAfter = 10 * time.Millisecond

// noteSlow makes those who wait look at their contexts.
func (s *Spool) noteSlow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range [...]*group{s.committing, s.pending} {
		if g != nil && !g.slow {
			g.slow = true
			close(g.turn)
		}
	}
}

// take gives the committing goroutine what waits, or nil.
func (s *Spool) take() *group {
	s.writer.gather()
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.pending
	if g != nil {
		s.pending, s.committing = nil, g
		close(g.taken)
	}
	return g
}
