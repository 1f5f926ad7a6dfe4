package postgres

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// search is a question on its way: it looks for n places after start, in the
// question's order, and for all that share the position of the last one.
type search struct {
	*ask
	p     *plan
	start place
	n     int
	hits  []hit
}

// find gives the next n hits at least, unless it is the end, and all that share
// the position of the last one.
func (a *ask) find(p *plan, start place, n int) ([]hit, error) {
	s := &search{ask: a, p: p, start: start, n: n}
	err := s.run()
	return s.hits, err
}

func (s *search) run() error {
	switch s.p.lead.way {
	case byID:
		return s.ids()
	case byTime:
		return s.walk()
	case byBlocks:
		if len(s.p.rivals) == 0 {
			_, err := s.groups(0)
			return err
		}
		if done, err := s.groups(trialBlocks); err != nil || done {
			return err
		}
		s.hits = nil
		if err := s.settleLead(); err != nil {
			return err
		}
	}
	if s.p.lead.way != byBlocks {
		// What is frequent is found sooner in the order of time.
		if err := s.glance(); err != nil || s.full() {
			return err
		}
		s.hits = nil
	}
	_, err := s.groups(0)
	return err
}

// full reports whether enough was found.
func (s *search) full() bool { return len(s.hits) >= s.n }

// before reports whether time a comes before b in the order.
func (p *plan) before(a, b int64) bool {
	if p.oldest {
		return a < b
	}
	return a > b
}

// piece is a block or a partition: what one statement looks through.
type piece struct {
	block    int32  // where it is a block
	name     string // where it is a partition
	min, max int64
	whole    bool // it lies within the window
}

// bound gives the time before which, in the order, the piece holds nothing.
func (p *plan) bound(x piece) int64 {
	if p.oldest {
		return x.min
	}
	return x.max
}

// pieces gives what may hold records that the question selects after start, in
// the order of their bounds; from and to are cut to it.
func (s *search) pieces() (out []piece, err error) {
	from, to := s.window()
	add := func(x piece) {
		x.whole = x.min >= from && x.max <= to
		if x.min, x.max = max(x.min, from), min(x.max, to); x.min <= x.max {
			out = append(out, x)
		}
	}
	if s.p.lead.way == byWords {
		parts, err := s.partitions()
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			add(piece{name: p.name, min: p.from, max: p.to})
		}
	} else {
		blocks, err := s.allBlocks()
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			add(piece{block: b.number, min: b.min, max: b.max})
		}
	}
	slices.SortStableFunc(out, func(a, b piece) int {
		if s.p.oldest {
			return cmp.Or(cmp.Compare(a.min, b.min), cmp.Compare(a.block, b.block))
		}
		return cmp.Or(cmp.Compare(b.max, a.max), cmp.Compare(b.block, a.block))
	})
	return out, nil
}

// window gives the times that can still follow.
func (s *search) window() (from, to int64) {
	from, to = s.p.from, s.p.to
	if s.p.oldest {
		from = max(from, s.start.at)
	} else {
		to = min(to, s.start.at)
	}
	if s.full() { // then nothing after the last one matters
		if last := s.hits[s.n-1].at; s.p.oldest {
			to = min(to, last)
		} else {
			from = max(from, last)
		}
	}
	return from, to
}

// Sizes of groups of blocks.
const (
	trialBlocks = 3  // with a way that another may be better than
	maxGroup    = 64 // in one statement
	firstRuns   = 8  // at first by a block range index, whose summaries are read whole each time; then eight times as many
)

// groups looks through the pieces in groups that grow, until enough was found
// and no other piece can hold what comes before. It stops after trial pieces, 0
// is no limit; done is false where others would have to be looked into.
func (s *search) groups(trial int) (done bool, err error) {
	rest, err := s.pieces()
	if err != nil {
		return false, err
	}
	size, opened := 1, 0
	if s.p.lead.way == byRuns {
		size = firstRuns
	}
	for len(rest) > 0 {
		if s.full() && s.p.before(s.hits[s.n-1].at, s.p.bound(rest[0])) {
			break
		}
		if trial > 0 && opened >= trial {
			return false, nil
		}
		group := rest[:min(size, len(rest))]
		rest = rest[len(group):]
		opened += len(group)
		switch s.p.lead.way {
		case byBlocks:
			size = min(2*opened, maxGroup)
		case byRuns:
			size *= 8
		}
		if err := s.group(group); err != nil {
			return false, err
		}
	}
	return true, nil
}

// group looks through some pieces.
func (s *search) group(group []piece) error {
	from, to := s.window()
	group = slices.DeleteFunc(slices.Clone(group), func(x piece) bool { return x.min > to || x.max < from })
	if len(group) == 0 {
		return nil
	}
	var found []hit
	var err error
	switch s.p.lead.way {
	case byBlocks:
		found, err = s.byBlocks(group)
	case byRuns:
		found, err = s.byRuns(group)
	case byWords:
		found, err = s.byWords(group)
	}
	if err != nil {
		return err
	}
	s.add(found)
	return nil
}

// add puts what was found in its place and leaves out what is not needed.
func (s *search) add(found []hit) {
	s.hits = append(s.hits, found...)
	slices.SortFunc(s.hits, func(a, b hit) int {
		c := cmp.Or(a.compare(&b.place), cmp.Compare(a.scope, b.scope))
		if s.p.oldest {
			return c
		}
		return -c
	})
	s.hits = s.hits[:endOfPage(s.hits, s.n)]
}

// narrowRecords is how many records of trialBlocks blocks make an index wide.
const narrowRecords = 1000

// settleLead picks the way by what the newest blocks hold: the narrowest index
// if it is narrow, else the one that does not go by blocks.
func (s *search) settleLead() error {
	leads := append([]lead{s.p.lead}, s.p.rivals...)
	best, least := -1, math.MaxInt
	blocks, err := s.pieces()
	if err != nil {
		return err
	}
	for i := range leads {
		if leads[i].way != byBlocks {
			continue
		}
		n, err := s.weigh(&leads[i], blocks[:min(len(blocks), trialBlocks)], s.s.narrowRecords)
		if err != nil {
			return err
		}
		if n < least {
			best, least = i, n
		}
	}
	if last := len(leads) - 1; least >= s.s.narrowRecords && leads[last].way != byBlocks {
		best = last
	}
	s.p.lead, s.p.rivals = leads[best], nil
	return nil
}

// weigh counts what an index holds of the lead's values, up to limit.
func (s *search) weigh(l *lead, blocks []piece, limit int) (n int, err error) {
	if err := s.plan(byValue); err != nil {
		return 0, err
	}
	numbers := make([]int32, len(blocks))
	for i, b := range blocks {
		numbers[i] = b.block
	}
	var w where
	w.add("SELECT count(*) FROM (SELECT FROM unnest(", w.arg(numbers), "::int[]) AS b(block)")
	s.p.keys(&w, l)
	w.add(" CROSS JOIN LATERAL (SELECT FROM @records r WHERE r.block = b.block")
	if err := s.p.served(&w, l); err != nil {
		return 0, err
	}
	w.add(" LIMIT ", strconv.Itoa(limit), ") p LIMIT ", strconv.Itoa(limit), ") c")
	err = s.tx.QueryRow(s.ctx, s.s.sql(w.sql.String()), w.args...).Scan(&n)
	return n, err
}
