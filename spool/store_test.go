package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func feeding(store string) Options {
	return Options{Logger: quietLogger(), Store: store}
}

// wantOther checks that the spool is refused, with both stores in the message,
// and that nothing was touched.
func wantOther(t testing.TB, dir, theirs, ours string) {
	t.Helper()
	before := tree(t, dir)
	s, err := Open(dir, feeding(ours))
	var e *audit.Error
	if !errors.As(err, &e) || e.Code != audit.CodeConflict || e.Field != "spool.dir" ||
		!strings.Contains(e.Message, `"`+theirs+`"`) || !strings.Contains(e.Message, `"`+ours+`"`) || !strings.Contains(e.Message, dir) {
		t.Errorf("%q on what is for %q: %v", ours, theirs, err)
	}
	if s != nil {
		closeSpool(t, s)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("the refusal has changed: %s", diff)
	}
}

const storeA, storeB = "postgres 0123456789abcdef", "sqlite 0123456789abcdef"

func TestEntriesOfAnotherStoreAreRefused(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, feeding(storeA))
	if again := open(t, dir, feeding(storeB)); again != nil {
		closeSpool(t, again) // nothing was written yet: either may have it
	}
	appendN(t, s, 0, 0, 10)
	wantOther(t, dir, storeA, storeB) // it is open
	closeSpool(t, open(t, dir, feeding(storeA)))
	closeSpool(t, open(t, dir, feeding("")))
	closeSpool(t, s)
	wantOther(t, dir, storeA, storeB) // it waits
	if diff := cmp.Diff([]string{storeA}, inspect(t, dir).Stores); diff != "" {
		t.Error(diff)
	}
	closeSpool(t, open(t, dir, feeding(""))) // not checked, and nothing forgotten
	wantOther(t, dir, storeA, storeB)
	s = open(t, dir, feeding(storeA))
	got, last := drain(t, s)
	if diff := cmp.Diff(upTo(0, 10), numbers(t, got)); diff != "" {
		t.Fatal(diff)
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	s = open(t, dir, feeding(storeB))
	appendN(t, s, 0, 0, 1)
	closeSpool(t, s)
	wantOther(t, dir, storeB, storeA)
}

// What a killed process has delivered is nobody's any more.
func TestEmptyDirectoryOfAnotherStore(t *testing.T) {
	dir, killed := fastDir(t), fastDir(t)
	s := open(t, dir, feeding(storeA))
	appendN(t, s, 0, 0, 10)
	copyDir(t, dir, filepath.Join(killed, "waiting"))
	_, last := drain(t, s)
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	copyDir(t, dir, filepath.Join(killed, "delivered"))
	wantOther(t, filepath.Join(killed, "waiting"), storeA, storeB)
	left := filepath.Join(killed, "delivered")
	closeSpool(t, open(t, left, feeding(storeB)))
	if homes := homesIn(t, left); len(homes) > 0 {
		t.Errorf("left: %v", homes)
	}
}

// Entries without a store, of whoever named none, go to anybody.
func TestStoreOfEntriesIsNotKnown(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, feeding(""))
	appendN(t, s, 0, 0, 3)
	closeSpool(t, s)
	s = open(t, dir, feeding(storeB))
	if got, _ := drain(t, s); len(got) != 3 {
		t.Errorf("%d entries", len(got))
	}
}

// A name that is damaged is not ours; the message says how to go on.
func TestDamagedStoreName(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, feeding(storeA))
	appendN(t, s, 0, 0, 3)
	closeSpool(t, s)
	file := filepath.Join(homesIn(t, dir)[0], storeName)
	b, err := os.ReadFile(file)
	if err != nil || string(b) != storeA+"\n" {
		t.Fatal(string(b), err)
	}
	if err := os.WriteFile(file, append([]byte("X"), b[1:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOther(t, dir, "X"+storeA[1:], storeA)
	if _, err := Open(dir, feeding(storeA)); !strings.Contains(err.Error(), "remove the file "+file) {
		t.Error(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, feeding(storeA))
	if got, _ := drain(t, s); len(got) != 3 {
		t.Errorf("%d entries", len(got))
	}
}

func TestStoreName(t *testing.T) {
	seen := map[string]bool{}
	for _, parts := range [][]string{nil, {""}, {"", ""}, {"a"}, {"a", "b"}, {"ab"}, {"ab", ""}, {"a", "", "b"}, {"1:a"}} {
		name := StoreName("postgres", parts...)
		if seen[name] || !strings.HasPrefix(name, "postgres ") || len(name) != len("postgres ")+16 || checkStoreName(name) != nil {
			t.Errorf("%q gives %q", parts, name)
		}
		if name != StoreName("postgres", parts...) {
			t.Errorf("%q gives two names", parts)
		}
		seen[name] = true
	}
	for _, bad := range []string{"a\nb", "\x00", " a", "a ", strings.Repeat("x", MaxStoreName+1), "\xff"} {
		var e *audit.Error
		if _, err := Open(fastDir(t), feeding(bad)); !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != "spool.store" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	closeSpool(t, open(t, fastDir(t), feeding(strings.Repeat("ü", MaxStoreName/2))))
}
