package spool

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestOneLineAnInterval: a disk that fails for a minute is a few lines in the log.
func TestOneLineAnInterval(t *testing.T) {
	var out bytes.Buffer
	var mu sync.Mutex
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	d := &faultDisk{onCreate: always(syscall.ENOSPC)}
	opt := small()
	opt.disk, opt.Logger = d, slog.New(slog.NewTextHandler(&out, nil))
	opt.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s := open(t, fastDir(t), opt)
	for second := range 60 {
		if second > 0 {
			mu.Lock()
			now = now.Add(time.Second)
			mu.Unlock()
		}
		for range 10 {
			if err := s.Append(ctx, []byte("x")); err == nil {
				t.Fatal("a full disk acknowledged")
			}
		}
	}
	closeSpool(t, s)
	// The line is written after the caller was answered, so it may see the
	// next second: the last one is 59, and there is no sixtieth to see.
	if n := strings.Count(out.String(), "refuses entries"); n != 6 {
		t.Errorf("%d lines, want 6:\n%s", n, out.String())
	}
	if !strings.Contains(out.String(), "held_back=") {
		t.Errorf("no line says how many were held back:\n%s", out.String())
	}
}

func TestWarningLevelIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	s := open(t, fastDir(t), Options{
		MaxBytes: 10 << 10, SegmentBytes: MinSegmentBytes, Logger: slog.New(slog.NewTextHandler(&out, nil)),
	})
	for s.Append(ctx, make([]byte, 500)) == nil {
	}
	_, last := drain(t, s)
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	if n := strings.Count(out.String(), "filling up"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, out.String())
	}
	if n := strings.Count(out.String(), "below its warning level"); n != 1 {
		t.Errorf("%d all-clears:\n%s", n, out.String())
	}
}
