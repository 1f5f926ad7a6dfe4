package clickhouse

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
)

var granules = regexp.MustCompile(`Granules: (\d+)/(\d+)`)

// granulesOf tells how many granules a statement reads, and how many there are.
func granulesOf(tb testing.TB, s *Store, query string) (read, all int) {
	tb.Helper()
	first := true
	err := s.rows(tb.Context(), "EXPLAIN indexes=1 "+query, func(r *row) error {
		var line string
		if err := r.Scan(&line); err != nil {
			return err
		}
		if m := granules.FindStringSubmatch(line); m != nil {
			read, _ = strconv.Atoi(m[1])
			if first {
				all, _ = strconv.Atoi(m[2])
				first = false
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return read, all
}

// The look for ids before a write reads nothing of what is older, and what names
// few records is found without reading all: a Bloom filter says of one granule in
// a hundred that it may hold what it does not, bounds and words never do.
func TestIndexesAreUsed(t *testing.T) {
	s := opened(t, enginetest.ClickHouse(t), nil)
	for range 3 {
		recs := made(t, 25_000)
		for i, r := range recs {
			r.Request.TraceID = fmt.Sprintf("trace-%d-%x", i, r.ID[8:])
		}
		if _, err := s.Append(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
	}
	fresh := made(t, 100)
	for _, r := range fresh {
		r.ID[4] ^= 0x80 // a minute from now, or before
		r.ID[3]++
	}
	sp := spansOf(fresh)
	for name, c := range map[string]struct {
		query string
		most  int
	}{
		"fresh ids": {"SELECT 1 FROM " + s.records + " WHERE " + sp.between(), 0},
		"a trace":   {"SELECT 1 FROM " + s.records + " WHERE trace_id='trace-7-nowhere'", 4},
		"an id":     {"SELECT 1 FROM " + s.records + " WHERE id=" + identity(audit.ID{1, 2, 3}), 4},
		"a window":  {"SELECT 1 FROM " + s.records + " WHERE occurred_at<" + integer(fresh[0].OccurredAt.UnixMicro()), 0},
		"a scope":   {"SELECT 1 FROM " + s.records + " WHERE namespace='ns' AND tenant='nobody'", 0},
		"a word":    {"SELECT 1 FROM " + s.records + " WHERE hasAllTokens(search,['absent'])", 0},
	} {
		if read, all := granulesOf(t, s, c.query); read > c.most || all < 6 {
			t.Errorf("%s: %d granules are read of %d, want at most %d", name, read, all, c.most)
		}
	}
}
