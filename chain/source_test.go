package chain_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	scope = audit.Scope{Namespace: "billing", Tenant: "acme"}
	key   = chain.Key{Scope: scope}
	epoch = time.Date(2026, 3, 4, 5, 6, 7, 891_234_000, time.UTC)
)

// testID makes a UUID that tells its number.
func testID(n int64) (id audit.ID) {
	id[6], id[8] = 0x70, 0x80
	binary.BigEndian.PutUint32(id[12:], uint32(n))
	return id
}

// source is a store in memory that a test can tamper with. It reads in batches,
// each of the state at its moment, and reuses records as hard as it may.
type source struct {
	mu     sync.Mutex
	recs   []*audit.Record
	heads  map[chain.Key]chain.Head
	sorted map[chain.Key][]*audit.Record // nil when recs was changed
	nextID int64

	reason  string // of the anchors that prune makes
	batch   int
	lag     time.Duration
	failing error
	calls   int    // of any method
	failAt  int    // the call that fails, and all after it
	onBatch func() // called between batches, without the lock
	onQuery func()
	onHeads func()
}

func newSource() *source {
	return &source{heads: map[chain.Key]chain.Head{}, reason: "ninety days", batch: 3, nextID: 1}
}

// newChain gives a source that holds a chain of n events.
func newChain(n int) *source {
	s := newSource()
	s.grow(key, n)
	return s
}

func (s *source) event(k chain.Key) *audit.Record {
	n := s.nextID
	s.nextID++
	at := epoch.Add(time.Duration(n) * time.Second)
	return &audit.Record{
		Kind: audit.KindEvent, RecordedAt: at.Add(time.Millisecond), Level: "all",
		Event: audit.Event{
			ID: testID(n), Namespace: k.Namespace, Tenant: k.Tenant, OccurredAt: at, Action: "invoice.update",
			Operation: audit.Update, Outcome: audit.Success, Actor: audit.Actor{Type: "user", ID: "u-1"},
			Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)),
		},
	}
}

// grow appends n events to the chain.
func (s *source) grow(k chain.Key, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.seal(k, s.event(k))
	}
}

func (s *source) seal(k chain.Key, recs ...*audit.Record) {
	head, ok := s.heads[k]
	if !ok {
		head.Key = k
	}
	s.heads[k] = chain.Seal(head, recs)
	s.recs = append(s.recs, recs...)
	s.sorted = nil
}

// outside stores n events outside any chain.
func (s *source) outside(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.recs = append(s.recs, s.event(key))
	}
	s.sorted = nil
}

