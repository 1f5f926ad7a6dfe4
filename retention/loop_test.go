package retention

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
)

// bubble runs a test in which time passes only when everything waits.
func bubble(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, newRig(t)) })
}

// pass lets time go by, and then everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRunsAtOnceAndThenEveryInterval(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		begin := time.Now()
		r.add(3, "", begin, begin)                         // has expired at the start
		r.add(5, "", begin, begin.Add(30*time.Minute))     // by the second run
		r.add(7, "", begin, begin.Add(time.Hour))          // at the very time of it
		r.add(11, "", begin, begin.Add(time.Hour+1000))    // a microsecond later
		r.add(13, "", begin, never)                        // never
		r.add(17, "", begin.Add(-24*time.Hour), never)     // at the ceiling, which is what is before it
		r.add(19, "", begin.Add(-24*time.Hour-1e3), never) // above the ceiling
		l := r.start(func(o *Options) { o.Ceiling = day })
		synctest.Wait()
		r.wantLeft(5+7+11+13+17, "at the start")
		s := l.State()
		if !s.Running || s.Leading || s.Runs != 1 || s.Deleted != 22 || s.LastRun.Expired != 3 || s.LastRun.Ceiling != 19 || s.LastRun.Batches != 2 {
			t.Errorf("state: %+v, last run %+v", s, s.LastRun)
		}
		if !s.NextRun.Equal(begin.Add(time.Hour)) || !s.LastSuccess.Equal(begin) {
			t.Errorf("next run at %v, last success at %v", s.NextRun, s.LastSuccess)
		}
		pass(time.Hour - time.Nanosecond)
		r.wantLeft(5+7+11+13+17, "just before the second run")
		pass(time.Nanosecond)
		r.wantLeft(11+13, "at the second run")
		pass(time.Hour)
		r.wantLeft(13, "at the third run")
		if s := l.State(); s.Runs != 3 || s.Deleted != 22+29+11 || s.Errors != 0 || s.SkippedClock+s.SkippedLease != 0 {
			t.Errorf("state: %+v", s)
		}
		pass(24 * time.Hour)
		r.wantLeft(0, "a day later")
		r.close(l)
		if s := l.State(); s.Running || !s.NextRun.IsZero() {
			t.Errorf("after Close: %+v", s)
		}
	})
}

func TestWithoutACeilingOnlyWhatExpiresGoes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(2, "", time.Now().AddDate(-20, 0, 0), never)
		r.start(nil)
		pass(100 * time.Hour)
		r.wantLeft(2, "after 100 hours")
	})
}

func TestBatches(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(50, "", time.Now(), time.Now())
		r.add(7, "", time.Now(), never)
		r.start(func(o *Options) { o.BatchSize = 10 })
		synctest.Wait()
		if want := []int{10, 10, 10, 10, 10}; !slices.Equal(r.batches, want) {
			t.Errorf("batches %v, want %v", r.batches, want)
		}
		r.wantLeft(7, "afterwards")
	})
}

func TestAFailedRunIsCountedAndTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(2, "", time.Now(), time.Now())
		r.fail = audit.Unavailable("the disk is away", errors.New("secret detail"))
		var log bytes.Buffer
		l := r.start(func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		pass(2*time.Hour + time.Minute)
		s := l.State()
		if s.Runs != 3 || s.Errors != 3 || !s.LastSuccess.IsZero() || s.LastRun.Error != "the disk is away" {
			t.Errorf("state: %+v, last run %+v", s, s.LastRun)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 3 {
			t.Errorf("%d lines for 3 failed runs:\n%s", n, log.String())
		}
		r.do(func() { r.fail = nil })
		pass(time.Hour)
		r.wantLeft(0, "once the store is back")
		if s := l.State(); s.Errors != 3 || s.LastSuccess.IsZero() || s.LastRun.Error != "" {
			t.Errorf("state: %+v", s)
		}
	})
}

// A clock that is an hour ahead deletes nothing early, one that is an hour
// behind loses nothing, and both are noticed.
func TestAClockThatJumps(t *testing.T) {
	for name, c := range map[string]struct {
		step time.Duration
		back time.Duration // after which the step is undone; 0 is never
		left []int64       // after 1, 2, 3 hours
	}{
		// The record expires 90 minutes after the start, by the true clock.
		"forward, and right again soon": {time.Hour, 30 * time.Minute, []int64{1, 0, 0}},
		"forward for longer":            {time.Hour, 70 * time.Minute, []int64{1, 1, 0}},
		"back, and right again soon":    {-time.Hour, 30 * time.Minute, []int64{1, 0, 0}},
		"back for good":                 {-time.Hour, 0, []int64{1, 1, 0}},
		"not at all":                    {0, 0, []int64{1, 0, 0}},
		"by half a minute":              {30 * time.Second, 0, []int64{1, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				begin := time.Now()
				r.add(1, "", begin, begin.Add(90*time.Minute))
				l := r.start(nil)
				synctest.Wait()
				time.Sleep(10 * time.Minute)
				r.set(c.step)
				if c.back > 0 {
					time.AfterFunc(c.back, func() { r.set(-c.step) })
				}
				time.Sleep(51 * time.Minute)
				for hour, want := range c.left {
					synctest.Wait()
					if got := r.left(""); got != want {
						t.Errorf("after %d hours %d are left, want %d; %+v", hour+1, got, want, l.State())
					}
					time.Sleep(time.Hour)
				}
				if s := l.State(); (s.SkippedClock > 0) != (c.left[1] > 0 && c.step > -time.Hour || c.step == -time.Hour && c.back == 0) {
					t.Errorf("skipped %d times", s.SkippedClock)
				}
			})
		})
	}
}

