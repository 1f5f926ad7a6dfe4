package spool

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

var ctx = context.Background()

func TestEntriesComeOutInOrderAndAgainUntilCommitted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 40)
	got, _ := drain(t, s)
	if d := cmp.Diff(upTo(0, 40), numbers(t, got)); d != "" {
		t.Fatal(d)
	}
	s.Rewind()
	b := readN(t, s, 15)
	if err := s.Commit(b.Token); err != nil {
		t.Fatal(err)
	}
	s.Rewind()
	got, last := drain(t, s)
	if d := cmp.Diff(upTo(15, 40), numbers(t, got)); d != "" {
		t.Fatal(d)
	}
	if st := s.Stats(); st.Depth != 25 || st.Appended != 40 || st.Committed != 15 {
		t.Errorf("stats: %+v", st)
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Depth != 0 || st.Bytes != 0 || st.OldestAge != 0 {
		t.Errorf("stats of an empty spool: %+v", st)
	}
	if err := s.Commit(b.Token); err != nil { // an older token changes nothing
		t.Fatal(err)
	}
	if n := len(segmentsIn(t, dir)); n != 1 {
		t.Errorf("%d segments left, want the one that is written to", n)
	}
	closeSpool(t, s)
	if left := homesIn(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatWaitsSurvivesCloseAndIsReadFirst(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 20)
	b := readN(t, s, 5)
	if err := s.Commit(b.Token); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)

	s = open(t, dir, small())
	rec := s.Recovery()
	if rec.Entries != 15 || len(rec.Adopted) != 1 || rec.TornBytes != 0 || len(rec.Damaged) != 0 || rec.Bytes != s.Stats().Bytes {
		t.Errorf("recovery: %+v", rec)
	}
	appendN(t, s, 0, 20, 25)
	got, last := drain(t, s)
	if d := cmp.Diff(upTo(5, 25), numbers(t, got)); d != "" {
		t.Fatal(d)
	}
	if err := s.Commit(last); err != nil {
		t.Fatal(err)
	}
	if homes := homesIn(t, dir); len(homes) != 1 {
		t.Errorf("the adopted directory was not removed: %v", homes)
	}
}

func TestAdoptionKeepsItsPlaceOverSeveralProcesses(t *testing.T) {
	dir := t.TempDir()
	for i := range 4 { // each leaves ten, and reads three of the oldest
		s := open(t, dir, small())
		appendN(t, s, 0, 10*i, 10*i+10)
		b := readN(t, s, 3)
		if err := s.Commit(b.Token); err != nil {
			t.Fatal(err)
		}
		closeSpool(t, s)
	}
	s := open(t, dir, small())
	got, _ := drain(t, s)
	if d := cmp.Diff(upTo(12, 40), numbers(t, got)); d != "" {
		t.Fatal(d)
	}
}

