package recorder

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// store is a sink that keeps its contract, and fails where it is told to.
type store struct {
	before func(ctx context.Context, recs []*audit.Record) error // fails before anything is stored
	each   func(rec *audit.Record) error                         // fails one record
	after  func(recs []*audit.Record) error                      // stores, and then the answer is lost

	mu      sync.Mutex
	recs    map[audit.Ref]*audit.Record
	order   []*audit.Record
	batches []int       // sizes of the batches that were answered
	times   []time.Time // of all calls
}

func (s *store) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, recs); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recs == nil {
		s.recs = map[audit.Ref]*audit.Record{}
	}
	results := make([]audit.Result, len(recs))
	for i, rec := range recs {
		if rec.Sequence != 0 || !rec.Hash.IsZero() {
			results[i].Err = audit.Invalid("sequence", "is set already")
			continue
		}
		if old, ok := s.recs[rec.Ref()]; ok {
			if audit.SameContent(old, rec) {
				results[i] = audit.Result{Duplicate: true, Sequence: old.Sequence, Hash: old.Hash}
			} else {
				results[i].Err = audit.ErrConflict
			}
			continue
		}
		if s.each != nil {
			if results[i].Err = s.each(rec); results[i].Err != nil {
				continue
			}
		}
		kept := *rec
		kept.Sequence = int64(len(s.order) + 1)
		kept.Hash[0] = byte(kept.Sequence)
		rec.Sequence, rec.Hash = kept.Sequence, kept.Hash // as AppendChained does
		s.recs[rec.Ref()] = &kept
		s.order = append(s.order, &kept)
		results[i] = audit.Result{Sequence: kept.Sequence, Hash: kept.Hash}
	}
	if s.after != nil {
		if err := s.after(recs); err != nil {
			return nil, err
		}
	}
	s.batches = append(s.batches, len(recs))
	return results, nil
}

// count gives how many records of a kind the store holds.
func (s *store) count(kind audit.Kind) (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.order {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

// actions gives the actions of the stored events, in order.
func (s *store) actions() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.order {
		if r.Kind == audit.KindEvent {
			out = append(out, r.ActionID)
		}
	}
	return out
}

func (s *store) sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.batches...)
}

func (s *store) callTimes() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times...)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func start(t *testing.T, sink Sink, opt Options) *Recorder {
	t.Helper()
	if opt.Logger == nil {
		opt.Logger = quiet
	}
	r, err := New(sink, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustClose(t *testing.T, r *Recorder) Account {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	a, err := r.Close(ctx)
	if err != nil {
		t.Fatalf("close: %v", err)
	}
	balanced(t, a)
	return a
}

func balanced(t *testing.T, a Account) {
	t.Helper()
	sum := a.Filtered + a.Rejected + a.Dropped + a.Stored + a.Duplicates + a.Failed + a.Unwritten + a.Spooled
	if sum != a.Offered+a.Recovered {
		t.Errorf("balance is off by %d: %+v", a.Offered+a.Recovered-sum, a)
	}
}

func event(n int) *audit.Event {
	return &audit.Event{Action: "tool.create", ActionID: strconv.Itoa(n), Actor: audit.Actor{ID: "ada"}, Tenant: "acme"}
}

func read(n int) *audit.Event {
	ev := event(n)
	ev.Action = "tool.get"
	return ev
}

func mustRecord(t *testing.T, r *Recorder, ev *audit.Event, want audit.Status) audit.Receipt {
	t.Helper()
	receipt, err := r.Record(t.Context(), ev)
	if err != nil || receipt.Status != want {
		t.Fatalf("record: %+v, %v; want %s", receipt, err, want)
	}
	return receipt
}

func mustPolicy(t testing.TB, cfg policy.Config) *policy.Policy {
	t.Helper()
	p, err := policy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var errDown = audit.Unavailable("the store is down", errors.New("connection refused"))
