package recorder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
	"github.com/annals-dev/annals/store/sqlite"
)

// smallDisk mounts a file system of so many bytes; it needs the right to mount.
func smallDisk(t *testing.T, size string) (dir string, grow func(size string)) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("annals", dir, "tmpfs", 0, "size="+size); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			t.Skip("needs the right to mount a tmpfs:", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, func(size string) {
		if err := syscall.Mount("annals", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
}

// The disk of the store fills up. What the spool acknowledged waits until there
// is room again, and then all of it is there once.
func TestDiskOfTheStoreFillsUp(t *testing.T) {
	disk, grow := smallDisk(t, "1536k")
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(disk, "a.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	sp := openSpool(t, t.TempDir(), spool.Options{})
	defer closeSpool(t, sp)
	r := start(t, store.AppendChained, Options{
		Durability: Spool, Spool: sp, DeadLetters: openLetters(t, t.TempDir()), Chained: true, FlushInterval: time.Millisecond,
	})
	payload := []byte(`"` + string(make([]byte, 4000)) + `"`)
	for i := range payload[1:4001] {
		payload[i+1] = 'x'
	}
	n := 0
	for ; r.Stats().FailedAttempts == 0; n++ {
		if n > 5000 {
			t.Fatal("the disk does not fill up")
		}
		ev := event(n)
		ev.Payload = payload
		mustRecord(t, r, ev, audit.StatusQueued)
	}
	for range 50 { // callers do not feel it
		ev := event(n)
		ev.Payload = payload
		mustRecord(t, r, ev, audit.StatusQueued)
		n++
	}
	st := r.Stats()
	if st.Offered != int64(n) || st.Queued == 0 || st.Failed != 0 || st.Stored+st.Queued != int64(n) {
		t.Errorf("on a full disk: %+v", st)
	}
	grow("64m")
	if diff := cmp.Diff(Account{Offered: int64(n), Stored: int64(n)}, mustClose(t, r)); diff != "" {
		t.Error(diff)
	}
	held, err := store.Count(t.Context(), &audit.Query{})
	if err != nil || held != int64(n) {
		t.Errorf("%d are stored of %d, %v", held, n, err)
	}
}

// The disk of the spool fills up: callers are refused, and what was
// acknowledged comes through.
func TestDiskOfTheSpoolFillsUp(t *testing.T) {
	disk, _ := smallDisk(t, "256k")
	sp := openSpool(t, disk, spool.Options{SegmentBytes: 64 << 10, MaxBytes: 64 << 20})
	var s store
	open := make(chan struct{})
	r := start(t, func(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
		<-open
		return s.Append(ctx, recs)
	}, Options{Durability: Spool, Spool: sp, FlushInterval: time.Millisecond, Timeout: time.Minute})
	var queued, refused int64
	for i := 0; refused < 5; i++ {
		if i > 5000 {
			t.Fatal("the disk does not fill up")
		}
		receipt, err := r.Record(t.Context(), event(i))
		switch {
		case err == nil && receipt.Status == audit.StatusQueued:
			queued++
		case errors.Is(err, audit.ErrUnavailable) && receipt.Status == audit.StatusRejected:
			refused++
		default:
			t.Fatal(receipt, err)
		}
	}
	close(open)
	if diff := cmp.Diff(Account{Offered: queued + refused, Stored: queued, Rejected: refused}, mustClose(t, r)); diff != "" {
		t.Error(diff)
	}
	if got := s.count(audit.KindEvent); got != queued {
		t.Errorf("%d are stored of %d", got, queued)
	}
	closeSpool(t, sp)
	if left, err := os.ReadDir(disk); err != nil || len(left) > 2 {
		t.Errorf("%v, %v", left, err)
	}
}
