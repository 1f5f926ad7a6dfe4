package recorder

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// hanging is a spool whose disk answers when it is told to, and as it is told.
type hanging struct {
	*spool.Spool
	answer chan error

	mu     sync.Mutex
	failed int64
}

func (h *hanging) AppendBatch(ctx context.Context, entries [][]byte) (uint64, error) {
	if len(entries) != 1 {
		return h.Spool.AppendBatch(ctx, entries)
	}
	written := make(chan error, 1)
	own := append([]byte(nil), entries[0]...)
	go func() {
		err := <-h.answer
		if err == nil {
			err = h.Spool.Append(context.Background(), own)
		} else {
			h.mu.Lock()
			h.failed++
			h.mu.Unlock()
		}
		written <- err
	}()
	select {
	case err := <-written:
		return 0, err
	case <-ctx.Done():
		return 0, audit.Unavailable("no answer yet", context.Cause(ctx))
	}
}

func (h *hanging) Stats() spool.Stats {
	st := h.Spool.Stats()
	h.mu.Lock()
	defer h.mu.Unlock()
	st.Failed += h.failed
	return st
}

// A disk that hangs holds a caller for the timeout. What becomes of the event
// is open then, and the balance finds out.
func TestHangingDiskLeavesTheOutcomeOpen(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var s store
		disk := &hanging{Spool: sp, answer: make(chan error)}
		r := start(t, s.Append, Options{Durability: Spool, Spool: sp, disk: disk, Timeout: 2 * time.Second, FlushInterval: time.Second})
		for i := range 3 {
			begin := time.Now()
			receipt, err := r.Record(t.Context(), event(i))
			if !errors.Is(err, audit.ErrUnavailable) || receipt.Status != audit.StatusQueued || receipt.Reason != ReasonOpen || !isTimeout(time.Since(begin), 2*time.Second) {
				t.Errorf("%+v, %v after %v", receipt, err, time.Since(begin))
			}
		}
		if st := r.Stats(); st.Queued != 3 || st.Offered != 3 || st.Rejected != 0 {
			t.Errorf("in the dark: %+v", st)
		}
		diskFull := audit.Unavailable("the disk is full", errors.New("ENOSPC"))
		disk.answer <- nil
		disk.answer <- diskFull
		time.Sleep(5 * time.Second) // nobody else comes to wake the pump
		synctest.Wait()
		if st := r.Stats(); st.Queued != 1 || st.Stored != 1 || st.Rejected != 1 || st.Offered != 3 {
			t.Errorf("after two answers: %+v", st)
		}
		// One who hears the refusal himself.
		refused := make(chan error)
		go func() {
			_, err := r.Record(t.Context(), event(3))
			refused <- err
		}()
		synctest.Wait()
		disk.answer <- diskFull
		disk.answer <- diskFull
		if err := <-refused; !errors.Is(err, audit.ErrUnavailable) {
			t.Error(err)
		}
		if diff := cmp.Diff(Account{Offered: 4, Stored: 1, Rejected: 3}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
	})
}

// Close does not wait for a disk that hangs longer than it is given.
func TestCloseWithAHangingDisk(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		disk := &hanging{Spool: sp, answer: make(chan error)}
		r := start(t, (&store{}).Append, Options{Durability: Spool, Spool: sp, disk: disk, Timeout: 2 * time.Second})
		_, _ = r.Record(t.Context(), event(1))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		a, err := r.Close(ctx)
		if diff := cmp.Diff(Account{Offered: 1, Unwritten: 1}, a); diff != "" || err != nil && time.Since(begin) > 10*time.Second+closeGrace {
			t.Errorf("%v after %v: %s", err, time.Since(begin), diff)
		}
		disk.answer <- nil
	})
}
