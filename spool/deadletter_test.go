package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func deadLetters(t testing.TB) (*DeadLetters, string) {
	t.Helper()
	dir := fastDir(t)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	d, err := OpenDeadLetters(dir, func() time.Time { at = at.Add(time.Second); return at })
	if err != nil {
		t.Fatal(err)
	}
	return d, filepath.Join(dir, deadDir)
}

func TestDeadLetters(t *testing.T) {
	d, _ := deadLetters(t)
	if l, err := d.List(); err != nil || l != nil {
		t.Fatalf("an empty list: %v %v", l, err)
	}
	ids := []string{"b", "a", "../../etc/passwd", "a/b", "a_b", ".", strings.Repeat("long ", 60), "żółć\n\x00", "A", "<&>"}
	for i, id := range ids {
		if err := d.Put(id, []byte(id+"'s entry\nwith lines"), "conflict: "+id, i); err != nil {
			t.Fatalf("Put %q: %v", id, err)
		}
	}
	list, err := d.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, l := range list {
		got = append(got, l.ID)
		if l.Corrupt || l.Attempts != i || l.Reason != "conflict: "+l.ID || !l.At.Equal(time.Date(2026, 3, 4, 5, 6, 8+i, 0, time.UTC)) {
			t.Errorf("listed %+v", l)
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Error(diff)
	}
	for i, id := range ids {
		by := id
		if i%2 == 0 {
			by = list[i].Name
		}
		l, entry, err := d.Get(by)
		if err != nil || l != list[i] || string(entry) != id+"'s entry\nwith lines" || l.Bytes != int64(len(entry)) {
			t.Errorf("Get %q: %+v %q %v", by, l, entry, err)
		}
	}
	if err := d.Put("a", []byte("again"), "again", 11); err != nil {
		t.Fatal(err)
	}
	if l, entry, err := d.Get("a"); err != nil || string(entry) != "again" || l.Attempts != 11 {
		t.Errorf("after a second Put: %+v %q %v", l, entry, err)
	}
	for _, id := range ids {
		if err := d.Remove(id); err != nil {
			t.Errorf("Remove %q: %v", id, err)
		}
		if err := d.Remove(id); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("Remove %q again: %v", id, err)
		}
		if _, _, err := d.Get(id); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("Get %q after Remove: %v", id, err)
		}
	}
	if l, err := d.List(); err != nil || l != nil {
		t.Errorf("left: %v %v", l, err)
	}
}

func TestDeadLettersThatAreRefused(t *testing.T) {
	d, _ := deadLetters(t)
	for _, id := range []string{"", "\xff"} {
		if err := d.Put(id, nil, "", 0); !errors.Is(err, audit.ErrInvalid) {
			t.Errorf("Put %q: %v", id, err)
		}
	}
	if err := d.Put("x", nil, "bad \xff text", 0); err != nil {
		t.Error(err)
	}
	if l, entry, err := d.Get("x"); err != nil || len(entry) != 0 || l.Reason != "bad \uFFFD text" {
		t.Errorf("%+v %q %v", l, entry, err)
	}
	if _, err := OpenDeadLetters("", nil); !errors.Is(err, audit.ErrInvalid) {
		t.Error(err)
	}
	for _, id := range []string{"../x.dead", "../../" + deadDir + "/x.dead"} {
		if err := d.Remove(id); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("Remove %q: %v", id, err)
		}
	}
}

// TestCorruptDeadLetters flips every byte and cuts every prefix of one: it is
// listed as corrupt, can be looked at and removed by name, and the other one is untouched.
func TestCorruptDeadLetters(t *testing.T) {
	d, dir := deadLetters(t)
	for _, id := range []string{"good", "victim"} {
		if err := d.Put(id, []byte("the entry"), "why", 10); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, deadName("victim"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := d.List()
		if err != nil || len(list) != 2 || list[0].ID != "good" || !list[1].Corrupt || list[1].Reason == "" || list[1].ID != "" {
			t.Fatalf("%q: %+v %v", content, list, err)
		}
		l, rest, err := d.Get(list[1].Name)
		if err != nil || !l.Corrupt || string(rest) != string(content) {
			t.Fatalf("%q: %+v %q %v", content, l, rest, err)
		}
	}
	for i := range whole {
		b := append([]byte(nil), whole...)
		b[i] ^= 1 << (i % 8)
		look(b)
		look(whole[:i])
	}
	look(append(append([]byte(nil), whole...), 'x'))
	if err := d.Remove(deadName("victim")); err != nil {
		t.Error(err)
	}
	if err := os.Rename(filepath.Join(dir, deadName("good")), filepath.Join(dir, deadName("other"))); err != nil {
		t.Fatal(err)
	}
	if list, err := d.List(); err != nil || len(list) != 1 || !list[0].Corrupt {
		t.Errorf("a renamed file: %+v %v", list, err)
	}
}

func TestLeftOverTemporaryFiles(t *testing.T) {
	d, dir := deadLetters(t)
	old, fresh := filepath.Join(dir, tempPrefix+"old"), filepath.Join(dir, tempPrefix+"fresh")
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * staleTemp)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if l, err := d.List(); err != nil || l != nil {
		t.Errorf("listed: %+v %v", l, err)
	}
	if _, err := OpenDeadLetters(filepath.Dir(dir), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the fresh one, which somebody may be writing: %v", err)
	}
}