// prune removes the events that pick selects, as retention does, and leaves
// anchors with at most size runs each.
func (s *source) prune(k chain.Key, size int, pick func(seq int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruneInto(k, k, size, pick)
}

func (s *source) pruneInto(k, anchors chain.Key, size int, pick func(seq int64) bool) {
	var links []chain.Link
	for _, r := range s.chain(k) {
		if r.Kind == audit.KindEvent && pick(r.Sequence) {
			links = append(links, chain.Link{Sequence: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
		}
	}
	s.recs = slices.DeleteFunc(s.recs, func(r *audit.Record) bool {
		return chain.KeyOf(r) == k && slices.ContainsFunc(links, func(l chain.Link) bool { return l.Sequence == r.Sequence })
	})
	s.sorted = nil
	for runs := range slices.Chunk(chain.Runs(links), size) {
		r := chain.Anchor(k, runs, s.reason, epoch.Add(time.Duration(s.nextID)*time.Second))
		s.nextID++
		s.seal(anchors, r)
	}
}

// get gives the stored record itself.
func (s *source) get(k chain.Key, seq int64) *audit.Record {
	for _, r := range s.chain(k) {
		if r.Sequence == seq {
			return r
		}
	}
	return nil
}

func (s *source) remove(recs ...*audit.Record) {
	s.recs = slices.DeleteFunc(s.recs, func(r *audit.Record) bool { return slices.Contains(recs, r) })
	s.sorted = nil
}

func (s *source) insert(r *audit.Record) {
	s.recs = append(s.recs, r)
	s.sorted = nil
}

// chain gives the records of a chain in order; the lock is held.
func (s *source) chain(k chain.Key) []*audit.Record {
	if s.sorted == nil {
		s.sorted = map[chain.Key][]*audit.Record{}
		for _, r := range s.recs {
			if r.Sequence != 0 {
				s.sorted[chain.KeyOf(r)] = append(s.sorted[chain.KeyOf(r)], r)
			}
		}
		for _, recs := range s.sorted {
			slices.SortStableFunc(recs, func(a, b *audit.Record) int { return cmp.Compare(a.Sequence, b.Sequence) })
		}
	}
	return s.sorted[k]
}

// clone copies the store, so that one chain serves many cases.
func (s *source) clone() *source {
	c := newSource()
	c.batch, c.nextID = s.batch, s.nextID
	for _, r := range s.recs {
		copied := *r
		c.recs = append(c.recs, &copied)
	}
	for k, h := range s.heads {
		c.heads[k] = h
	}
	return c
}

// fault is the error of a call; the lock is held.
func (s *source) fault() error {
	if s.calls++; s.failAt > 0 && s.calls >= s.failAt {
		return errors.New("disk on fire")
	}
	return s.failing
}

func (s *source) Walk(ctx context.Context, k chain.Key, from, to int64, fn func([]*audit.Record) error) error {
	store := make([]audit.Record, s.batch)
	for {
		s.mu.Lock()
		if err := s.fault(); err != nil {
			s.mu.Unlock()
			return err
		}
		all := s.chain(k)
		i, _ := slices.BinarySearchFunc(all, from, func(r *audit.Record, seq int64) int { return cmp.Compare(r.Sequence, seq) })
		var out []*audit.Record
		for ; i < len(all) && all[i].Sequence <= to; i++ {
			if n := len(out); n >= s.batch && all[i].Sequence != out[n-1].Sequence {
				break
			}
			if n := len(out); n < len(store) {
				store[n] = *all[i]
				out = append(out, &store[n])
			} else {
				r := *all[i]
				out = append(out, &r)
			}
		}
		s.mu.Unlock()
		if len(out) == 0 {
			return nil
		}
		from = out[len(out)-1].Sequence + 1
		if err := fn(out); err != nil {
			return err
		}
		for i := range out {
			*out[i], out[i] = audit.Record{}, nil
		}
		if s.onBatch != nil {
			s.onBatch()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if from > to || from <= 0 {
			return nil
		}
	}
}

func (s *source) Heads(_ context.Context, sc *audit.Scope) ([]chain.Head, error) {
	if s.onHeads != nil {
		defer s.onHeads()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []chain.Head
	for k, h := range s.heads {
		if sc == nil || k.Scope == *sc {
			out = append(out, h)
		}
	}
	return out, s.fault()
}

func (s *source) Unchained(_ context.Context, sc audit.Scope) (n int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.recs {
		if r.Sequence == 0 && r.Scope() == sc {
			n++
		}
	}
	return n, s.fault()
}

func (s *source) Query(_ context.Context, q *audit.Query) (*audit.Page, error) {
	if s.onQuery != nil {
		s.onQuery()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	page := &audit.Page{}
	for _, r := range s.recs {
		if q.Match(r) && (q.After.IsZero() || r.Position().Compare(q.After) > 0) {
			copied := *r
			page.Records = append(page.Records, &copied)
		}
	}
	if q.Order != audit.OldestFirst {
		return nil, audit.Unsupported("newest first")
	}
	slices.SortFunc(page.Records, func(a, b *audit.Record) int { return a.Position().Compare(b.Position()) })
	if len(page.Records) > q.Limit {
		page.Records = page.Records[:q.Limit]
		page.Next = page.Records[q.Limit-1].Position()
	}
	return page, s.fault()
}

func (s *source) Capabilities() audit.Capabilities {
	return audit.Capabilities{Engine: "test", Lag: s.lag}
}

func (s *source) Append(context.Context, []*audit.Record) ([]audit.Result, error) {
	return nil, audit.ErrUnsupported
}

func (s *source) Get(context.Context, audit.Ref) (*audit.Record, error) {
	return nil, audit.ErrUnsupported
}

func (s *source) DeleteExpired(context.Context, audit.Cut, int) (int, error) {
	return 0, audit.ErrUnsupported
}

func (s *source) Close() error { return nil }
