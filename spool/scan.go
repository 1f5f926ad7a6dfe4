package spool

import "bytes"

// extent is a run of undamaged frames with consecutive sequence numbers.
type extent struct {
	off, end int64
	first, n uint64
}

// mark is the time of one entry; the entries up to the next mark are about as old.
type mark struct {
	seq uint64
	at  int64
}

// markEvery is how far apart marks are, in microseconds.
const markEvery = 1_000_000

// addMark remembers when the entry seq was appended, unless the last mark says nearly the same.
func addMark(marks []mark, seq uint64, at int64) []mark {
	if n := len(marks); n > 0 && at-marks[n-1].at < markEvery && at >= marks[n-1].at {
		return marks
	}
	return append(marks, mark{seq, at})
}

// stretch is where frames should be and are not.
type stretch struct {
	from, to int64  // the bytes; none where frames are missing without a trace
	lost     uint64 // entries, where that can be told
	why      string
	// proven: something that comes after it was written only when the stretch
	// had been synced. So it cannot be the unfinished write of a crash.
	proven bool
}

// scanned is what a scan found in one segment.
type scanned struct {
	extents   []extent
	marks     []mark
	bad       []stretch
	last      uint64 // sequence number of the last frame, or the one that was handed in
	consumed  uint64 // frames up to this one are passed over
	proof     bool   // there is a frame that proves what comes before it
	later     bool   // that is not only the one right behind the header, which is written with it
	sealed    bool
	continued bool
}

// noEnd is the until of a scan that has no known end.
const noEnd = ^uint64(0)

// scan finds the frames in b from off on. last is the sequence number before
// the first one, known says whether exactly that one must follow, and until is the last that
// belongs here: whatever comes after it was never acknowledged. Frames up to
// consumed are looked at, but are in no extent.
func scan(b []byte, off int64, k *key, last uint64, known bool, until, consumed uint64) scanned {
	s := scanned{last: last, consumed: consumed}
	for until == noEnd || s.last < until {
		f, ok := parseFrame(b[off:], k)
		if !ok || !s.continues(f) {
			next, frame := s.resync(b, off, k)
			to := next
			if !frame {
				if to = off + int64(len(bytes.TrimRight(b[off:], "\x00"))); to == off {
					return s // nothing but zeros: never written
				}
			}
			s.bad = append(s.bad, stretch{from: off, to: to, why: "damaged"})
			if !frame {
				return s
			}
			off = next
			continue
		}
		if f.flags&flagSeal != 0 {
			if f.seq > s.last && known {
				s.miss(off, f.seq-s.last)
			}
			s.later = true
			s.sealed, s.continued = true, f.flags&flagContinued != 0
			s.prove()
			return s
		}
		if f.seq > until {
			return s
		}
		s.add(f, off, known)
		off, known = off+f.size, true
	}
	return s
}

// continues reports whether the frame may come next. A seal repeats the last number.
func (s *scanned) continues(f frame) bool {
	return f.seq > s.last || f.seq == s.last && f.flags&flagSeal != 0
}

// add takes in one frame at off.
func (s *scanned) add(f frame, off int64, known bool) {
	if f.flags&flagFirst != 0 {
		s.later = s.later || off != headerSize
		s.prove()
	}
	if known && f.seq > s.last+1 {
		s.miss(off, f.seq-s.last-1)
	}
	s.last = f.seq
	if f.seq <= s.consumed {
		return
	}
	n := len(s.extents)
	if n > 0 && s.extents[n-1].end == off && s.extents[n-1].first+s.extents[n-1].n == f.seq {
		s.extents[n-1].end = off + f.size
		s.extents[n-1].n++
	} else {
		s.extents = append(s.extents, extent{off: off, end: off + f.size, first: f.seq, n: 1})
	}
	s.marks = addMark(s.marks, f.seq, f.at)
}

// miss notes that n entries are not where they should be, before off.
func (s *scanned) miss(off int64, n uint64) {
	if i := len(s.bad) - 1; i >= 0 && s.bad[i].to == off {
		s.bad[i].lost = n
		return
	}
	s.bad = append(s.bad, stretch{from: off, to: off, lost: n, why: "missing", proven: true})
}

func (s *scanned) prove() {
	s.proof = true
	for i := range s.bad {
		s.bad[i].proven = true
	}
}

// resync looks for the next frame after off.
func (s *scanned) resync(b []byte, off int64, k *key) (int64, bool) {
	for at := off + 1; at < int64(len(b)); at++ {
		i := bytes.Index(b[at:], k.mark())
		if i < 0 {
			break
		}
		at += int64(i)
		if f, ok := parseFrame(b[at:], k); ok && s.continues(f) {
			return at, true
		}
	}
	return 0, false
}
