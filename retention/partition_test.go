package retention

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// shelf is an engine's partitions; it remembers what was asked of it.
type shelf struct {
	mu    sync.Mutex
	list  []Partition
	calls []string
	cuts  []audit.Cut
	fail  error
}

func (s *shelf) note(call string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	return s.fail
}

func (s *shelf) EnsureMonthlyPartitions(_ context.Context, months int) error {
	if err := s.note("ensure"); err != nil {
		return err
	}
	for i := range months {
		from := time.Date(2026, time.Month(10+i), 1, 0, 0, 0, 0, time.UTC)
		if p := (Partition{Name: from.Format("2006-01"), From: from, To: from.AddDate(0, 1, 0)}); !slices.Contains(s.list, p) {
			s.list = append(s.list, p)
		}
	}
	return nil
}

func (s *shelf) DropPartitions(ctx context.Context, end time.Time, cut func(context.Context) (audit.Cut, error)) (names []string, err error) {
	c, e := cut(ctx)
	if err := errors.Join(s.note("drop"), e); err != nil {
		return nil, err
	}
	s.cuts = append(s.cuts, c)
	s.list = slices.DeleteFunc(s.list, func(p Partition) bool {
		gone := !p.To.IsZero() && !p.To.After(end)
		if gone {
			names = append(names, p.Name)
		}
		return gone
	})
	return names, nil
}

func (s *shelf) EachPartition(_ context.Context, fn func(name string, from, to time.Time, records, bytes int64) error) error {
	for _, p := range s.list {
		if err := fn(p.Name, p.From, p.To, p.Records, p.Bytes); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Maintain(context.Context) error { return s.note("maintain") }

var now = time.Date(2026, 9, 30, 22, 0, 0, 0, time.UTC)

// months are partitions of the months of 2026 from one to another.
func months(first, last time.Month) (out []Partition) {
	for m := first; m <= last; m++ {
		from := time.Date(2026, m, 1, 0, 0, 0, 0, time.UTC)
		out = append(out, Partition{Name: from.Format("2006-01"), From: from, To: from.AddDate(0, 1, 0), Records: 7, Bytes: 8192})
	}
	return out
}

func fixed() time.Time { return now }

// A run makes and drops partitions before it deletes, and maintains them last.
func TestRunCaresForPartitions(t *testing.T) {
	r, s := newRig(t), &shelf{list: months(5, 9)}
	r.before = func() { _ = s.note("delete") }
	r.add(3, "acme", now.Add(-100*day), never)
	l := r.loop(func(o *Options) { o.Partitions, o.Ceiling, o.Now = s, 90*day, fixed })
	if _, err := l.AddHold(t.Context(), Hold{Reason: "case 7", Params: "tenant=acme"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.RunNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ensure", "drop", "delete", "delete", "maintain"}, s.calls); d != "" {
		t.Errorf("the steps: %s", d)
	}
	if c := s.cuts[0]; len(c.Holds) != 1 || !c.RecordedBefore.Equal(now.Add(-90*day)) || !c.ExpiredAt.IsZero() || c.Reason != "older than 90 days" {
		t.Errorf("dropped by %+v", c)
	}
	if st := l.State(); st.Dropped != 2 || st.PartitionErrors != 0 {
		t.Errorf("%+v", st)
	}
	if len(s.list) != 3+DefaultMonthsAhead {
		t.Errorf("left are %v", s.list)
	}
}

func TestRunWithoutCeilingDropsNothing(t *testing.T) {
	r, s := newRig(t), &shelf{list: months(1, 2)}
	if _, err := r.loop(func(o *Options) { o.Partitions, o.Now = s, fixed }).RunNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ensure", "maintain"}, s.calls); d != "" {
		t.Errorf("the steps: %s", d)
	}
}

// A step that fails is counted, and the deletion of that run goes on.
func TestFailedPartitionStepsStopNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newRig(t), &shelf{fail: audit.Unavailable("in use", nil)}
		r.add(3, "acme", r.now().Add(-2*time.Hour), never)
		l := r.start(func(o *Options) { o.Partitions, o.Ceiling = s, time.Hour })
		synctest.Wait()
		r.wantLeft(0, "after the first run")
		st := l.State()
		if st.PartitionErrors != 3 || st.Errors != 0 || st.Deleted != 3 || st.LastSuccess.IsZero() {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if st := l.State(); st.PartitionErrors != 6 || st.Runs != 2 {
			t.Errorf("after the second run: %+v", st)
		}
		r.close(l)
	})
}

