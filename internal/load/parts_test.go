package load

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func TestHistogramIsNearTheTruth(t *testing.T) {
	for _, n := range []int{1, 2, 3, 100, 1000, 12345} {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		var h histogram
		times := make([]int64, n)
		for i := range times {
			times[i] = int64(rng.ExpFloat64() * float64(int64(1)<<rng.IntN(34)))
			h.add(time.Duration(times[i]) * time.Microsecond)
		}
		slices.Sort(times)
		l := h.latency()
		if l.Count != int64(n) || l.Max != float64(times[n-1])/1000 {
			t.Errorf("of %d: %+v, the longest is %d µs", n, l, times[n-1])
		}
		for share, got := range map[int]float64{50: l.P50, 95: l.P95, 99: l.P99} {
			truth := float64(times[(n*share+99)/100-1]) / 1000
			if got < truth || got > truth*(1+1.0/subBuckets)+0.001 {
				t.Errorf("p%d of %d is %v, the truth is %v", share, n, got, truth)
			}
		}
	}
	var none, huge histogram
	if l := none.latency(); l != (Latency{}) {
		t.Errorf("of nothing: %+v", l)
	}
	huge.add(time.Duration(1<<63 - 1))
	huge.add(-time.Second)
	if l := huge.latency(); l.P50 != 0 || l.P99 <= 0 || l.P99 > l.Max {
		t.Errorf("%+v", l)
	}
}

func TestIDs(t *testing.T) {
	at := time.Date(2026, 7, 1, 2, 3, 4, 0, time.UTC)
	seen := map[audit.ID]bool{}
	for _, user := range []int{0, 1, MaxUsers - 1} {
		for _, number := range []int{0, 1, maxEvents - 1} {
			for _, run := range []uint32{1, 1<<runBits - 1} {
				id := makeID(at, run, user, number)
				if seen[id] {
					t.Errorf("%s was given twice", id)
				}
				seen[id] = true
				if back, err := audit.ParseID(id.String()); err != nil || back != id || id.String()[14] != '7' || !strings.ContainsRune("89ab", rune(id.String()[19])) {
					t.Errorf("%s is no UUID of version 7", id)
				}
				if got, ok := runOf(id); !ok || got != run {
					t.Errorf("%s is of run %d, want %d", id, got, run)
				}
			}
		}
	}
	if !strings.HasPrefix(makeID(at, 1, 2, 3).String(), audit.ID{0: 0x01, 1: 0x9f, 2: 0x1b}.String()[:4]) {
		t.Errorf("%s does not begin with the time", makeID(at, 1, 2, 3))
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	var want []audit.ID
	for i := range 3*chunkIDs + 5 {
		id := makeID(time.UnixMilli(int64(i*7919%1000)), 1, 1, i)
		want = append(want, id)
	}
	l.add(want[:1]...)
	l.add(want[1:]...)
	slices.SortFunc(want, audit.ID.Compare)
	if got := l.sorted(); !slices.Equal(got, want) {
		t.Error("the ids are others")
	}
	if l.n != 0 || len(l.sorted()) != 0 {
		t.Error("the ledger keeps them")
	}
}

func TestParseMetrics(t *testing.T) {
	got, err := parseMetrics(strings.NewReader("# HELP a b\n# TYPE a counter\n\na 1.5e3\n" + `x_total{result="stored",why="a b"} 7` + "\nodd\nb NaNny\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]float64{"a": 1500, `x_total{result="stored",why="a b"}`: 7}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestReadID(t *testing.T) {
	id := makeID(time.UnixMilli(1), 2, 3, 4)
	long := strings.Repeat("x", 5000)
	lines := bufio.NewReaderSize(strings.NewReader(
		`{"id":"`+id.String()+`","action":"a"}`+"\n"+
			`{"id":"`+id.String()+`","payload":"`+long+`"}`+"\n"+
			`{"payload":"`+long+`","id":"`+id.String()+`"}`+"\n"+
			`{"id":"`), 4096)
	for i := range 3 {
		if got, err := readID(lines); err != nil || got != id {
			t.Errorf("line %d: %s, %v", i, got, err)
		}
	}
	if _, err := readID(lines); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("half a line:", err)
	}
	if _, err := readID(bufio.NewReader(strings.NewReader(""))); !errors.Is(err, io.EOF) {
		t.Error("the end:", err)
	}
	if _, err := readID(bufio.NewReader(strings.NewReader("no json\n"))); err == nil {
		t.Error("a line that is no record")
	}
}

func TestRaise(t *testing.T) {
	for _, c := range []struct {
		current, most, need, to uint64
		change                  bool
	}{
		{1024, 4096, 500, 1024, false}, {1024, 4096, 2000, 2000, true}, {1024, 4096, 9000, 4096, true}, {1024, 1024, 9000, 1024, false},
	} {
		if to, change := raise(c.current, c.most, c.need); to != c.to || change != c.change {
			t.Errorf("%+v: %d, %v", c, to, change)
		}
	}
	if err := ReserveFiles(10); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "linux" {
		err := ReserveFiles(1 << 40)
		if audit.CodeOf(err) != audit.CodeInvalid || !strings.Contains(err.Error(), "ulimit -n") {
			t.Error(err)
		}
	}
}
