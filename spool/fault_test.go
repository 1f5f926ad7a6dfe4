package spool

import (
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func withFaults(t testing.TB) (*Spool, *faultDisk, string) {
	t.Helper()
	dir := fastDir(t)
	d := &faultDisk{}
	opt := small()
	opt.disk = d
	return open(t, dir, opt), d, dir
}

// once gives err the first time it is asked about a segment.
func once(err error) func(string) error {
	left := 1
	return func(path string) error {
		if left == 0 || !strings.HasSuffix(path, segmentExt) {
			return nil
		}
		left--
		return err
	}
}

func always(err error) func(string) error { return func(string) error { return err } }

// check reads everything here, and after a crash from a copy.
func check(t testing.TB, s *Spool, dir string, want []int) {
	t.Helper()
	s.Rewind()
	got, _ := drain(t, s)
	if d := cmp.Diff(want, numbers(t, got)); d != "" {
		t.Fatal(d)
	}
	copied := fastDir(t)
	copyDir(t, dir, copied)
	c := open(t, copied, small())
	got, _ = drain(t, c)
	if d := cmp.Diff(want, numbers(t, got)); d != "" {
		t.Fatalf("after a crash: %s", d)
	}
	if rec := c.Recovery(); len(rec.Damaged) != 0 {
		t.Errorf("after a crash: %+v", rec.Damaged)
	}
	closeSpool(t, c)
}

func TestASyncThatFailsOnceIsRepeatedElsewhere(t *testing.T) {
	for _, before := range []int{0, 5} {
		s, d, dir := withFaults(t)
		appendN(t, s, 0, 0, before)
		d.set(func(d *faultDisk) { d.onSync = once(syscall.EIO) })
		appendN(t, s, 0, before, 10)
		check(t, s, dir, upTo(0, 10))
		if st := s.Stats(); st.Failed != 0 || st.Appended != 10 {
			t.Errorf("stats: %+v", st)
		}
	}
}

func TestFaultsRefuseAndHeal(t *testing.T) {
	for name, fault := range map[string]func(*faultDisk){
		"EIO on sync":     func(d *faultDisk) { d.onSync = always(syscall.EIO) },
		"ENOSPC on write": func(d *faultDisk) { d.onWrite = func(string, []byte) (int, error) { return 0, syscall.ENOSPC } },
		"short write": func(d *faultDisk) {
			d.onWrite = func(_ string, b []byte) (int, error) { return len(b) / 2, syscall.ENOSPC }
		},
		"a frame and a half": func(d *faultDisk) {
			d.onWrite = func(_ string, b []byte) (int, error) { return min(len(b), 130), syscall.EIO }
		},
		"ENOSPC on create": func(d *faultDisk) {
			d.onCreate = always(syscall.ENOSPC)
			d.onSync = always(syscall.EIO)
		},
		"EIO on the directory": func(d *faultDisk) {
			d.onSyncDir = always(syscall.EIO)
			d.onSync = once(syscall.EIO)
		},
	} {
		for _, before := range []int{0, 5} {
			t.Run(fmt.Sprintf("%s after %d", name, before), func(t *testing.T) {
				s, d, dir := withFaults(t)
				appendN(t, s, 0, 0, before)
				d.set(fault)
				batch := [][]byte{entry(0, 100), entry(0, 101), entry(0, 102)}
				for range 3 {
					_, err := s.AppendBatch(ctx, batch)
					if !errors.Is(err, audit.ErrUnavailable) || errors.Is(err, audit.ErrClosed) {
						t.Fatalf("want unavailable, got %v", err)
					}
				}
				if st := s.Stats(); st.Failed != 9 || st.Depth != int64(before) || st.LastError == "" || s.waiting != 0 {
					t.Errorf("stats: %+v, waiting %d", st, s.waiting)
				}
				d.set(func(d *faultDisk) { d.onCreate, d.onSync, d.onSyncDir, d.onWrite = nil, nil, nil, nil })
				appendN(t, s, 0, before, 40)
				check(t, s, dir, upTo(0, 40))
				s.Rewind()
				_, last := drain(t, s)
				if err := s.Commit(last); err != nil {
					t.Fatal(err)
				}
				closeSpool(t, s)
				if left := homesIn(t, dir); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

func TestDiskFullIsSaid(t *testing.T) {
	s, d, _ := withFaults(t)
	d.set(func(d *faultDisk) { d.onCreate = always(syscall.ENOSPC) })
	if err := s.Append(ctx, []byte("x")); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v", err)
	}
}

// TestRandomFaultsAndLossOfPower: what was acknowledged is delivered once and
// in order, what was refused never, under random faults; and after a loss of
// power everything that had been acknowledged is there.
func TestRandomFaultsAndLossOfPower(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	var torn int64
	for round := range rounds {
		torn += randomFaults(t, rand.New(rand.NewSource(int64(round))), round%2 == 0)
	}
	if torn == 0 {
		t.Error("no loss of power tore anything: the test shows less than it should")
	}
}

const (
	faultProducers = 4
	faultEach      = 60
)

// outcomes says of each entry what its Append said.
type outcomes struct {
	mu    sync.Mutex
	acked map[[2]int]bool
}

func (o *outcomes) note(p, i int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked[[2]int{p, i}] = err == nil
}

// now gives the acknowledged entries so far.
func (o *outcomes) now() map[[2]int]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[[2]int]bool{}
	for k, ok := range o.acked {
		if ok {
			out[k] = true
		}
	}
	return out
}

func randomFaults(t *testing.T, r *rand.Rand, faults bool) (torn int64) {
	s, d, dir := withFaults(t)
	out := &outcomes{acked: map[[2]int]bool{}}
	var before map[[2]int]bool
	dark := filepath.Join(fastDir(t), "dark")
	lose := func() {
		before = out.now()
		d.losePower(t, dir, dark, r)
	}
	syncs := 2 + r.Intn(40) // the power goes when so many syncs are about to happen
	chance := func(n int, err error) func(string) error {
		return func(string) error {
			if faults && r.Intn(n) == 0 {
				return err
			}
			return nil
		}
	}
	// The disk asks these one at a time.
	onSync := chance(6, syscall.EIO)
	d.set(func(d *faultDisk) {
		d.onCreate, d.onSyncDir = chance(6, syscall.ENOSPC), chance(6, syscall.EIO)
		d.onSync = func(path string) error {
			if syncs--; syncs == 0 {
				lose()
			}
			return onSync(path)
		}
		d.onWrite = func(_ string, b []byte) (int, error) {
			if faults && r.Intn(8) == 0 {
				return r.Intn(len(b) + 1), syscall.EIO
			}
			return len(b), nil
		}
	})
	var wg sync.WaitGroup
	for p := range faultProducers {
		wg.Go(func() {
			for i := range faultEach {
				out.note(p, i, s.Append(ctx, entry(p, i)))
			}
		})
	}
	wg.Wait()
	d.set(func(d *faultDisk) {
		d.onCreate, d.onSync, d.onSyncDir, d.onWrite = nil, nil, nil, nil
		if before == nil {
			lose()
		}
	})

	got, _ := drain(t, s)
	if diff := cmp.Diff(out.now(), inOrder(t, got)); diff != "" {
		t.Fatalf("acknowledged and delivered differ: %s", diff)
	}
	if st := s.Stats(); st.Depth != int64(len(got)) || s.waiting != 0 {
		t.Fatalf("depth %d, %d delivered, %d waiting", st.Depth, len(got), s.waiting)
	}
	closeSpool(t, s)

	c := open(t, dark, small())
	defer closeSpool(t, c)
	got, _ = drain(t, c)
	seen := inOrder(t, got)
	for k := range before {
		if !seen[k] {
			t.Fatalf("entry %v was acknowledged, and lost with the power; %+v", k, c.Recovery())
		}
	}
	if !faults {
		for _, damage := range c.Recovery().Damaged {
			if !damage.Torn {
				t.Fatalf("a loss of power is taken for damage: %+v", damage)
			}
		}
	}
	return c.Recovery().TornBytes
}

// inOrder checks that no entry comes twice and each producer's come in order.
func inOrder(t testing.TB, entries [][]byte) map[[2]int]bool {
	t.Helper()
	seen, last := map[[2]int]bool{}, map[int]int{}
	for _, e := range entries {
		p, i := parseEntry(t, e)
		if seen[[2]int{p, i}] {
			t.Fatalf("entry %d/%d came twice", p, i)
		}
		if before, ok := last[p]; ok && before > i {
			t.Fatalf("entry %d/%d came after %d", p, i, before)
		}
		seen[[2]int{p, i}], last[p] = true, i
	}
	return seen
}
