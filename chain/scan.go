package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
)

// stretch is a part of the chain that was read: without a hole, and every
// record of it but perhaps the last one right.
type stretch struct {
	first, last int64
	prev        audit.Digest // PrevHash of the first record
	hash        audit.Digest // Hash of the last
}

// scanned is what reading a range gave.
type scanned struct {
	records   int64
	stretches []stretch                 // in order; they end at the first break
	broken    *Break                    // the first that shows in the records themselves, whatever the holes mean
	anchors   map[audit.Digest]struct{} // hashes of the prune records that are right in themselves
}

// chunk reads one part of a range on one goroutine.
type chunk struct {
	scanned
	key      Key
	from, to int64
	pos      int64 // the last sequence that the walk gave
	buf      []byte
}

func (c *chunk) add(r *audit.Record) error {
	if r.Sequence < c.from || r.Sequence > c.to || r.Sequence < c.pos {
		return &audit.Error{Code: audit.CodeInternal, Message: fmt.Sprintf("the store gave sequence %d out of order", r.Sequence)}
	}
	again := r.Sequence == c.pos
	c.pos = r.Sequence
	c.records++
	var sum audit.Digest
	sum, c.buf = HashOf(r, c.buf)
	sameChain := r.Tenant == c.key.Tenant && r.Namespace == c.key.Namespace && r.Segment == c.key.Segment
	intact := sum == r.Hash && sameChain
	if intact && r.Kind == audit.KindPrune {
		if c.anchors == nil {
			c.anchors = map[audit.Digest]struct{}{}
		}
		c.anchors[r.Hash] = struct{}{}
	}
	if c.broken != nil && c.broken.Sequence < r.Sequence {
		return nil // what follows the first break is counted, and judged by the next verification
	}
	if again {
		c.broken = &Break{Sequence: r.Sequence, Reason: ReasonDuplicate}
		return nil
	}
	var last *stretch
	if n := len(c.stretches); n > 0 && c.stretches[n-1].last+1 == r.Sequence {
		last = &c.stretches[n-1]
	}
	switch {
	case !intact:
		c.broken = &Break{Sequence: r.Sequence, ID: r.ID, Reason: ReasonContent}
		if !sameChain {
			c.broken.Detail = "the record belongs to another chain"
		}
	case last != nil && last.hash != r.PrevHash:
		c.broken = &Break{Sequence: r.Sequence, ID: r.ID, Reason: ReasonLink}
	}
	if last != nil {
		last.last, last.hash = r.Sequence, r.Hash
	} else {
		c.stretches = append(c.stretches, stretch{first: r.Sequence, last: r.Sequence, prev: r.PrevHash, hash: r.Hash})
	}
	return nil
}

// scan reads a range, in chunks that the workers take in turn, and joins what
// they found at the borders.
func (v *verifier) scan(ctx context.Context, from, to int64, progress func(checked, total int64)) (*scanned, error) {
	total := to - from + 1
	size := max(v.chunk, total/int64(v.workers)/8)
	chunks := make([]*chunk, (total-1)/size+1)
	for i := range chunks {
		start := from + int64(i)*size
		chunks[i] = &chunk{key: v.key, from: start, to: start + min(size-1, to-start)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := meter{total: total, report: progress}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(v.workers, len(chunks)) {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(chunks)) {
					return
				}
				if err := v.read(ctx, chunks[i], &done); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return join(chunks), nil
}

// read walks one chunk.
func (v *verifier) read(ctx context.Context, c *chunk, done *meter) error {
	counted := c.from - 1
	err := v.src.Walk(ctx, v.key, c.from, c.to, func(recs []*audit.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, r := range recs {
			if err := c.add(r); err != nil {
				return err
			}
		}
		done.add(c.pos - counted)
		counted = max(counted, c.pos)
		return nil
	})
	if err == nil {
		done.add(c.to - counted)
		c.buf = nil
	}
	return err
}

// meter adds up the progress of the workers.
type meter struct {
	mu      sync.Mutex
	checked int64
	total   int64
	report  func(checked, total int64)
}

func (m *meter) add(n int64) {
	if m.report == nil || n <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checked += n
	m.report(m.checked, m.total)
}

// join puts chunks together into one result, as if one walk had read them all.
func join(chunks []*chunk) *scanned {
	out := &scanned{anchors: map[audit.Digest]struct{}{}}
	for _, c := range chunks {
		out.records += c.records
		for hash := range c.anchors {
			out.anchors[hash] = struct{}{}
		}
		if out.broken != nil {
			continue
		}
		for i, s := range c.stretches {
			n := len(out.stretches)
			if i > 0 || n == 0 || out.stretches[n-1].last+1 != s.first {
				out.stretches = append(out.stretches, s)
				continue
			}
			if out.stretches[n-1].hash != s.prev {
				out.broken = &Break{Sequence: s.first, Reason: ReasonLink}
				break
			}
			out.stretches[n-1].last, out.stretches[n-1].hash = s.last, s.hash
		}
		out.broken = lower(out.broken, c.broken)
	}
	return out
}

// seen is what a closer look at single records keeps.
type seen struct {
	id       audit.ID
	sequence int64
	prev     audit.Digest
	hash     audit.Digest
	intact   bool
}

// at looks at the few records of a short range of any chain.
func (v *verifier) at(ctx context.Context, key Key, from, to int64) ([]seen, error) {
	var out []seen
	var buf []byte
	err := v.src.Walk(ctx, key, from, to, func(recs []*audit.Record) error {
		for _, r := range recs {
			var sum audit.Digest
			sum, buf = HashOf(r, buf)
			out = append(out, seen{id: r.ID, sequence: r.Sequence, prev: r.PrevHash, hash: r.Hash, intact: sum == r.Hash && KeyOf(r) == key})
		}
		if len(out) > maxAt {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

// maxAt bounds how many records at one place are remembered in a store that
// somebody has filled with copies.
const maxAt = 100
