package spool

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// TestHungDisk: a disk that takes a write and never answers holds a caller no
// longer than its context, and what it then syncs is acknowledged to those who
// still wait.
func TestHungDisk(t *testing.T) {
	dir := fastDir(t)
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		d := &faultDisk{onSync: func(path string) error { <-answer; return nil }}
		opt := small()
		opt.disk = d
		s, err := Open(dir, opt)
		if err != nil {
			t.Fatal(err)
		}
		limit := func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, 5*time.Second) }
		var errs [30]error
		var wg sync.WaitGroup
		start := time.Now()
		for i := range errs { // the first hangs in the sync, some wait for the next, the rest for room
			wg.Go(func() {
				c, cancel := limit()
				defer cancel()
				errs[i] = s.Append(c, entry(0, i))
			})
			synctest.Wait()
		}
		patient := make(chan error)
		go func() { patient <- s.Append(ctx, entry(0, 99)) }()
		wg.Wait()
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("callers were held %v", waited)
		}
		taken := 0
		for i, err := range errs {
			switch {
			case !errors.Is(err, context.DeadlineExceeded):
				t.Fatalf("%d: %v", i, err)
			case errors.Is(err, audit.ErrUnavailable):
				if taken != i {
					t.Errorf("entry %d was taken after one before it was not", i)
				}
				taken++
			case !errors.Is(err, audit.ErrBacklog):
				t.Fatalf("%d: %v", i, err)
			}
		}
		if taken < 2 || taken == len(errs) {
			t.Errorf("%d of %d entries were taken", taken, len(errs))
		}
		if st := s.Stats(); st.Depth != 0 || st.Appended != 0 {
			t.Errorf("stats: %+v", st)
		}
		c, cancel := limit()
		if err := s.Close(c); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		cancel()
		close(answer)
		if err := <-patient; err != nil && !errors.Is(err, audit.ErrClosed) {
			t.Errorf("the one who waited: %v", err)
		}
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close, when the disk has answered: %v", err)
		}
		// The callers left, and their entries are durable all the same.
		s, err = Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		got, _ := drain(t, s)
		if d := cmp.Diff(upTo(0, taken), numbers(t, got)); d != "" {
			t.Error(d)
		}
		closeSpool(t, s)
	})
}