// Nothing is dropped while the holds cannot be read.
func TestUnreadableHoldsStopTheDrop(t *testing.T) {
	r, s := newRig(t), &shelf{list: months(1, 5)}
	if err := r.Save(t.Context(), audit.HoldsKey, []byte("no JSON"), 0); err != nil {
		t.Fatal(err)
	}
	l := r.loop(func(o *Options) { o.Partitions, o.Ceiling, o.Now = s, 90*day, fixed })
	if _, err := l.RunNow(t.Context()); audit.CodeOf(err) != audit.CodeInternal {
		t.Errorf("%v, want internal", err)
	}
	if _, err := l.DropPartitions(t.Context(), 90, false); audit.CodeOf(err) != audit.CodeInternal {
		t.Errorf("%v, want internal", err)
	}
	if len(s.list) < 5 {
		t.Errorf("left are %v", s.list)
	}
}

func TestPartitionsByHand(t *testing.T) {
	r, s := newRig(t), &shelf{list: append(months(5, 10), Partition{Name: "rest"})}
	l := r.loop(func(o *Options) { o.Partitions, o.Now = s, fixed })
	ctx := t.Context()
	got, err := l.Partitions(ctx)
	if d := cmp.Diff(s.list, got); d != "" || err != nil {
		t.Errorf("%v: %s", err, d)
	}
	next := []time.Time{time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	for _, plan := range []bool{true, false} {
		made, err := l.EnsurePartitions(ctx, 3, plan)
		if d := cmp.Diff(next, made); d != "" || err != nil {
			t.Errorf("plan %v: %v: %s", plan, err, d)
		}
	}
	if made, err := l.EnsurePartitions(ctx, 3, false); len(made) != 0 || err != nil {
		t.Errorf("again: %v, %v", made, err)
	}
	want := months(5, 6) // 90 days ago is 2026-07-02
	for _, plan := range []bool{true, false} {
		dropped, err := l.DropPartitions(ctx, 90, plan)
		if d := cmp.Diff(want, dropped); d != "" || err != nil {
			t.Errorf("plan %v: %v: %s", plan, err, d)
		}
	}
	if c := s.cuts[0]; !c.RecordedBefore.After(now) || c.Reason != "older than 90 days" {
		t.Errorf("dropped by %+v", c)
	}
	for field, err := range map[string]error{
		"months":  errOf(l.EnsurePartitions(ctx, -1, true)),
		"months ": errOf(l.EnsurePartitions(ctx, maxMonths+1, false)),
		"days":    errOf(l.DropPartitions(ctx, 0, true)),
		"days ":   errOf(l.DropPartitions(ctx, 36501, false)),
	} {
		if audit.CodeOf(err) != audit.CodeInvalid || !strings.Contains(err.Error(), strings.TrimSpace(field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
	r.grantTo("another", now.Add(time.Minute), time.Minute)
	if _, err := l.DropPartitions(ctx, 30, false); audit.CodeOf(err) != audit.CodeConflict {
		t.Errorf("while another deletes: %v", err)
	}

	bare := newRig(t).loop(nil)
	for _, err := range []error{errOf(bare.Partitions(ctx)), errOf(bare.EnsurePartitions(ctx, 1, false)), errOf(bare.DropPartitions(ctx, 1, false))} {
		if audit.CodeOf(err) != audit.CodeUnsupported {
			t.Errorf("without partitions: %v", err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }
