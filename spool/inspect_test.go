package spool

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/annals-dev/annals/audit"
)

func inspect(t testing.TB, dir string) Inspection {
	t.Helper()
	in, err := Inspect(dir)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return in
}

// tree gives every file below dir with its size and time of change.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		out[path] = info.ModTime().String() + " " + info.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestInspectNothing(t *testing.T) {
	dir := filepath.Join(fastDir(t), "none")
	if diff := cmp.Diff(Inspection{}, inspect(t, dir)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("whoever only looks has made something")
	}
	if _, err := Inspect(""); !errors.Is(err, audit.ErrInvalid) {
		t.Error(err)
	}
	if diff := cmp.Diff(Inspection{}, inspect(t, fastDir(t))); diff != "" {
		t.Error(diff)
	}
}

// On a spool that is open it says what Stats says, changes nothing, and sees
// those of dead processes apart.
func TestInspectBesideARunningSpool(t *testing.T) {
	dir := fastDir(t)
	opt := Options{} // the first segment holds everything, and no other is made ready
	opt.Store, opt.Now = "sqlite 1234", func() time.Time { return time.Now().Add(-time.Hour) }
	first := open(t, dir, opt)
	appendN(t, first, 0, 0, 100)
	b := readN(t, first, 40)
	if err := first.Commit(b.Token); err != nil {
		t.Fatal(err)
	}
	letters, err := OpenDeadLetters(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := letters.Put("a", []byte("entry"), "refused", 1); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	in := inspect(t, dir)
	st := first.Stats()
	want := Inspection{Depth: 60, Bytes: st.Bytes, Held: 60, Running: true, Stores: []string{"sqlite 1234"}, Letters: 1}
	if diff := cmp.Diff(want, in, cmpopts.IgnoreFields(Inspection{}, "OldestAge", "LetterBytes")); diff != "" || st.Depth != 60 {
		t.Error(diff)
	}
	if in.OldestAge < time.Hour || in.OldestAge > 2*time.Hour || in.LetterBytes < 5 {
		t.Errorf("%+v", in)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("looking has changed: %s", diff)
	}
	closeSpool(t, first)
	if in := inspect(t, dir); in.Depth != 60 || in.Held != 0 || in.Running || len(in.Damaged) != 0 {
		t.Errorf("closed: %+v", in)
	}
	// Read to its end it is gone, but for what a new one writes.
	second := open(t, dir, opt)
	if in := inspect(t, dir); in.Depth != 60 || in.Held != 60 || !in.Running {
		t.Errorf("adopted: %+v", in)
	}
	_, last := drain(t, second)
	if err := second.Commit(last); err != nil {
		t.Fatal(err)
	}
	if in := inspect(t, dir); in.Depth != 0 || in.Bytes != 0 || in.OldestAge != 0 || in.Running {
		t.Errorf("read to its end: %+v", in)
	}
}

func TestInspectFindsDamage(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 60)
	closeSpool(t, s)
	segments := segmentsIn(t, dir)
	if len(segments) < 3 {
		t.Fatal(segments)
	}
	flip := func(path string, at int) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip(segments[0], headerSize+frameOverhead+3)
	for range 2 { // it is there as long as nobody opens the spool
		in := inspect(t, dir)
		if in.Depth != 59 || len(in.Damaged) != 1 || in.Damaged[0].Entries != 1 || in.Damaged[0].File != segments[0] || in.Damaged[0].SavedAs != "" || in.SetAside != 0 {
			t.Errorf("%+v", in)
		}
	}
	// The same in a spool that is open: a byte of what was committed long ago.
	s = open(t, dir, small())
	in := inspect(t, dir)
	if in.Depth != 59 || len(in.Damaged) != 1 || in.SetAside != 1 || in.SetAsideBytes == 0 || !in.Running {
		t.Errorf("%+v", in)
	}
	flip(segments[1], headerSize+frameOverhead+3)
	if in := inspect(t, dir); in.Depth != 58 || len(in.Damaged) != 2 {
		t.Errorf("%+v", in)
	}
	closeSpool(t, s)
	for _, file := range segments {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, withVersion(b, formatVersion+1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Inspect(dir); !errors.Is(err, audit.ErrUnsupported) {
		t.Errorf("of another version: %v", err)
	}
}

// Whatever happens meanwhile, a look finds no damage and stops nobody: not the
// producers, not the consumer, not those who close the spool and adopt it.
func TestInspectDisturbsNobody(t *testing.T) {
	dir := fastDir(t)
	stop := make(chan struct{})
	var lookers sync.WaitGroup
	looks := 0
	lookers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			in, err := Inspect(dir)
			if errors.Is(err, audit.ErrUnavailable) && errors.Is(err, os.ErrNotExist) {
				continue // it changed too fast
			}
			if err != nil || len(in.Damaged) > 0 || in.Depth < 0 || in.Depth > 4800 {
				t.Errorf("%+v, %v", in, err)
				return
			}
			looks++
		}
	})
	next := map[int]int{}
	for round := range 12 {
		s := open(t, dir, small())
		var producers sync.WaitGroup
		for p := range 4 {
			producers.Go(func() {
				for i := range 100 {
					if err := s.Append(context.Background(), entry(p, 100*round+i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for left := 200; left > 0; {
			b, err := s.Read(ctx, 20, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range b.Entries {
				p, i := parseEntry(t, e)
				if i != next[p] {
					t.Fatalf("round %d: %d of producer %d, want %d", round, i, p, next[p])
				}
				next[p]++
			}
			left -= len(b.Entries)
			if err := s.Commit(b.Token); err != nil {
				t.Fatal(err)
			}
		}
		producers.Wait()
		closeSpool(t, s)
	}
	s := open(t, dir, small())
	rest, _ := drain(t, s)
	seen := len(rest)
	for _, n := range next {
		seen += n
	}
	if seen != 12*400 {
		t.Errorf("%d entries of %d were adopted", seen, 12*400)
	}
	close(stop)
	lookers.Wait()
	if looks == 0 {
		t.Error("never a look in time")
	}
}
