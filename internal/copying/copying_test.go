package copying_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/copying"
	"github.com/annals-dev/annals/store/memory"
	"github.com/annals-dev/annals/store/storetest"
)

func newMemory(t *testing.T) *memory.Store {
	t.Helper()
	s := memory.New(memory.Options{Now: func() time.Time { return storetest.CorpusStart.Add(storetest.CorpusSpan) }})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// refused wants the copy to be refused, and the target to be left as it was.
func refused(t *testing.T, src, dst audit.Store, want error, parts ...string) {
	t.Helper()
	before := export(t, dst)
	_, err := copying.Copy(t.Context(), src, dst, copying.Options{})
	if !errors.Is(err, want) {
		t.Fatalf("Copy: got %v, want %v", err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	same(t, "a refused target", before, export(t, dst))
}

func event(tenant string, at time.Duration) *audit.Record {
	r := &audit.Record{
		Event: audit.Event{ID: audit.NewID(), Tenant: tenant, OccurredAt: storetest.CorpusStart.Add(at), Action: "thing.update"},
		Kind:  audit.KindEvent, RecordedAt: storetest.CorpusStart.Add(at), Level: "all",
	}
	if err := audit.Normalize(r, storetest.CorpusStart); err != nil {
		panic(err)
	}
	return r
}

func appendChained(t *testing.T, s chain.Appender, recs ...*audit.Record) {
	t.Helper()
	results, err := s.AppendChained(t.Context(), recs)
	fine(t, results, err)
}

// What reaches the source later comes with the next copy; what the target has
// recorded since, in a chain that is complete, is no obstacle.
func TestCopyAgain(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	fill(t, src, recording(11, 400), 50)
	appendChained(t, dst, event("of the target", 0))
	first := copyAll(t, src, dst)
	appendChained(t, src, event("acme", 0), event("acme", 0), event("new", 0))
	results, err := src.Append(t.Context(), []*audit.Record{event("plain", 1)})
	fine(t, results, err)
	second := copyAll(t, src, dst)
	if second.Copied != 4 || second.Present != first.Copied || second.Holds != 0 {
		t.Errorf("the second copy: %d copied, %d present, %d holds; the first copied %d", second.Copied, second.Present, second.Holds, first.Copied)
	}
	appendChained(t, dst, event("acme", 0), event("acme", 0), event("acme", 0))
	third := copyAll(t, src, dst)
	ahead := int64(0)
	for _, c := range third.Chains {
		ahead += c.Ahead
	}
	if third.Copied != 0 || ahead != 3 {
		t.Errorf("the third copy: %d copied, the target is %d ahead", third.Copied, ahead)
	}
	appendChained(t, src, event("acme", 0)) // both went on
	refused(t, src, dst, audit.ErrConflict, "acme")
}

func TestOtherChainAtTarget(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	fill(t, src, recording(12, 100), 10)
	r := recording(13, 1)[0]
	r.Namespace, r.Tenant = "prod", "acme"
	appendChained(t, dst, r)
	refused(t, src, dst, audit.ErrConflict, `namespace "prod", tenant "acme"`)
	if _, _, err := dst.Load(t.Context(), audit.HoldsKey); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("the holds were copied all the same: %v", err)
	}
}

// bent is a store that gives one record of a chain changed.
type bent struct {
	*memory.Store
	id audit.ID
}

func (b bent) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	return b.Store.Walk(ctx, key, from, to, func(recs []*audit.Record) error {
		for _, r := range recs {
			if r.ID == b.id {
				r.Error = "changed"
			}
		}
		return fn(recs)
	})
}

func TestBrokenSource(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	r := event("acme", 0)
	appendChained(t, src, event("acme", 0), r, event("acme", 0))
	refused(t, bent{src, r.ID}, dst, copying.ErrBroken, `tenant "acme"`, "at the source", "sequence 2", "content_changed", r.ID.String())
}

// A target that gives a chain back changed is found out at the end.
func TestBrokenTarget(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	r := event("acme", 0)
	appendChained(t, src, event("acme", 0), r, event("acme", 0))
	report, err := copying.Copy(t.Context(), src, bent{dst, r.ID}, copying.Options{})
	if !errors.Is(err, copying.ErrBroken) || !strings.Contains(err.Error(), "at the target") {
		t.Fatalf("got %v", err)
	}
	if c := report.Chains[0]; c.Valid || c.Broken == nil || c.Broken.Sequence != 2 {
		t.Errorf("the report says %+v", c)
	}
}

// shaky is a target whose calls fail, before or after they were carried out.
type shaky struct {
	*memory.Store
	n *atomic.Int64
}

func (s shaky) fail(do func() error) error {
	switch s.n.Add(1) % 3 {
	case 0:
		return audit.Unavailable("before", nil)
	case 1:
		if err := do(); err != nil {
			return err
		}
		return audit.Unavailable("after", nil)
	}
	return do()
}

func (s shaky) Restore(ctx context.Context, from, to chain.Head, recs []*audit.Record) error {
	if len(recs) > 2 { // and sometimes only a part of it was
		if s.n.Add(1)%4 == 0 {
			if err := s.Store.Restore(ctx, from, chain.HeadAt(recs[1]), recs[:2]); err != nil {
				return err
			}
			return audit.Unavailable("in the middle", nil)
		}
	}
	if to == from {
		return s.Store.Restore(ctx, from, to, recs)
	}
	return s.fail(func() error { return s.Store.Restore(ctx, from, to, recs) })
}

func (s shaky) Append(ctx context.Context, recs []*audit.Record) (results []audit.Result, err error) {
	err = s.fail(func() (err error) { results, err = s.Store.Append(ctx, recs); return err })
	if err != nil {
		return nil, err
	}
	return results, nil
}

func TestShakyTarget(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	recs := ofProd(recording(14, 60))
	fill(t, src, recs, 8)
	report, err := copying.Copy(t.Context(), src, shaky{dst, new(atomic.Int64)}, copying.Options{BatchSize: 5})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "after failures", export(t, src), export(t, dst))
	for _, c := range report.Chains {
		if !c.Valid || c.Source != c.Target {
			t.Errorf("a chain was copied as %+v", c)
		}
	}
}