func TestAppendBatchStaysTogether(t *testing.T) {
	s := open(t, t.TempDir(), small())
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := 0; i < 60; i += 20 {
				batch := make([][]byte, 20) // larger than a segment
				for j := range batch {
					batch[j] = entry(p, i+j)
				}
				if _, err := s.AppendBatch(ctx, batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := s.AppendBatch(ctx, nil); err != nil {
		t.Error(err)
	}
	got, _ := drain(t, s)
	if len(got) != 240 {
		t.Fatalf("%d entries, want 240", len(got))
	}
	next := map[int]int{}
	for at, e := range got {
		p, i := parseEntry(t, e)
		if next[p] != i {
			t.Fatalf("producer %d: entry %d comes when %d should", p, i, next[p])
		}
		next[p]++
		if q, _ := parseEntry(t, got[at/20*20]); q != p {
			t.Fatalf("a batch of producer %d has an entry of %d in it", q, p)
		}
	}
}

func TestAppendCopies(t *testing.T) {
	s := open(t, t.TempDir(), small())
	e := []byte("before")
	if err := s.Append(ctx, e); err != nil {
		t.Fatal(err)
	}
	copy(e, "after!")
	if got, _ := drain(t, s); string(got[0]) != "before" {
		t.Fatalf("got %q", got[0])
	}
}

func TestEntriesThatAreRefused(t *testing.T) {
	opt := small()
	opt.MaxEntry, opt.MaxBytes = 100, 1000
	s := open(t, t.TempDir(), opt)
	if err := s.Append(ctx, nil); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("empty: %v", err)
	}
	if err := s.Append(ctx, make([]byte, 101)); !errors.Is(err, audit.ErrTooLarge) {
		t.Errorf("over MaxEntry: %v", err)
	}
	if _, err := s.AppendBatch(ctx, [][]byte{make([]byte, 1), make([]byte, 101)}); !errors.Is(err, audit.ErrTooLarge) {
		t.Errorf("batch with one over MaxEntry: %v", err)
	}
	many := make([][]byte, 20)
	for i := range many {
		many[i] = make([]byte, 100)
	}
	if _, err := s.AppendBatch(ctx, many); !errors.Is(err, audit.ErrTooLarge) {
		t.Errorf("batch over MaxBytes: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Append(ended, []byte("x")); !errors.Is(err, audit.ErrBacklog) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if err := s.Append(ctx, make([]byte, 100)); err != nil {
		t.Errorf("exactly MaxEntry: %v", err)
	}
	if got, _ := drain(t, s); len(got) != 1 {
		t.Errorf("%d entries, want 1", len(got))
	}
}

func TestReadWaits(t *testing.T) {
	s := open(t, t.TempDir(), small())
	ended, cancel := context.WithCancelCause(ctx)
	why := errors.New("enough")
	cancel(why)
	if _, err := s.Read(ended, 1, 1); !errors.Is(err, why) {
		t.Errorf("ended context: %v", err)
	}
	for _, bad := range [][2]int{{0, 1}, {1, 0}} {
		if _, err := s.Read(ctx, bad[0], int64(bad[1])); !errors.Is(err, audit.ErrInvalid) {
			t.Errorf("Read(%v): %v", bad, err)
		}
	}
	got := make(chan Batch)
	go func() {
		b, err := s.Read(ctx, 10, 1) // one entry is given whatever its size
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	appendN(t, s, 0, 0, 1)
	if b := <-got; len(b.Entries) != 1 {
		t.Errorf("%d entries", len(b.Entries))
	}
	failed := make(chan error)
	go func() {
		_, err := s.Read(ctx, 10, 1<<20)
		failed <- err
	}()
	closeSpool(t, s)
	if err := <-failed; !errors.Is(err, audit.ErrClosed) {
		t.Errorf("a Read that waits at Close: %v", err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir(), small())
	appendN(t, s, 0, 0, 2)
	b, err := s.Read(ctx, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	closeSpool(t, s)
	if err := s.Append(ctx, []byte("x")); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("Append: %v", err)
	}
	if _, err := s.Read(ctx, 1, 1); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if err := s.Commit(b.Token); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("Commit: %v", err)
	}
}

func TestTokens(t *testing.T) {
	s, other := open(t, t.TempDir(), small()), open(t, t.TempDir(), small())
	if err := s.Commit(Token{}); err != nil {
		t.Errorf("the zero token: %v", err)
	}
	appendN(t, other, 0, 0, 1)
	_, token := drain(t, other)
	if err := s.Commit(token); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("the token of another spool: %v", err)
	}
}

// The numbers of AppendBatch and of Read are the same, as long as the spool is open.
func TestNumbers(t *testing.T) {
	dir := fastDir(t)
	s := open(t, dir, small())
	appendN(t, s, 0, 0, 1)
	first, err := s.AppendBatch(ctx, [][]byte{entry(0, 1), entry(0, 2), entry(0, 3)})
	if err != nil || first != 2 {
		t.Errorf("%d, %v", first, err)
	}
	last, err := s.AppendBatch(ctx, [][]byte{entry(0, 4)})
	if err != nil || last != 5 {
		t.Errorf("%d, %v", last, err)
	}
	for at := uint64(1); at <= 5; {
		b, err := s.Read(ctx, 2, 1<<20)
		if err != nil || b.First != at {
			t.Fatalf("%d, not %d: %v", b.First, at, err)
		}
		for i, e := range b.Entries {
			if _, n := parseEntry(t, e); n != int(at)+i-1 {
				t.Errorf("entry %d has the number %d", n, int(at)+i)
			}
		}
		at += uint64(len(b.Entries))
	}
	closeSpool(t, s)
	s = open(t, dir, small())
	if b, err := s.Read(ctx, 2, 1<<20); err != nil || b.First != 0 || len(b.Entries) != 2 {
		t.Errorf("an adopted entry has the number %d: %v", b.First, err)
	}
}

func TestRelease(t *testing.T) {
	s := open(t, fastDir(t), Options{})
	appendN(t, s, 0, 0, 300)
	var kept []Batch
	for at := 0; at < 300; {
		b, err := s.Read(ctx, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(upTo(at, at+len(b.Entries)), numbers(t, b.Entries)); diff != "" {
			t.Fatal(diff)
		}
		at += len(b.Entries)
		if at%2 == 0 {
			b.Release()
		} else {
			kept = append(kept, b)
		}
		if err := s.Commit(b.Token); err != nil { // also where it was released
			t.Fatal(err)
		}
	}
	// What was not released is as it was.
	for _, b := range kept {
		if diff := cmp.Diff(upTo(int(b.First)-1, int(b.First)-1+len(b.Entries)), numbers(t, b.Entries)); diff != "" {
			t.Error(diff)
		}
	}
	Batch{}.Release()
}
