package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary plays the other process when this is set; see process_test.go.
const playEnv = "ANNALS_SPOOL_TEST_PLAY"

func TestMain(m *testing.M) {
	if role := os.Getenv(playEnv); role != "" {
		if err := play(role, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// fastDir is a directory that is in memory where the system has such a place:
// for tests that are about content and not about the disk.
func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "annals-spool-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func small() Options {
	return Options{MaxBytes: 64 << 20, SegmentBytes: MinSegmentBytes, Logger: quietLogger()}
}

func open(t testing.TB, dir string, opt Options) *Spool {
	t.Helper()
	if opt.Logger == nil {
		opt.Logger = quietLogger()
	}
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func closeSpool(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// entry is the i-th entry of a producer; its length follows from i.
func entry(producer, i int) []byte {
	return []byte(fmt.Sprintf("%d/%d/", producer, i) + strings.Repeat(string(rune('a'+i%26)), 40+i%30))
}

// parseEntry gives producer and number back, and fails where the content is not as entry made it.
func parseEntry(t testing.TB, b []byte) (producer, i int) {
	t.Helper()
	parts := strings.SplitN(string(b), "/", 3)
	if len(parts) == 3 {
		p, err1 := strconv.Atoi(parts[0])
		i, err2 := strconv.Atoi(parts[1])
		if err := errors.Join(err1, err2); err == nil && string(entry(p, i)) == string(b) {
			return p, i
		}
	}
	t.Fatalf("a wrong entry was delivered: %q", b)
	return 0, 0
}

func appendN(t testing.TB, s *Spool, producer, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := s.Append(context.Background(), entry(producer, i)); err != nil {
			t.Fatalf("Append %d: %v", i, err)
		}
	}
}

// drain reads everything that waits, without committing.
func drain(t testing.TB, s *Spool) (entries [][]byte, last Token) {
	t.Helper()
	for {
		b, err := s.readNext(100, 1<<20)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if len(b.Entries) == 0 {
			return entries, last
		}
		entries, last = append(entries, b.Entries...), b.Token
	}
}

// readN reads n entries; a batch ends with its segment, so that may take several.
func readN(t testing.TB, s *Spool, n int) Batch {
	t.Helper()
	var all Batch
	for len(all.Entries) < n {
		b, err := s.Read(context.Background(), n-len(all.Entries), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all.Entries, all.Token = append(all.Entries, b.Entries...), b.Token
	}
	return all
}

// numbers checks entries of one producer and gives their numbers.
func numbers(t testing.TB, entries [][]byte) []int {
	t.Helper()
	out := []int{}
	for _, e := range entries {
		_, i := parseEntry(t, e)
		out = append(out, i)
	}
	return out
}

func upTo(from, to int) []int {
	out := []int{}
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// copyDir copies a tree, as a crash would leave it: files may be written, made
// and renamed meanwhile.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() {
			copyDir(t, src, dst)
			continue
		}
		b, err := os.ReadFile(src)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(dst, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// homesIn lists the directories of processes below a base directory.
func homesIn(t testing.TB, base string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(base, homePrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func segmentsIn(t testing.TB, base string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(base, homePrefix+"*", "*"+segmentExt))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// play is the other process.
func play(role, dir string) error {
	s, err := Open(dir, Options{SegmentBytes: 64 << 10, Logger: quietLogger()})
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch role {
	case "produce": // until killed; each acknowledged entry is a line
		var mu sync.Mutex
		var wg sync.WaitGroup
		for p := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					if err := s.Append(ctx, entry(p, i)); err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
					mu.Lock()
					fmt.Printf("%d/%d\n", p, i)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	case "drain": // what is there now; each delivered entry is a line, committed when it was printed
		out := bufio.NewWriter(os.Stdout)
		for {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			b, err := s.Read(short, 7, 1<<20)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			for _, e := range b.Entries {
				fmt.Fprintln(out, string(e))
			}
			if err := s.Commit(b.Token); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		// The lock is held until the other one has looked.
		fmt.Println("drained")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return s.Close(ctx)
	}
	return fmt.Errorf("unknown role %q", role)
}
