package spool

import (
	"errors"
	"log/slog"
	"time"
)

// writer is the state of the committing goroutine.
type writer struct {
	s        *Spool
	maxGroup int64
	free     chan []byte // buffers of groups that are done
	spares   *preparer

	woken    *group        // the last one, whose callers may be on their way
	left     chan struct{} // to gather: all callers have left a group; one token is enough
	patience *time.Timer   // of gather; stopped between its calls
	syncTook time.Duration // the last one, with its write

	index uint64 // of the last segment that was begun
	last  uint64 // the last acknowledged sequence number

	seg  *segment // nil: the next commit begins a segment
	file file
	off  int64 // everything before it is acknowledged
	size int64
	// The segment before this one, until something in this one is acknowledged:
	// then it is marked as continued.
	previous     file
	previousEnd  int64
	previousLast uint64
}

func (w *writer) init(s *Spool) {
	w.s = s
	w.maxGroup = min(maxGroup, s.opt.SegmentBytes/2)
	w.free = make(chan []byte, 2)
	w.spares = startPreparer(s)
	w.left = make(chan struct{}, 1)
	w.patience = time.NewTimer(time.Hour)
	w.patience.Stop()
}

// buffer gives an empty buffer for a group.
func (w *writer) buffer() []byte {
	select {
	case b := <-w.free:
		return b[:0]
	default:
		return nil
	}
}

func (w *writer) recycle(b []byte) {
	if int64(cap(b)) > 2*w.maxGroup {
		return
	}
	select {
	case w.free <- b:
	default:
	}
}

// commitLoop is the one goroutine that writes.
func (s *Spool) commitLoop() {
	defer s.shutdown()
	for {
		select {
		case <-s.kick:
		case <-s.quit:
			// Nothing can be added any more.
			if g := s.take(); g != nil {
				s.writer.commit(g)
			}
			return
		}
		if g := s.take(); g != nil {
			s.writer.commit(g)
		}
	}
}

// commit answers to everybody in the group. A write or a sync that failed
// leaves nobody knowing what is on the disk (the kernel may have dropped the
// pages, and would report success next time), so the segment is given up at its
// last good end and the group written again into a new one. When that fails
// too, the group is refused.
func (w *writer) commit(g *group) {
	err := w.store(g)
	if err != nil {
		w.fault("the spool cannot write; trying a new segment", err)
		w.abandon()
		if err = w.store(g); err != nil {
			w.abandon()
		}
	}
	s := w.s
	s.mu.Lock()
	s.waiting -= int64(len(g.frames))
	s.committing = nil // noteSlow lets it alone from here on
	if err != nil {
		s.counts.failed += int64(g.n)
		s.counts.lastError, s.counts.lastErrorAt = err.Error(), s.opt.Now()
		s.mu.Unlock()
		g.err = notWritten(err)
		w.wake(g)
		w.fault("the spool refuses entries because it cannot write", err)
		w.recycle(g.frames)
		return
	}
	if w.seg.order == 0 {
		s.link(w.seg)
	}
	s.writing = w.seg
	end := w.off + int64(len(g.frames))
	w.seg.grow(w.off, end, g.first, g.n, g.at)
	s.bytes += end - w.off
	s.depth += g.n
	s.counts.appended += int64(g.n)
	s.counts.commits++
	s.mu.Unlock()
	w.wake(g)
	select {
	case s.readable <- struct{}{}:
	default:
	}
	w.off, w.last = end, g.first+g.n-1
	w.recycle(g.frames)
	w.afterwards()
}

// wake answers to the callers of a group.
func (w *writer) wake(g *group) {
	g.over.Store(true)
	close(g.done)
	if !g.slow {
		close(g.turn)
	}
	w.woken = g
}

