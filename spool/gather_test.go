package spool

import (
	"context"
	"errors"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
)

// slowDisk is one whose syncs of files take a time.
type slowDisk struct {
	osDisk
	syncs *atomic.Int64 // nanoseconds
}

type slowFile struct {
	file
	d slowDisk
}

func (d slowDisk) create(path string, size int64) (file, error) {
	f, err := d.osDisk.create(path, size)
	return slowFile{f, d}, err
}

func (f slowFile) datasync() error {
	time.Sleep(time.Duration(f.d.syncs.Load()))
	return f.file.datasync()
}

// syncing opens a spool whose syncs take d each, on a clock that stands still
// but for them.
func syncing(t *testing.T, d time.Duration, test func(t *testing.T, s *Spool)) {
	dir := fastDir(t)
	synctest.Test(t, func(t *testing.T) {
		disk := slowDisk{syncs: new(atomic.Int64)}
		opt := small()
		opt.SegmentBytes, opt.disk = 1<<20, disk
		s, err := Open(dir, opt)
		if err != nil {
			t.Fatal(err)
		}
		appendN(t, s, 9, 0, 1) // makes the directory
		synctest.Wait()
		disk.syncs.Store(int64(d))
		test(t, s)
		disk.syncs.Store(0)
		closeSpool(t, s)
	})
}

const syncTime = 150 * time.Microsecond

// A producer that is alone never waits for anybody: each entry takes one sync,
// whatever happens between, and however many there were a moment ago.
func TestLoneEntryIsCommittedAtOnce(t *testing.T) {
	syncing(t, syncTime, func(t *testing.T, s *Spool) {
		r := rand.New(rand.NewSource(1))
		alone := func(n int) {
			t.Helper()
			for i := range n {
				begin := time.Now()
				appendN(t, s, 0, i, i+1)
				if took := time.Since(begin); took != syncTime {
					t.Fatalf("entry %d took %v, one sync %v", i, took, syncTime)
				}
				time.Sleep(time.Duration(r.Intn(3)) * time.Duration(r.Intn(300)) * time.Microsecond)
			}
		}
		alone(50)
		for range 20 {
			var burst sync.WaitGroup
			for p := range 16 {
				burst.Go(func() { appendN(t, s, p+1, 0, 3) })
			}
			burst.Wait()
			alone(5)
		}
	})
}

// Producers in a loop share their syncs.
func TestProducersShareSyncs(t *testing.T) {
	syncing(t, syncTime, func(t *testing.T, s *Spool) {
		const producers, each = 16, 50
		before := s.Stats()
		var wg sync.WaitGroup
		for p := range producers {
			wg.Go(func() { appendN(t, s, p, 0, each) })
		}
		wg.Wait()
		after := s.Stats()
		entries, commits := after.Appended-before.Appended, after.Commits-before.Commits
		if entries != producers*each || commits > entries*3/(2*producers) {
			t.Errorf("%d syncs for %d entries of %d producers", commits, entries, producers)
		}
	})
}

// Those who do not come back are waited for no longer than the bound.
func TestGatherIsBounded(t *testing.T) {
	for _, tc := range []struct{ sync, leaves, want time.Duration }{
		{syncTime, 0, 0},
		{syncTime, syncTime / 3, syncTime / 3},
		{syncTime, time.Hour, syncTime},
		{time.Minute, time.Hour, gatherMost},
		{0, time.Hour, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{left: make(chan struct{}, 1), patience: time.NewTimer(time.Hour), syncTook: tc.sync}
			w.patience.Stop()
			w.left <- struct{}{} // of a group before
			g := &group{}
			g.over.Store(true)
			g.callers.Store(2)
			w.woken = g
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 2 {
					time.Sleep(tc.leaves / 2)
					if g.leave() {
						w.allLeft()
					}
				}
			}()
			if tc.leaves == 0 {
				<-done
			}
			begin := time.Now()
			w.gather()
			if waited := time.Since(begin); waited != tc.want {
				t.Errorf("%+v: waited %v", tc, waited)
			}
			begin = time.Now()
			w.gather()
			if waited := time.Since(begin); waited != 0 {
				t.Errorf("%+v: waited %v a second time", tc, waited)
			}
			<-done
		})
	}
}

// A context that ends soon is noticed soon, although nobody watches it at first.
func TestShortContextOnASlowDisk(t *testing.T) {
	syncing(t, time.Second, func(t *testing.T, s *Spool) {
		var wg sync.WaitGroup
		for p := range 4 {
			wg.Go(func() {
				time.Sleep(time.Duration(p) * 8 * time.Millisecond)
				short, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				begin := time.Now()
				if err := s.Append(short, entry(p, 0)); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%d: %v", p, err)
				}
				if held := time.Since(begin); held > 2*slowAfter {
					t.Errorf("%d was held %v", p, held)
				}
			})
		}
		wg.Wait()
	})
}