// Records outside chains that are there in another order, or as others.
func TestOutside(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	var recs []*audit.Record
	for i := range 40 {
		recs = append(recs, event("plain", time.Duration(i)*time.Second))
	}
	results, err := src.Append(t.Context(), recs)
	fine(t, results, err)
	results, err = dst.Append(t.Context(), []*audit.Record{recs[39], recs[19], recs[3]}) // no beginning of a copy
	fine(t, results, err)
	report, err := copying.Copy(t.Context(), src, dst, copying.Options{BatchSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	if report.Copied != 37 || report.Present != 3 || len(report.Outside) != 1 || report.Outside[0].Target != 40 {
		t.Errorf("got %+v", report)
	}
	same(t, "outside chains", export(t, src), export(t, dst))

	other := event("plain", time.Hour)
	twin := *other
	twin.Error = "another"
	results, err = src.Append(t.Context(), []*audit.Record{other})
	fine(t, results, err)
	results, err = dst.Append(t.Context(), []*audit.Record{&twin})
	fine(t, results, err)
	refused(t, src, dst, audit.ErrConflict, other.ID.String(), `tenant "plain"`)
}

// An attempt was cut off, and then retention removed at the source what lies on
// both sides of where it stopped: nothing could prove that the rest follows.
func TestRetentionMeanwhile(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	var recs []*audit.Record
	for i := range 30 {
		recs = append(recs, event("acme", time.Duration(i)*time.Second))
	}
	appendChained(t, src, recs...)
	key := chain.Key{Scope: audit.Scope{Tenant: "acme"}}
	if err := dst.Restore(t.Context(), chain.Head{Key: key}, chain.HeadAt(recs[9]), recs[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := src.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: storetest.CorpusStart.Add(5 * time.Second)}, 100); err != nil {
		t.Fatal(err)
	}
	copyAllButEqual(t, src, dst) // a run before that place is no obstacle: the target still has it
	if _, err := src.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: storetest.CorpusStart.Add(time.Hour)}, 100); err != nil {
		t.Fatal(err)
	}
	dst2 := newMemory(t)
	if err := dst2.Restore(t.Context(), chain.Head{Key: key}, chain.HeadAt(recs[9]), recs[:10]); err != nil {
		t.Fatal(err)
	}
	refused(t, src, dst2, audit.ErrConflict, "empty the target")
	copyAllButEqual(t, src, dst) // where all was copied, the later anchors follow
}

// copyAllButEqual is copyAll where the target may have more records.
func copyAllButEqual(t *testing.T, src, dst audit.Store) {
	t.Helper()
	report, err := copying.Copy(t.Context(), src, dst, copying.Options{})
	if err != nil {
		t.Fatalf("Copy: %v", err)
	}
	for _, c := range report.Chains {
		if !c.Valid || c.Target < c.Source {
			t.Errorf("a chain was copied as %+v", c)
		}
	}
}

// Holds are added to those that the target has.
func TestHolds(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	const other = `[{"id":"0197c1a0-0000-7000-8000-000000000002","reason":"case 8","created_at":"2026-03-02T00:00:00Z","params":"actor=carol","later":[1.50]}]`
	for s, doc := range map[*memory.Store]string{src: hold, dst: other} {
		if err := s.Save(t.Context(), audit.HoldsKey, []byte(doc), 0); err != nil {
			t.Fatal(err)
		}
	}
	if report := copyAll(t, src, dst); report.Holds != 1 {
		t.Errorf("%d holds were added", report.Holds)
	}
	doc, _, err := dst.Load(t.Context(), audit.HoldsKey)
	if want := strings.TrimSuffix(other, "]") + "," + strings.TrimPrefix(hold, "["); err != nil || string(doc) != want {
		t.Errorf("the target's holds are %s, %v, want %s", doc, err, want)
	}
}

// hidden has nothing but what every store has.
type hidden struct{ audit.Store }

// A source without chains, scanner and counter; a target that cannot take chains.
func TestPlainStores(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	results, err := src.Append(t.Context(), recording(15, 300))
	fine(t, results, err)
	copyAll(t, hidden{src}, dst)
	same(t, "a plain source", export(t, src), export(t, dst))
	appendChained(t, src, event("acme", 0))
	if _, err := copying.Copy(t.Context(), src, hidden{newMemory(t)}, copying.Options{}); !errors.Is(err, audit.ErrUnsupported) {
		t.Errorf("a target without chains: got %v", err)
	}
}

func TestGivenUp(t *testing.T) {
	src, dst := newMemory(t), newMemory(t)
	fill(t, src, recording(16, 2000), 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := copying.Copy(ctx, src, dst, copying.Options{BatchSize: 20, Progress: func(p copying.Progress) {
		if p.Step == copying.StepChains && p.Done > 200 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if report := copyAll(t, src, dst); report.Present == 0 {
		t.Error("nothing was there of the first attempt")
	}
	same(t, "after all", export(t, src), export(t, dst))
}