// afterwards does what no producer has to wait for.
func (w *writer) afterwards() {
	w.s.noteLevel()
	if w.previous != nil {
		// Not synced: it only tells a later Open that more must follow.
		_, _ = w.previous.WriteAt(w.seal(flagContinued, w.previousLast), w.previousEnd)
		_ = w.previous.Close()
		w.previous = nil
	}
	if w.off > w.size/4 {
		w.spares.ask(w.s.opt.SegmentBytes)
	}
}

// store writes and syncs the group.
func (w *writer) store(g *group) error {
	if w.seg != nil && w.off+int64(len(g.frames))+frameOverhead > w.size {
		w.leave()
	}
	begun := w.seg == nil
	if begun {
		if err := w.begin(g); err != nil {
			return err
		}
	}
	start := time.Now()
	if _, err := w.file.WriteAt(g.frames, w.off); err != nil {
		return err
	}
	if err := w.file.datasync(); err != nil {
		return err
	}
	w.syncTook = time.Since(start)
	if begun {
		return w.s.opt.disk.syncDir(w.s.own.dir)
	}
	return nil
}

// leave ends the segment because it is full.
func (w *writer) leave() {
	if w.previous != nil {
		_ = w.previous.Close()
	}
	w.previous, w.previousEnd, w.previousLast = w.file, w.off, w.last
	w.drop()
}

// begin starts a segment whose first frames will be those of g.
func (w *writer) begin(g *group) error {
	d, own := w.s.opt.disk, w.s.own
	if err := own.create(w.s.base, d); err != nil {
		return err
	}
	w.index++
	path := own.segmentPath(w.index)
	size := max(w.s.opt.SegmentBytes, headerSize+int64(len(g.frames))+frameOverhead)
	var f file
	var err error
	if size == w.s.opt.SegmentBytes {
		f = w.spares.get(path)
	}
	if f == nil {
		if f, err = d.create(path, size); err != nil {
			return err
		}
	}
	h := header{key: own.key, index: w.index, after: w.last, first: g.first, size: size}
	w.seg = &segment{home: own, path: path, last: w.last}
	w.file, w.off, w.size = f, headerSize, size
	_, err = f.WriteAt(h.encode(), 0)
	return err
}

// abandon gives up the segment at its last good end, after a failure. It tries
// to make the end visible, so that what was refused does not come back after a
// crash; where that fails, the header of the next segment tells.
func (w *writer) abandon() {
	if w.seg == nil {
		return
	}
	s := w.s
	if w.seg.order == 0 { // nothing in it was ever acknowledged
		_ = w.file.Close()
		_ = s.opt.disk.remove(w.seg.path)
	} else {
		if err := w.sealAndClose(); err != nil {
			w.fault("the spool cannot mark the end of a segment that it gave up", err)
		}
	}
	w.drop()
}

// drop forgets the segment: it grows no more.
func (w *writer) drop() {
	w.s.mu.Lock()
	w.s.writing = nil
	w.s.mu.Unlock()
	w.seg, w.file = nil, nil
}

// seal is the frame that ends a segment whose last sequence number is last.
func (w *writer) seal(flags uint32, last uint64) []byte {
	return appendFrame(nil, &w.s.own.key, flagSeal|flags, last, w.s.opt.Now().UnixMicro(), nil)
}

// sealAndClose ends the file behind the last acknowledged entry.
func (w *writer) sealAndClose() error {
	_, err := w.file.WriteAt(w.seal(0, w.last), w.off)
	if err == nil {
		err = w.file.datasync()
	}
	if err == nil {
		err = w.file.truncate(w.off + frameOverhead)
	}
	return errors.Join(err, w.file.Close())
}

// finish ends the last segment, when the spool is closed.
func (w *writer) finish() error {
	w.spares.stop()
	if w.previous != nil {
		_ = w.previous.Close()
	}
	if w.seg == nil {
		return nil
	}
	err := w.sealAndClose()
	w.drop()
	return err
}

func (w *writer) fault(message string, err error) {
	w.s.faults.log(slog.LevelError, message, "error", err)
}
