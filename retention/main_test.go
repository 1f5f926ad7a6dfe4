package retention

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an engine that counts what retention does to it, and lets a test
// hold a deletion up or make it fail.
type rig struct {
	*memory.Store
	t *testing.T

	mu      sync.Mutex
	offset  time.Duration // of the wall clock
	batches []int         // what each deletion deleted, those of 0 left out
	cuts    []audit.Cut
	fail    error
	before  func() // called before each deletion
}

func newRig(t *testing.T) *rig { return &rig{t: t, Store: memory.New(memory.Options{})} }

func (r *rig) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	r.mu.Lock()
	before, fail := r.before, r.fail
	r.cuts = append(r.cuts, cut)
	r.mu.Unlock()
	if before != nil {
		before()
	}
	if fail != nil {
		return 0, fail
	}
	n, err := r.Store.DeleteExpired(ctx, cut, limit)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 {
		r.batches = append(r.batches, n)
	}
	return n, err
}

func (r *rig) do(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

// looks is how often somebody asked for something to be deleted.
func (r *rig) looks() (n int) {
	r.do(func() { n = len(r.cuts) })
	return n
}

// now is the wall clock, which a test may set.
func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.offset)
}

func (r *rig) set(by time.Duration) { r.do(func() { r.offset += by }) }

// loop makes a loop on the engine; change adapts its options.
func (r *rig) loop(change func(*Options)) *Loop {
	r.t.Helper()
	opt := Options{Logger: discard, Now: r.now, Interval: time.Hour}
	if change != nil {
		change(&opt)
	}
	l, err := New(r, r.Store, opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.close(l) })
	return l
}

func (r *rig) close(l *Loop) {
	if err := l.Close(context.Background()); err != nil {
		r.t.Errorf("Close: %v", err)
	}
}

// start makes a loop that runs.
func (r *rig) start(change func(*Options)) *Loop {
	r.t.Helper()
	l := r.loop(change)
	if err := l.Start(); err != nil {
		r.t.Fatal(err)
	}
	return l
}

var (
	never   = time.Time{}
	discard = slog.New(slog.DiscardHandler)
)

// add stores n records of the tenant, recorded at a time, that expire at another.
func (r *rig) add(n int, tenant string, recorded, expires time.Time) {
	r.t.Helper()
	var recs []*audit.Record
	for range n {
		rec := &audit.Record{
			Event: audit.Event{Action: "thing.update", Tenant: tenant, OccurredAt: recorded, ExpiresAt: expires},
			Kind:  audit.KindEvent, RecordedAt: recorded, Level: "all",
		}
		if err := audit.Normalize(rec, recorded); err != nil {
			r.t.Fatal(err)
		}
		rec.RecordedAt = audit.FromMicros(recorded.UnixMicro())
		if rec.ID.IsZero() {
			rec.ID = audit.NewID()
		}
		recs = append(recs, rec)
	}
	results, err := r.AppendChained(r.t.Context(), recs)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, res := range results {
		if res.Err != nil {
			r.t.Fatal(res.Err)
		}
	}
}

// left counts the events of a tenant, "" for all.
func (r *rig) left(tenant string) int64 {
	r.t.Helper()
	q := audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}
	if tenant != "" {
		q.Filters = append(q.Filters, audit.Is("tenant", tenant))
	}
	n, err := r.Count(r.t.Context(), &q)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// wantLeft wants so many events to be there.
func (r *rig) wantLeft(want int64, when string) {
	r.t.Helper()
	if got := r.left(""); got != want {
		r.t.Errorf("%s: %d events are left, want %d", when, got, want)
	}
}

// grantTo puts a lease of another process into the store.
func (r *rig) grantTo(owner string, until time.Time, ttl time.Duration) {
	r.t.Helper()
	doc, err := json.Marshal(grant{owner, until, ttl})
	if err != nil {
		r.t.Fatal(err)
	}
	_, version, err := r.Load(r.t.Context(), leaseKey)
	if err != nil && !errors.Is(err, audit.ErrNotFound) {
		r.t.Fatal(err)
	}
	if err := r.Save(r.t.Context(), leaseKey, doc, version); err != nil {
		r.t.Fatal(err)
	}
}
