package retention

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func hold(params string) Hold { return Hold{Reason: "case 7", CreatedBy: "legal", Params: params} }

func TestHoldsSurvive(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		old := time.Now().AddDate(-1, 0, 0)
		r.add(4, "acme", old, time.Now()) // has expired, and is above the ceiling
		r.add(3, "acme", old, never)
		r.add(5, "other", old, time.Now())
		r.add(2, "other", old.AddDate(0, 1, 0), never)
		l := r.loop(func(o *Options) { o.Ceiling = 90 * day })
		first, err := l.AddHold(t.Context(), hold("tenant=acme"))
		if err != nil {
			t.Fatal(err)
		}
		window := "from=" + old.AddDate(0, 0, 20).UTC().Format(time.DateOnly) + "&to=" + time.Now().UTC().Format(time.DateOnly)
		second, err := l.AddHold(t.Context(), hold(window))
		if err != nil {
			t.Fatal(err)
		}
		run, err := l.RunNow(t.Context())
		if err != nil || run.Deleted != 5 {
			t.Errorf("%+v, %v", run, err)
		}
		if a, o := r.left("acme"), r.left("other"); a != 7 || o != 2 {
			t.Errorf("%d and %d are left, want 7 and 2", a, o)
		}
		got, err := l.Holds(t.Context())
		if diff := cmp.Diff([]Hold{first, second}, got); diff != "" || err != nil {
			t.Errorf("Holds: %v\n%s", err, diff)
		}

		if removed, err := l.RemoveHold(t.Context(), first.ID); err != nil || removed != first {
			t.Errorf("RemoveHold: %+v, %v", removed, err)
		}
		if _, err := l.RemoveHold(t.Context(), first.ID); audit.CodeOf(err) != audit.CodeNotFound {
			t.Errorf("RemoveHold again: %v", err)
		}
		if run, err = l.RunNow(t.Context()); err != nil || run.Expired != 4 || run.Ceiling != 3 {
			t.Errorf("%+v, %v", run, err)
		}
		r.wantLeft(2, "with the window held")

		// A deletion that somebody asks for by hand heeds holds too.
		n, err := l.Delete(t.Context(), audit.Cut{RecordedBefore: time.Now()}, 10)
		if err != nil || n != 0 {
			t.Errorf("Delete: %d, %v", n, err)
		}
		if _, err := l.RemoveHold(t.Context(), second.ID); err != nil {
			t.Error(err)
		}
		if n, err = l.Delete(t.Context(), audit.Cut{RecordedBefore: time.Now()}, 10); err != nil || n != 2 {
			t.Errorf("Delete without holds: %d, %v", n, err)
		}
	})
}

func TestHoldsAreChecked(t *testing.T) {
	r := newRig(t)
	l := r.loop(nil)
	for _, c := range []struct {
		name  string
		hold  Hold
		field string
	}{
		{"no params", hold(""), "params"},
		{"blank reason", Hold{Reason: " ", Params: "tenant=a"}, "reason"},
		{"long reason", Hold{Reason: strings.Repeat("x", MaxHoldReason+1), Params: "tenant=a"}, "reason"},
		{"bad author", Hold{Reason: "x", CreatedBy: "\xff", Params: "tenant=a"}, "created_by"},
		{"text", hold("q=fox"), "params"},
		{"open", hold("open=true"), "params"},
		{"order", hold("order=oldest"), "params"},
		{"limit", hold("limit=5"), "params"},
		{"cursor", hold("cursor=x"), "params"},
		{"malformed", hold("%zz"), "params"},
		{"not a dimension", hold("tenantt=a"), "tenantt"},
		{"not a time", hold("from=yesterday"), "from"},
		{"a bad window", hold("from=2026-02-01&to=2026-01-01"), "to"},
		{"long params", hold("tenant.not=" + strings.Repeat("a&tenant.not=b", 10) + "&actor=" + strings.Repeat("é", 128) + "&resource_type=" + strings.Repeat("é", 128) + "&action=" + strings.Repeat("é", 128)), "params"},
		{"bad id", Hold{ID: "7", Reason: "x", Params: "tenant=a"}, "id"},
	} {
		_, err := l.AddHold(t.Context(), c.hold)
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != c.field {
			t.Errorf("%s: got %v, want an error about %s", c.name, err, c.field)
		}
	}
	if holds, err := l.Holds(t.Context()); err != nil || len(holds) != 0 {
		t.Errorf("%v, %v", holds, err)
	}
}

// Adding again under the same id is harmless, as a sender may try again.
func TestAddingAHoldAgain(t *testing.T) {
	r := newRig(t)
	l := r.loop(nil)
	h := hold("tenant=b&tenant=a&from=2026-01-01")
	h.ID = audit.NewID().String()
	first, err := l.AddHold(t.Context(), h)
	if err != nil || first.Params != "from=2026-01-01T00%3A00%3A00Z&tenant=a&tenant=b" || first.ID != h.ID {
		t.Fatalf("%+v, %v", first, err)
	}
	r.set(time.Hour)
	if again, err := l.AddHold(t.Context(), h); err != nil || again != first {
		t.Errorf("again: %+v, %v", again, err)
	}
	h.Reason = "another"
	if _, err := l.AddHold(t.Context(), h); audit.CodeOf(err) != audit.CodeConflict {
		t.Errorf("with other content: %v", err)
	}
	if holds, err := l.Holds(t.Context()); err != nil || len(holds) != 1 {
		t.Errorf("%v, %v", holds, err)
	}
}

