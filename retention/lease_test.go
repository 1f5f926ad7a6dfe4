package retention

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Two loops on one store: while one deletes the other does not, and it does not
// run after it either before its own time comes.
func TestOneOfTwoLoopsRuns(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(3, "", time.Now(), time.Now())
		release := make(chan struct{})
		r.before = func() { <-release }
		a := r.start(nil)
		synctest.Wait()
		b := r.start(nil)
		pass(30 * time.Second)
		if !a.State().Leading || b.State().Leading || b.State().SkippedLease != 1 || r.looks() != 1 {
			t.Fatalf("a %+v\nb %+v\n%d looks", a.State(), b.State(), r.looks())
		}
		r.do(func() { r.before = nil })
		close(release)
		synctest.Wait()
		looks := r.looks()
		pass(29 * time.Minute)
		if r.looks() != looks || b.State().Runs != 0 || a.State().Runs != 1 {
			t.Errorf("the other ran too: %+v", b.State())
		}
		if _, err := b.RunNow(t.Context()); err != nil {
			t.Errorf("the lease was not given back: %v", err)
		}
		r.wantLeft(0, "afterwards")
	})
}

// A process that dies in a run leaves its lease behind: it runs out, whatever
// its clock said, and another one takes over.
func TestTakeOver(t *testing.T) {
	for name, until := range map[string]time.Duration{
		"its clock was right":        time.Minute,
		"its clock was a year ahead": 365 * day,
		"it died a day ago":          -day,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.add(3, "", time.Now(), time.Now())
				r.grantTo("dead", time.Now().Add(until), time.Minute)
				l := r.start(nil)
				synctest.Wait()
				if until > 0 {
					r.wantLeft(3, "while the lease may be alive")
					if _, err := l.RunNow(t.Context()); audit.CodeOf(err) != audit.CodeConflict {
						t.Errorf("RunNow: %v", err)
					}
					pass(time.Minute - time.Second)
					r.wantLeft(3, "a second before its end")
					pass(time.Second)
				}
				r.wantLeft(0, "after its end")
				if s := l.State(); s.Runs != 1 || s.Errors != 0 {
					t.Errorf("state: %+v", s)
				}
			})
		})
	}
}

// A process that renews its lease keeps it, and one that stops for longer than
// the lease lasts notices that it was taken over, and deletes no more.
func TestLosingTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(100, "", time.Now(), time.Now())
		gate := make(chan struct{})
		r.before = func() { <-gate }
		slow := func(o *Options) { o.BatchSize = 10 }
		a := r.start(slow)
		synctest.Wait()
		b := r.start(slow)
		for range 5 { // batches of 40 seconds, and a pause
			pass(40 * time.Second)
			gate <- struct{}{}
			pass(15 * time.Second)
		}
		if got := r.left(""); got != 50 || b.State().Runs != 0 || !a.State().Leading {
			t.Fatalf("%d left, a %+v, b %+v", got, a.State(), b.State())
		}
		pass(2 * time.Minute) // a hangs, and b takes over
		if !b.State().Leading {
			t.Fatalf("b did not take over: %+v", b.State())
		}
		close(gate)
		pass(time.Minute) // the pauses
		if s := a.State(); s.Errors != 1 || s.LastRun.Error != public(errLost) {
			t.Errorf("a: %+v, %+v", s, s.LastRun)
		}
		if s := b.State(); s.Runs != 1 || s.Errors != 0 {
			t.Errorf("b: %+v", s)
		}
		r.wantLeft(0, "afterwards")
	})
}

// A lease that cannot be read is no reason never to delete again.
func TestUnreadableLease(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add(1, "", time.Now(), time.Now())
		if err := r.Save(t.Context(), leaseKey, []byte("?"), 0); err != nil {
			t.Fatal(err)
		}
		r.start(nil)
		synctest.Wait()
		r.wantLeft(0, "afterwards")
	})
}
