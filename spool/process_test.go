package spool

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// other starts this test binary as another process; see play.
func other(t testing.TB, role, dir string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, dir)
	cmd.Env = append(os.Environ(), playEnv+"="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// TestKill: what another process acknowledged before kill -9 is there, in order,
// and once, round after round on the same directory.
func TestKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	for round := range rounds {
		cmd, out := other(t, "produce", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acked := map[string]bool{}
		stop := 1 + rand.Intn(1500)
		killed := false
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				break // a line without its end was not said
			}
			acked[strings.TrimSpace(line)] = true
			if len(acked) == stop {
				killed = true
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || !killed {
			t.Fatalf("the producer ended by itself: %v", err)
		}
		s := open(t, dir, small())
		got, last := drain(t, s)
		seen := inOrder(t, got)
		for id := range acked {
			var p, i int
			if _, err := fmt.Sscanf(id, "%d/%d", &p, &i); err != nil {
				t.Fatal(err)
			}
			if !seen[[2]int{p, i}] {
				t.Fatalf("round %d: %s of %d was acknowledged and is lost; %+v", round, id, len(acked), s.Recovery())
			}
		}
		if rec := s.Recovery(); len(rec.Adopted) != 1 || rec.Entries != int64(len(got)) {
			t.Errorf("recovery: %+v", rec)
		}
		if err := s.Commit(last); err != nil {
			t.Fatal(err)
		}
		closeSpool(t, s)
		if left := homesIn(t, dir); len(left) != 0 {
			t.Fatalf("left behind: %v", left)
		}
	}
}

// TestCopyDuringAppends takes copies of a spool that is written to; in each is
// everything that had been acknowledged when the copy began.
func TestCopyDuringAppends(t *testing.T) {
	copies := 30
	if testing.Short() {
		copies = 6
	}
	dir := t.TempDir()
	s := open(t, dir, Options{SegmentBytes: 32 << 10})
	const producers = 8
	var mu sync.Mutex
	acked := map[[2]int]bool{}
	stop := make(chan struct{})
	grown := make(chan struct{}, 1) // something was acknowledged
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.Append(ctx, entry(p, i)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[[2]int{p, i}] = true
				mu.Unlock()
				select {
				case grown <- struct{}{}:
				default:
				}
			}
		})
	}
	for n := range copies {
		for range 1 + rand.Intn(20) {
			<-grown
		}
		mu.Lock()
		before := make([][2]int, 0, len(acked))
		for k := range acked {
			before = append(before, k)
		}
		mu.Unlock()
		copied := filepath.Join(fastDir(t), "copy")
		copyDir(t, dir, copied)
		c := open(t, copied, small())
		got, _ := drain(t, c)
		seen := inOrder(t, got)
		for _, k := range before {
			if !seen[k] {
				t.Fatalf("copy %d: %v was acknowledged and is not in it; %+v", n, k, c.Recovery())
			}
		}
		closeSpool(t, c)
		if err := os.RemoveAll(copied); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

// TestTwoProcessesAdopt starts two at once on the directories of four dead ones:
// together they deliver everything once.
func TestTwoProcessesAdopt(t *testing.T) {
	dir := t.TempDir()
	for p := range 4 {
		s := open(t, dir, small())
		appendN(t, s, p, 0, 50)
		defer closeSpool(t, s) // after the others have ended: a copy stands for the dead process
	}
	dead := t.TempDir()
	copyDir(t, dir, dead)

	var outs [2]bytes.Buffer
	var cmds [2]*exec.Cmd
	var wg sync.WaitGroup
	for i := range cmds {
		cmd, out := other(t, "drain", dead)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		cmds[i] = cmd
		wg.Go(func() {
			for {
				line, err := out.ReadString('\n')
				if err != nil || line == "drained\n" {
					break
				}
				outs[i].WriteString(line)
			}
		})
		defer in.Close()
		defer func() { _ = cmd.Process.Kill() }()
		t.Cleanup(func() { _ = cmd.Wait() })
	}
	wg.Wait()
	var got [][]byte
	for i := range outs {
		for line := range strings.Lines(outs[i].String()) {
			got = append(got, []byte(strings.TrimSuffix(line, "\n")))
		}
	}
	seen := map[[2]int]int{}
	for _, e := range got {
		p, i := parseEntry(t, e)
		seen[[2]int{p, i}]++
	}
	want := map[[2]int]int{}
	for p := range 4 {
		for i := range 50 {
			want[[2]int{p, i}] = 1
		}
	}
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
	if left := homesIn(t, dead); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
