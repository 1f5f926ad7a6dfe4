package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func TestAnUndamagedImageIsReadWhole(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		img := takeImage(t, crashed, 5)
		got, rec := img.delivered(t, fastDir(t), img.files)
		if d := cmp.Diff(upTo(5, imageEntries), got); d != "" {
			t.Error(d)
		}
		if len(rec.Damaged) != 0 {
			t.Errorf("false alarm: %+v", rec.Damaged)
		}
	}
}

// TestEveryByteFlipped: no panic, no wrong entry, at most the entry lost in
// which the byte lies, and that is reported.
func TestEveryByteFlipped(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 13
	}
	for _, crashed := range []bool{false, true} {
		t.Run(fmt.Sprintf("crashed=%v", crashed), func(t *testing.T) {
			t.Parallel()
			img := takeImage(t, crashed, 0)
			dir := fastDir(t)
			for name, content := range img.files {
				flipped := maps.Clone(img.files)
				for at := 0; at < len(content); at += step {
					b := slices.Clone(content)
					b[at] ^= 1 << (at % 8)
					flipped[name] = b
					got, rec := img.delivered(t, dir, flipped)
					var want []int
					for i, w := range img.where {
						if w.file != name || int64(at) < w.from || int64(at) >= w.to {
							want = append(want, i)
						}
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Fatalf("byte %d of %s: %s", at, name, d)
					}
					if len(got) < img.entries && len(rec.Damaged) == 0 {
						t.Fatalf("byte %d of %s: an entry is lost and nothing is reported", at, name)
					}
					for _, d := range rec.Damaged {
						if d.Torn && !(crashed && name == img.segments()[2]) {
							t.Fatalf("byte %d of %s: real damage is taken for a torn end: %+v", at, name, d)
						}
					}
				}
			}
		})
	}
}

// TestEveryPrefixCut cuts each file at every length, with the files after it
// and, as a log that ends there, without them.
func TestEveryPrefixCut(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 13
	}
	for _, crashed := range []bool{false, true} {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("crashed=%v,rest=%v", crashed, !alone), func(t *testing.T) {
				t.Parallel()
				img := takeImage(t, crashed, 0)
				dir := fastDir(t)
				for name, content := range img.files {
					if alone && !strings.HasSuffix(name, segmentExt) {
						continue
					}
					cut := maps.Clone(img.files)
					if alone {
						maps.DeleteFunc(cut, func(other string, _ []byte) bool {
							return strings.HasSuffix(other, segmentExt) && other > name
						})
					}
					for at := 0; at < len(content); at += step {
						cut[name] = content[:at]
						got, rec := img.delivered(t, dir, cut)
						want := []int{}
						for i, w := range img.where {
							if _, there := cut[w.file]; there && (w.file != name || w.to <= int64(at)) {
								want = append(want, i)
							}
						}
						if d := cmp.Diff(want, got); d != "" {
							t.Fatalf("%s cut to %d: %s", name, at, d)
						}
						if len(got) < img.entries && len(rec.Damaged) == 0 {
							t.Fatalf("%s cut to %d: entries are lost and nothing is reported", name, at)
						}
					}
				}
			})
		}
	}
}

func TestMissingFiles(t *testing.T) {
	for _, consumed := range []int{0, 3} {
		img := takeImage(t, true, consumed)
		for i, name := range img.segments() {
			without := maps.Clone(img.files)
			delete(without, name)
			got, rec := img.delivered(t, fastDir(t), without)
			want, lost := []int{}, int64(0)
			for n, w := range img.where {
				switch {
				case n < consumed:
				case w.file == name:
					lost++
				default:
					want = append(want, n)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("without segment %d: %s", i, d)
			}
			if len(rec.Damaged) != 1 || i < 2 && rec.Damaged[0].Entries != lost {
				t.Errorf("without segment %d, of which %d were lost: %+v", i, lost, rec.Damaged)
			}
		}
		for _, name := range []string{identityName, cursorName} {
			without := maps.Clone(img.files)
			delete(without, name)
			got, _ := img.delivered(t, fastDir(t), without)
			if d := cmp.Diff(upTo(imageEntries-len(got), imageEntries), got); d != "" || len(got) < imageEntries-consumed {
				t.Errorf("without %s: %d entries, %s", name, len(got), d)
			}
		}
	}
}

func TestNothingReadableIsSetAside(t *testing.T) {
	img := takeImage(t, true, 0)
	files := maps.Clone(img.files)
	files[identityName] = []byte("gone")
	for _, name := range img.segments() {
		b := slices.Clone(files[name])
		b[3]++
		files[name] = b
	}
	got, rec := img.delivered(t, fastDir(t), files)
	if len(got) != 0 || len(rec.Damaged) != 4 {
		t.Errorf("%d entries, damage %+v", len(got), rec.Damaged)
	}
}

// TestAFrameInsideAnEntryIsNoFrame: what a sender writes must not become an
// entry of its own when damage makes us search for the next frame.
func TestAFrameInsideAnEntryIsNoFrame(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 1)
	guess := key{1, 2, 3, 4, 5, 6, 7, 8}
	inner := appendFrame([]byte("0/7/"), &guess, flagFirst, 3, 0, []byte("forged"))
	inner = appendFrame(inner, &s.own.key, flagFirst, 1, 0, []byte("an old sequence number"))
	if err := s.Append(ctx, inner); err != nil {
		t.Fatal(err)
	}
	appendN(t, s, 0, 1, 2)
	closeSpool(t, s)
	path := segmentsIn(t, dir)[0]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("0/7/"))]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, small())
	got, _ := drain(t, s)
	if d := cmp.Diff([]int{0, 1}, numbers(t, got)); d != "" {
		t.Error(d)
	}
	if rec := s.Recovery(); len(rec.Damaged) != 1 || rec.Damaged[0].Entries != 1 {
		t.Errorf("damage: %+v", rec.Damaged)
	}
}