// After a jump the clock must go steadily for a whole interval, also where the
// jump was noticed while the loop waited for another's lease.
func TestAJumpStartsTheIntervalAnew(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		l := r.loop(nil)
		l.lease.ttl = time.Minute
		r.grantTo("other", time.Now().Add(time.Minute), time.Minute)
		if err := l.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.set(3 * time.Hour)
		pass(time.Minute)
		if s := l.State(); s.SkippedClock != 1 || s.SkippedLease != 1 || r.looks() != 0 {
			t.Fatalf("%+v, %d looks", s, r.looks())
		}
		pass(time.Hour - time.Second)
		if n := r.looks(); n != 0 {
			t.Errorf("%d looks within the interval", n)
		}
		pass(time.Second)
		if n := r.looks(); n == 0 {
			t.Error("no look after the interval")
		}
	})
}

func TestRunNow(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(3, "", time.Now(), time.Now())
		l := r.loop(nil) // not started
		run, err := l.RunNow(t.Context())
		if err != nil || run.Deleted != 3 || run.Expired != 3 || run.Batches != 1 || run.Error != "" {
			t.Fatalf("%+v, %v", run, err)
		}
		if s := l.State(); s.Running || s.Runs != 1 || s.LastRun != run {
			t.Errorf("state: %+v", s)
		}

		// A clock that was set: the caller has to say that it is right.
		r.add(1, "", time.Now(), time.Now().Add(time.Hour))
		r.set(2 * time.Hour)
		if _, err := l.RunNow(t.Context()); audit.CodeOf(err) != audit.CodeConflict || !strings.Contains(err.Error(), "2h0m0s") {
			t.Errorf("with the clock set: %v", err)
		}
		r.wantLeft(1, "with the clock set")
		if run, err := l.RunNow(t.Context()); err != nil || run.Deleted != 1 {
			t.Errorf("asked again: %+v, %v", run, err)
		}

		// One at a time.
		release := make(chan struct{})
		r.do(func() { r.before = func() { <-release } })
		go l.RunNow(context.WithoutCancel(t.Context()))
		synctest.Wait()
		if !l.State().Leading {
			t.Error("a run is under way, and the state does not say so")
		}
		for name, call := range map[string]func() error{
			"RunNow": func() error { _, err := l.RunNow(t.Context()); return err },
			"Delete": func() error { _, err := l.Delete(t.Context(), audit.Cut{ExpiredAt: r.now()}, 1); return err },
		} {
			if err := call(); audit.CodeOf(err) != audit.CodeConflict {
				t.Errorf("%s during a run: %v", name, err)
			}
		}
		close(release)
		synctest.Wait()

		r.close(l)
		if _, err := l.RunNow(t.Context()); !errors.Is(err, audit.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := l.Start(); !errors.Is(err, audit.ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}
	})
}

// Close gives up what is under way, waits for it, and no longer than it may.
func TestCloseWaits(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.add(30, "", time.Now(), time.Now())
		r.before = func() { <-release }
		l := r.start(func(o *Options) { o.BatchSize = 10 })
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(short); audit.CodeOf(err) != audit.CodeUnavailable {
			t.Errorf("Close while a batch hangs: %v", err)
		}
		closed := make(chan error, 1)
		go func() { closed <- l.Close(context.Background()) }()
		synctest.Wait()
		if len(closed) > 0 {
			t.Error("Close did not wait")
		}
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Errorf("Close again: %v", err)
		}
		if s := l.State(); s.Errors != 0 || s.Leading {
			t.Errorf("state: %+v", s)
		}
		if _, _, err := r.Load(t.Context(), leaseKey); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("the lease is still there: %v", err)
		}
	})
}

func TestStartTwice(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		l := r.start(nil)
		if err := l.Start(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s := l.State(); s.Runs != 1 {
			t.Errorf("%d runs", s.Runs)
		}
	})
}

// An engine without documents has retention all the same.
func TestWithoutKeeper(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(3, "", time.Now(), time.Now())
		l, err := New(r, nil, Options{Now: r.now, Logger: discard})
		if err != nil {
			t.Fatal(err)
		}
		defer r.close(l)
		if run, err := l.RunNow(t.Context()); err != nil || run.Deleted != 3 {
			t.Errorf("%+v, %v", run, err)
		}
		if holds, err := l.Holds(t.Context()); err != nil || len(holds) != 0 || holds == nil {
			t.Errorf("Holds: %v, %v", holds, err)
		}
		if _, err := l.AddHold(t.Context(), Hold{Reason: "x", Params: "tenant=a"}); audit.CodeOf(err) != audit.CodeUnsupported {
			t.Errorf("AddHold: %v", err)
		}
	})
}
