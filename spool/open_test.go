package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func TestMaxBytes(t *testing.T) {
	opt := Options{MaxBytes: 20 << 10, WarnBytes: 10 << 10, SegmentBytes: MinSegmentBytes, MaxEntry: 1000}
	s := open(t, t.TempDir(), opt)
	e := make([]byte, 1000-frameOverhead)
	n := 0
	for {
		err := s.Append(ctx, e)
		if err == nil {
			n++
			if warned := s.Stats().Warned; warned != (n*1000 >= 10<<10) {
				t.Fatalf("after %d entries Warned is %v", n, warned)
			}
			continue
		}
		if !errors.Is(err, ErrFull) || !errors.Is(err, audit.ErrBacklog) || !strings.Contains(err.Error(), "20480") {
			t.Fatalf("full: %v", err)
		}
		break
	}
	if n != 20 {
		t.Errorf("%d entries fitted, want 20", n)
	}
	if st := s.Stats(); st.Full != 1 || st.Bytes != 20_000 {
		t.Errorf("stats: %+v", st)
	}
	b := readN(t, s, 2)
	if err := s.Commit(b.Token); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.Append(ctx, e); (err == nil) != (i < len(b.Entries)) {
			t.Errorf("append %d after a commit of %d: %v", i, len(b.Entries), err)
		}
	}
	_, last := drain(t, s)
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Warned || st.Bytes != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestOptions(t *testing.T) {
	for field, opt := range map[string]Options{
		"spool.max_bytes":     {MaxBytes: -1},
		"spool.warn_bytes":    {WarnBytes: 2 << 30},
		"spool.segment_bytes": {SegmentBytes: 1},
		"spool.max_entry":     {MaxEntry: MaxMaxEntry + 1},
	} {
		_, err := Open(t.TempDir(), opt)
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := Open("", Options{}); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Open(t.TempDir(), Options{MaxBytes: 100, MaxEntry: 100}); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("an entry that can never fit: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("a file as directory: %v", err)
	}
}

func TestModesAndUnusedSpoolLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, dir, small())
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the base directory: %v, %v", info.Mode(), err)
	}
	if homes := homesIn(t, dir); len(homes) != 0 {
		t.Errorf("a spool that was not written to made %v", homes)
	}
	appendN(t, s, 0, 0, 1)
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoSpoolsOnOneDirectory(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, small())
	appendN(t, a, 0, 0, 5)
	b := open(t, dir, small())
	if rec := b.Recovery(); rec.Entries != 0 || len(rec.Adopted) != 0 {
		t.Errorf("the directory of a living spool was adopted: %+v", rec)
	}
	appendN(t, b, 1, 0, 5)
	if got, _ := drain(t, a); len(got) != 5 {
		t.Errorf("%d entries", len(got))
	}
	closeSpool(t, a)
	c := open(t, dir, small())
	got, _ := drain(t, c)
	if d := cmp.Diff(upTo(0, 5), numbers(t, got)); d != "" {
		t.Fatal(d)
	}
}

func TestOldestAge(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	opt := small()
	var mu sync.Mutex
	opt.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	dir := t.TempDir()
	s := open(t, dir, opt)
	appendN(t, s, 0, 0, 1)
	pass(time.Minute)
	appendN(t, s, 0, 1, 2)
	pass(time.Minute)
	if got := s.Stats().OldestAge; got != 2*time.Minute {
		t.Errorf("oldest age is %v", got)
	}
	b := readN(t, s, 1)
	if err := s.Commit(b.Token); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().OldestAge; got != time.Minute {
		t.Errorf("oldest age after a commit is %v", got)
	}
	closeSpool(t, s)
	s = open(t, dir, opt)
	if got := s.Stats().OldestAge; got != time.Minute {
		t.Errorf("oldest age after a restart is %v", got)
	}
	pass(-time.Hour)
	if got := s.Stats().OldestAge; got != 0 {
		t.Errorf("oldest age after the clock went back is %v", got)
	}
}

func TestForeignFilesStay(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 1)
	closeSpool(t, s)
	note := filepath.Join(homesIn(t, dir)[0], "note.txt")
	if err := os.WriteFile(note, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, small())
	got, last := drain(t, s)
	if len(got) != 1 {
		t.Fatalf("%d entries", len(got))
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	if _, err := os.Stat(note); err != nil {
		t.Error(err)
	}
	s = open(t, dir, small())
	if got, _ := drain(t, s); len(got) != 0 {
		t.Errorf("%d committed entries came again", len(got))
	}
}