func TestAnotherVersionIsRefusedAndKept(t *testing.T) {
	for _, victim := range []string{identityName, "000000000002.seg"} {
		img := takeImage(t, true, 0)
		dir := fastDir(t)
		home := filepath.Join(dir, img.home)
		if err := os.MkdirAll(home, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, b := range img.files {
			if name == victim {
				b = withVersion(b, formatVersion+1)
			}
			if err := os.WriteFile(filepath.Join(home, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Open(dir, small())
		if !errors.Is(err, audit.ErrUnsupported) || !strings.Contains(err.Error(), victim) {
			t.Fatalf("Open: %v", err)
		}
		for name := range img.files {
			if _, err := os.Stat(filepath.Join(home, name)); err != nil {
				t.Error(err)
			}
		}
		// The lock was given back, so the right version can drain it.
		l, err := lock(filepath.Join(home, lockName), false)
		if err != nil || l == nil {
			t.Fatalf("lock: %v %v", l, err)
		}
		_ = l.Close()
	}
}

// TestDamageWhileOpen damages the file of a spool that is open.
func TestDamageWhileOpen(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 10)
	path := segmentsIn(t, dir)[0]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 4} {
		if _, err := f.WriteAt([]byte{'!'}, int64(bytes.Index(b, entry(0, i)))+10); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, _ := drain(t, s)
		if d := cmp.Diff([]int{1, 2, 3, 5, 6, 7, 8, 9}, numbers(t, got)); d != "" {
			t.Fatal(d)
		}
		if st := s.Stats(); st.Damaged != 2 || st.Lost != 2 || st.Depth != 8 {
			t.Errorf("stats: %+v", st)
		}
		s.Rewind()
	}
	appendN(t, s, 0, 10, 30)
	got, last := drain(t, s)
	if len(got) != 28 {
		t.Errorf("%d entries, want 28", len(got))
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Depth != 0 || st.Bytes != 0 || st.Committed != 28 {
		t.Errorf("stats: %+v", st)
	}
	if saved, err := os.ReadDir(filepath.Join(dir, damagedDir)); err != nil || len(saved) != 2 {
		t.Errorf("set aside: %v %v", saved, err)
	}
}

func TestSegmentThatVanishesWhileOpen(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 36)
	if err := os.Remove(segmentsIn(t, dir)[1]); err != nil {
		t.Fatal(err)
	}
	got, last := drain(t, s)
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if int64(len(got))+st.Lost != 36 || st.Lost == 0 || st.Damaged != 1 || st.Depth != 0 || st.Bytes != 0 {
		t.Errorf("%d entries, stats: %+v", len(got), st)
	}
}

// TestDamageThatCannotBeSetAside keeps the file for a later try.
func TestDamageThatCannotBeSetAside(t *testing.T) {
	img := takeImage(t, true, 0)
	dir := fastDir(t)
	home := filepath.Join(dir, img.home)
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range img.files {
		b = slices.Clone(b)
		if name == img.where[4].file {
			b[img.where[4].from+frameOverhead]++
		}
		if err := os.WriteFile(filepath.Join(home, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	block := filepath.Join(dir, damagedDir)
	if err := os.WriteFile(block, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, small())
	got, last := drain(t, s)
	if len(got) != imageEntries-1 || s.Recovery().Damaged[0].SavedAs != "" {
		t.Fatalf("%d entries, %+v", len(got), s.Recovery())
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	if n := len(segmentsIn(t, dir)); n != 1 {
		t.Fatalf("%d segments stay, want the damaged one", n)
	}
	if err := os.Remove(block); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, small())
	if got, _ := drain(t, s); len(got) != 0 {
		t.Errorf("%d committed entries came again", len(got))
	}
	if rec := s.Recovery(); len(rec.Damaged) != 1 || rec.Damaged[0].SavedAs == "" {
		t.Errorf("recovery: %+v", rec)
	}
	closeSpool(t, s)
	if left := homesIn(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
