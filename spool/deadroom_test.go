package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
)

func boundedLetters(t testing.TB, dir string, opt DeadLetterOptions) *DeadLetters {
	t.Helper()
	d, err := OpenBoundedDeadLetters(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func wantFull(t testing.TB, err error) {
	t.Helper()
	var e *audit.Error
	if !errors.Is(err, ErrFull) || !errors.As(err, &e) || e.Field != "spool.max_letters" || !strings.Contains(e.Message, "nothing was kept") {
		t.Errorf("a full box: %v", err)
	}
}

func TestDeadLettersAreBoundedByCount(t *testing.T) {
	dir := fastDir(t)
	d := boundedLetters(t, dir, DeadLetterOptions{MaxLetters: 3})
	put := func(d *DeadLetters, id string) error { return d.Put(id, []byte("entry of "+id), "refused", 1) }
	for _, id := range []string{"a", "b", "c"} {
		if err := put(d, id); err != nil {
			t.Fatal(err)
		}
	}
	wantFull(t, put(d, "d"))
	if err := put(d, "b"); err != nil {
		t.Errorf("in the place of another of its id: %v", err)
	}
	if list, err := d.List(); err != nil || len(list) != 3 || list[0].ID != "a" {
		t.Errorf("%+v, %v: the old ones must stay", list, err)
	}
	// A new start and another process find the same; what one removes makes room.
	other := boundedLetters(t, dir, DeadLetterOptions{MaxLetters: 3})
	wantFull(t, put(other, "d"))
	if err := other.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if err := put(other, "d"); err != nil {
		t.Error(err)
	}
	wantFull(t, put(other, "e"))
	// One whose bound is lower than what is there keeps it and takes no more.
	less := boundedLetters(t, dir, DeadLetterOptions{MaxLetters: 1})
	wantFull(t, put(less, "f"))
	if list, err := less.List(); err != nil || len(list) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestDeadLettersAreBoundedByBytes(t *testing.T) {
	dir := fastDir(t)
	d := boundedLetters(t, dir, DeadLetterOptions{MaxBytes: 4096})
	if err := d.Put("a", make([]byte, 2500), "refused", 1); err != nil {
		t.Fatal(err)
	}
	wantFull(t, d.Put("b", make([]byte, 2500), "refused", 1))
	if err := d.Put("c", make([]byte, 500), "refused", 1); err != nil {
		t.Error(err)
	}
	wantFull(t, d.Put("c", make([]byte, 2500), "refused", 1)) // a larger one in its place
	if err := d.Put("a", make([]byte, 10), "refused", 1); err != nil {
		t.Errorf("a smaller one: %v", err)
	}
	if err := d.Put("b", make([]byte, 2500), "refused", 1); err != nil {
		t.Errorf("in the room that this made: %v", err)
	}
	wantFull(t, d.Put("whole", make([]byte, 5000), "refused", 1))
	// Files of other kinds are not counted; corrupt letters are.
	for _, name := range []string{"notes.txt", "x" + deadExt} {
		if err := os.WriteFile(filepath.Join(dir, deadDir, name), make([]byte, 500), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes, err := countFiles(filepath.Join(dir, deadDir), deadExt); err != nil || n != 4 || bytes < 3510 || bytes > 4096 {
		t.Errorf("%d letters of %d bytes, %v", n, bytes, err)
	}
}

// What others do is seen within a second.
func TestDeadLettersCountAgain(t *testing.T) {
	dir := fastDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := boundedLetters(t, dir, DeadLetterOptions{MaxLetters: 2})
		for _, id := range []string{"a", "b"} {
			if err := d.Put(id, []byte("x"), "refused", 1); err != nil {
				t.Fatal(err)
			}
		}
		wantFull(t, d.Put("c", []byte("x"), "refused", 1))
		if err := boundedLetters(t, dir, DeadLetterOptions{}).Remove("a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(countEvery)
		if err := d.Put("c", []byte("x"), "refused", 1); err != nil {
			t.Error(err)
		}
	})
}

func TestDeadLettersAreBoundedWhoeverPuts(t *testing.T) {
	d := boundedLetters(t, fastDir(t), DeadLetterOptions{MaxLetters: 20})
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 10 {
				if err := d.Put(string(rune('a'+p))+string(rune('a'+i)), []byte("x"), "refused", 1); err != nil {
					wantFull(t, err)
				}
			}
		})
	}
	wg.Wait()
	if list, err := d.List(); err != nil || len(list) != 20 {
		t.Errorf("%d letters, %v", len(list), err)
	}
}

func TestDeadLetterOptions(t *testing.T) {
	for field, opt := range map[string]DeadLetterOptions{
		"spool.max_letters": {MaxLetters: -1}, "spool.max_letter_bytes": {MaxBytes: -1},
	} {
		var e *audit.Error
		if _, err := OpenBoundedDeadLetters(fastDir(t), opt); !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != field {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	d, err := OpenDeadLetters(fastDir(t), nil)
	if err != nil || d.room.opt.MaxLetters != DefaultMaxLetters || d.room.opt.MaxBytes != DefaultMaxLetterBytes {
		t.Errorf("%+v, %v", d, err)
	}
}