func TestManyHolds(t *testing.T) {
	r := newRig(t)
	l := r.loop(nil)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				if _, err := l.AddHold(t.Context(), hold(fmt.Sprintf("tenant=t%d.%d", w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	holds, err := l.Holds(t.Context())
	if err != nil || len(holds) != 80 {
		t.Fatalf("%d holds, %v", len(holds), err)
	}
	for i := len(holds); i < MaxHolds-1; i++ {
		holds = append(holds, Hold{ID: audit.NewID().String(), Reason: "r", CreatedAt: time.Now(), Params: fmt.Sprintf("tenant=%d", i)})
	}
	r.keep(holds)
	if _, err := l.AddHold(t.Context(), hold("tenant=999")); err != nil {
		t.Fatalf("the last: %v", err)
	}
	if _, err := l.AddHold(t.Context(), hold("tenant=one-too-many")); audit.CodeOf(err) != audit.CodeTooLarge {
		t.Errorf("one too many: %v", err)
	}
	r.add(2, "998", time.Now(), time.Now())
	r.add(1, "999", time.Now(), time.Now())
	r.add(1, "free", time.Now(), time.Now())
	if run, err := l.RunNow(t.Context()); err != nil || run.Deleted != 1 {
		t.Errorf("%+v, %v", run, err)
	}
	r.wantLeft(3, "with a thousand holds")
	if _, err := l.RemoveHold(t.Context(), holds[3].ID); err != nil {
		t.Error(err)
	}
	// Long ones have no room before they are a thousand.
	large := hold("tenant=a")
	large.Reason = strings.Repeat("x", MaxHoldReason)
	one, err := json.Marshal(large)
	if err != nil {
		t.Fatal(err)
	}
	r.keep(slices.Repeat([]Hold{large}, audit.MaxKeptValue/(len(one)+1)))
	if _, err := l.AddHold(t.Context(), large); audit.CodeOf(err) != audit.CodeTooLarge {
		t.Errorf("large holds: %v", err)
	}
}

// keep puts a list of holds into the store as it is.
func (r *rig) keep(holds []Hold) {
	r.t.Helper()
	doc, err := json.Marshal(holds)
	if err != nil {
		r.t.Fatal(err)
	}
	_, version, err := r.Load(r.t.Context(), audit.HoldsKey)
	if err != nil && !errors.Is(err, audit.ErrNotFound) {
		r.t.Fatal(err)
	}
	if err := r.Save(r.t.Context(), audit.HoldsKey, doc, version); err != nil {
		r.t.Fatal(err)
	}
}

// Where the holds cannot be read nothing is deleted.
func TestUnreadableHolds(t *testing.T) {
	for name, doc := range map[string]string{
		"not a list":    `{"id":1}`,
		"a bad hold":    `[{"id":"1","params":"nothing=1"}]`,
		"an empty hold": `[{"id":"1"}]`,
	} {
		r := newRig(t)
		l := r.loop(nil)
		r.add(3, "", time.Now(), time.Now())
		if err := r.Save(t.Context(), audit.HoldsKey, []byte(doc), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := l.RunNow(t.Context()); err == nil || l.State().Errors != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := l.Plan(t.Context()); err == nil {
			t.Errorf("%s: the plan knows nothing of it", name)
		}
		r.wantLeft(3, name)
	}
}

// A hold that was added in the middle of a run is heeded from the next batch on,
// and AddHold returns only when the batch under way has ended, here or elsewhere.
func TestAHoldDuringARun(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(30, "acme", time.Now(), time.Now())
		gate := make(chan struct{})
		r.before = func() { <-gate }
		l := r.start(func(o *Options) { o.BatchSize = 10 })
		elsewhere := r.loop(nil)
		synctest.Wait() // the first batch is under way, and knows no hold
		added := make(chan error, 1)
		go func() {
			_, err := elsewhere.AddHold(t.Context(), hold("tenant=acme"))
			added <- err
		}()
		pass(time.Second)
		if len(added) > 0 {
			t.Error("AddHold did not wait for the batch under way")
		}
		gate <- struct{}{}
		pass(2 * time.Second)
		if err := <-added; err != nil {
			t.Error(err)
		}
		close(gate)
		synctest.Wait()
		if !slices.Equal(r.batches, []int{10}) {
			t.Errorf("batches %v", r.batches)
		}
		r.wantLeft(20, "afterwards")
		if s := l.State(); s.LastRun.Deleted != 10 {
			t.Errorf("last run %+v", s.LastRun)
		}
	})
}

// A lease of a process that died does not hold AddHold up for longer than it lasts.
func TestAHoldBesideADeadLease(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		l := r.loop(nil)
		begin := time.Now()
		r.grantTo("dead", begin.Add(365*day), time.Minute)
		if _, err := l.AddHold(t.Context(), hold("tenant=a")); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < time.Minute || took > time.Minute+settlePoll {
			t.Errorf("it waited %v", took)
		}
		r.grantTo("dead", begin.Add(-day), time.Minute)
		begin = time.Now()
		if _, err := l.AddHold(t.Context(), hold("tenant=b")); err != nil || time.Since(begin) > 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
