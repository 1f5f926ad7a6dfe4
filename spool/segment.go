package spool

// segment is one file of the log, as the consumer sees it. Everything but the
// names is guarded by Spool.mu.
type segment struct {
	order uint64 // place among all segments of this spool; 0 before it is in the list
	home  *home
	path  string

	next    *segment
	extents []extent
	marks   []mark
	last    uint64 // the last sequence number it held; not lowered by damage
	keep    bool   // damage in it could not be set aside: the file must stay
	removed bool
}

// place is a point in the log: everything up to it has been passed.
type place struct {
	seg *segment
	off int64
	seq uint64
}

func (p place) before(q place) bool {
	return p.seg.order < q.seg.order || p.seg.order == q.seg.order && p.off < q.off
}

// region is a run of undamaged frames after a place.
type region struct {
	seg      *segment
	off, end int64
	first, n uint64 // n counts from the beginning of the extent where off lies inside it
}

// after gives the first region after p, or false where there is nothing yet.
func (p place) after() (region, bool) {
	off, seq := p.off, p.seq
	for seg := p.seg; seg != nil; seg = seg.next {
		for _, e := range seg.extents {
			if e.end <= off {
				continue
			}
			if e.off < off { // inside: everything up to seq has been passed
				passed := seq - e.first + 1
				return region{seg, off, e.end, seq + 1, e.n - passed}, true
			}
			return region{seg, e.off, e.end, e.first, e.n}, true
		}
		off = 0
	}
	return region{}, false
}

// between counts the entries and bytes from p to q.
func between(p, q place) (entries uint64, bytes int64) {
	for p.before(q) {
		r, ok := p.after()
		if !ok || r.seg.order > q.seg.order || r.seg == q.seg && r.off >= q.off {
			break
		}
		if r.seg == q.seg && q.off < r.end {
			return entries + q.seq - r.first + 1, bytes + q.off - r.off
		}
		entries += r.n
		bytes += r.end - r.off
		p = place{r.seg, r.end, r.first + r.n - 1}
	}
	return entries, bytes
}

// grow adds what one commit wrote.
func (s *segment) grow(off, end int64, first, n uint64, at int64) {
	s.last = first + n - 1
	s.marks = addMark(s.marks, first, at)
	if i := len(s.extents) - 1; i >= 0 && s.extents[i].end == off && s.extents[i].first+s.extents[i].n == first {
		s.extents[i].end = end
		s.extents[i].n += n
		return
	}
	s.extents = append(s.extents, extent{off: off, end: end, first: first, n: n})
}

// replace puts what a new look at the region found in the place of what was
// believed to be there. Frames that were added behind it meanwhile stay.
func (s *segment) replace(r region, found []extent) {
	var out []extent
	for _, e := range s.extents {
		if r.off < e.off || r.off >= e.end {
			out = append(out, e)
			continue
		}
		if e.off < r.off {
			out = append(out, extent{e.off, r.off, e.first, r.first - e.first})
		}
		out = append(out, found...)
		if next := r.first + r.n; e.end > r.end {
			out = append(out, extent{r.end, e.end, next, e.first + e.n - next})
		}
	}
	s.extents = out
}
