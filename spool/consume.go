package spool

import (
	"errors"
	"log/slog"
	"os"

	"github.com/annals-dev/annals/audit"
)

// Rewind makes the next Read begin after what was last committed.
func (s *Spool) Rewind() {
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	s.mu.Lock()
	s.reader.at = s.committed
	s.mu.Unlock()
}

// Commit marks everything up to the token as consumed, and gives back the space
// of segments that are consumed whole. A token before the last committed one
// changes nothing. The mark survives kill -9; it is not synced each time, so
// after a loss of power the last entries may come again: consumers are
// idempotent. An error of code unavailable says that the mark could not be
// written: entries may come again, nothing is lost, and the next Commit writes it anew.
func (s *Spool) Commit(t Token) error {
	if t.spool == nil {
		return nil
	}
	if t.spool != s {
		return audit.Invalid("token", "is of another spool")
	}
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return audit.ErrClosed
	}
	if !s.committed.before(t.at) {
		s.mu.Unlock()
		return nil
	}
	entries, bytes := between(s.committed, t.at)
	var cursors []place // where each home that is passed has been consumed to
	for seg := s.committed.seg; seg != t.at.seg; seg = seg.next {
		if seg.next.home != seg.home {
			cursors = append(cursors, place{seg: seg, seq: seg.last})
		}
	}
	cursors = append(cursors, t.at)
	s.committed = t.at
	if s.reader.at.before(t.at) {
		s.reader.at = t.at
	}
	s.depth -= entries
	s.bytes -= bytes
	s.counts.committed += int64(entries)
	s.mu.Unlock()
	var err error
	for _, c := range cursors {
		err = errors.Join(err, c.seg.home.cursor.set(c.seq))
	}
	s.noteLevel()
	s.sweep()
	if err != nil {
		return audit.Unavailable("the spool cannot note what was consumed", err)
	}
	return nil
}

// sweep removes the segments that are consumed whole, from the oldest on, and
// adopted homes that are read to their end. Under reader.mu.
func (s *Spool) sweep() {
	for {
		s.mu.Lock()
		seg := s.reader.head
		next := seg.next
		rest, waits := s.committed.after()
		if seg == s.writing || waits && rest.seg.order <= seg.order || next == nil && seg.removed {
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if !seg.removed && !s.removeSegment(seg, next) {
			return
		}
		if next == nil {
			return // the last one stays in the list as the place that others come after
		}
		s.reader.head = next
	}
}

// removeSegment removes one file, or the whole directory with the last of an
// adopted home. false: try again later.
func (s *Spool) removeSegment(seg, next *segment) bool {
	h := seg.home
	if s.reader.seg == seg {
		s.reader.close()
	}
	// The next Open must find a cursor that explains why the segment is not there.
	err := h.cursor.set(seg.last)
	if err == nil {
		err = h.cursor.sync()
	}
	if err != nil {
		s.faults.log(slog.LevelError, "the spool cannot sync its cursor; consumed segments stay", "error", err)
		return false
	}
	seg.removed = true
	if seg.keep {
		return true
	}
	if h != s.own && !h.keep && (next == nil || next.home != h) {
		s.retire(h)
		return true
	}
	if err := s.opt.disk.remove(seg.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.faults.log(slog.LevelWarn, "the spool cannot remove a consumed segment", "error", err)
	}
	return true
}

// retire removes an adopted home that has been read to its end.
func (s *Spool) retire(h *home) {
	if h.keep {
		return
	}
	if err := h.remove(); err != nil {
		s.faults.log(slog.LevelWarn, "the directory of a dead process stays", "error", err)
	}
	h.close()
	for i := range s.homes {
		if s.homes[i] == h {
			s.homes = append(s.homes[:i:i], s.homes[i+1:]...)
			break
		}
	}
}
