package spool

import (
	"cmp"
	"log/slog"
	"slices"
	"time"
)

// Stats is a snapshot for metrics.
type Stats struct {
	Depth     int64         // entries that are durable and not committed
	Bytes     int64         // their frames; what MaxBytes bounds, with those under way
	MaxBytes  int64         // the bound
	OldestAge time.Duration // of the oldest of them, to about a second
	Warned    bool          // Bytes is at WarnBytes or over

	Appended  int64 // entries acknowledged since Open
	Committed int64 // entries consumed since Open
	Commits   int64 // syncs that acknowledged something
	Full      int64 // entries refused over MaxBytes
	Failed    int64 // entries refused because the disk failed
	Damaged   int64 // places found damaged, by Open and since
	Lost      int64 // entries found damaged since Open; for those found by Open see Recovery
	TornBytes int64 // see Recovery

	LastError   string // of the last write that failed
	LastErrorAt time.Time
}

// counts is the part of Stats that only counts.
type counts struct {
	appended, committed, commits, full, failed, damaged, lost, tornBytes int64

	lastError   string
	lastErrorAt time.Time
	warned      bool
}

// Stats gives a snapshot. It never waits for the disk.
func (s *Spool) Stats() Stats {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counts
	st := Stats{
		Depth: int64(s.depth), Bytes: s.bytes, MaxBytes: s.opt.MaxBytes, Warned: s.bytes >= s.opt.WarnBytes,
		Appended: c.appended, Committed: c.committed, Commits: c.commits, Full: c.full, Failed: c.failed,
		Damaged: c.damaged, Lost: c.lost, TornBytes: c.tornBytes, LastError: c.lastError, LastErrorAt: c.lastErrorAt,
	}
	if at, ok := s.oldest(); ok {
		st.OldestAge = max(0, now.Sub(time.UnixMicro(at)))
	}
	return st
}

// oldest gives the time of the oldest entry that is not committed, in
// microseconds. Under mu.
func (s *Spool) oldest() (int64, bool) {
	r, ok := s.committed.after()
	if !ok {
		return 0, false
	}
	marks := r.seg.marks
	if len(marks) == 0 {
		return 0, false
	}
	i, found := slices.BinarySearchFunc(marks, r.first, func(m mark, seq uint64) int { return cmp.Compare(m.seq, seq) })
	if !found && i > 0 {
		i--
	}
	return marks[i].at, true
}

// noteLevel logs when the warning level is reached, and when it is left again.
func (s *Spool) noteLevel() {
	s.mu.Lock()
	bytes, depth := s.bytes, s.depth
	warned := bytes >= s.opt.WarnBytes
	changed := warned != s.counts.warned
	s.counts.warned = warned
	s.mu.Unlock()
	switch {
	case !changed:
	case warned:
		s.faults.log(slog.LevelWarn, "the spool is filling up", "bytes", bytes, "max_bytes", s.opt.MaxBytes, "entries", depth)
	default:
		s.faults.log(slog.LevelInfo, "the spool is below its warning level again", "bytes", bytes, "entries", depth)
	}
}
