package postgres

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

var genTally = rapid.Custom(func(t *rapid.T) *analytics.Tally {
	calls := rapid.Int64Range(1, 1<<40).Draw(t, "calls")
	return &analytics.Tally{
		Calls: calls, Success: rapid.Int64Range(0, calls).Draw(t, "success"), Measured: rapid.Int64Range(0, calls).Draw(t, "measured"),
		Micros: analytics.SumOfWords(rapid.Uint64Range(0, 3).Draw(t, "high"), rapid.Uint64().Draw(t, "low")),
	}
})

var genSection = rapid.Custom(func(t *rapid.T) section {
	return section{values: rapid.MapOf(rapid.StringOf(rapid.SampledFrom([]rune("ab\x00é"))), genTally).Draw(t, "values"), limit: 1000}
})

func TestPackedSectionsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sections := make([]section, len(summedDimensions))
		for i := range sections {
			sections[i] = newSection(1000)
		}
		for range 3 {
			sections[rapid.IntRange(0, len(sections)-1).Draw(t, "dimension")] = genSection.Draw(t, "section")
		}
		sections[1].overflow()
		got := make([]section, len(sections))
		for i := range got {
			got[i] = newSection(1000)
		}
		if err := unpackDimensions(got, packDimensions(sections)); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if d := cmp.Diff(sections[i].values, got[i].values, cmp.AllowUnexported(analytics.Sum{})); d != "" || got[i].over != sections[i].over {
				t.Fatal(d)
			}
		}
	})
}

func TestPackedSessionsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := storetest.CorpusStart.UnixMicro()
		var s sessionSums
		s.firsts = map[sessionKind]int64{}
		for range rapid.IntRange(0, 20).Draw(t, "calls") {
			id, kind := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id"), rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "kind")
			s.add([]byte(id), []byte(kind), start+rapid.Int64Range(0, dayMicros-1).Draw(t, "at"))
		}
		s.hashed(7)
		s.settle()
		var got sessionSums
		kinds, sessions := s.pack(start)
		if err := got.unpack(kinds, sessions, start); err != nil || !slices.Equal(got.list, s.list) {
			t.Fatalf("%v: %v, want %v", err, got.list, s.list)
		}
	})
}

func TestHistogramsComeBackAndPercentilesAreNear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(1, 200), rapid.Int64Range(1, 10_000_000), rapid.Int64Range(1, audit.MaxDuration.Microseconds())), 1, 100).Draw(t, "values")
		var h, got histogram
		for _, v := range values {
			h.add(bucketOf(v), 1)
		}
		if err := got.unpack(h.pack()); err != nil || !slices.Equal(got, h) {
			t.Fatalf("%v: %v, want %v", err, got, h)
		}
		slices.Sort(values)
		for _, p := range []float64{0.5, 0.95, 0.99} {
			want := analytics.Percentile(values, p)
			if e := h.percentile(p, int64(len(values)), values[len(values)-1]); math.Abs(e-want) > want*percentileError*(1+1e-9) {
				t.Fatalf("percentile %v of %v is estimated as %v", p, values, e)
			}
		}
	})
}

// Damaged sums are an error, never a panic, and never endless.
func FuzzPackedSums(f *testing.F) {
	s := section{values: map[string]*analytics.Tally{"abc": {Calls: 3, Success: 2}, "abd": {Calls: 300, Measured: 1, Micros: analytics.SumOf(math.MaxInt64)}}, limit: 10}
	f.Add(s.pack())
	f.Add(histogram{0, 3, 0, 9}.pack())
	f.Add(packDimensions([]section{s, s}))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(_ *testing.T, b []byte) {
		into := newSums()
		_ = into.tools.unpack(b)
		_ = into.durations.unpack(b)
		_ = unpackDimensions(into.dimensions, b)
		_ = into.sessions.unpack(b, b, 0)
		_, _ = numericSum(b)
	})
}

func TestNumericsAreReadAndWritten(t *testing.T) {
	c := newTrial(t).c
	rapid.Check(t, func(rt *rapid.T) {
		want := analytics.SumOfWords(rapid.Uint64Range(0, math.MaxUint64).Draw(rt, "high"), rapid.Uint64().Draw(rt, "low"))
		if rapid.Bool().Draw(rt, "small") {
			_, low := want.Words()
			want = analytics.SumOfWords(0, low>>rapid.IntRange(0, 63).Draw(rt, "shift"))
		}
		rows, err := c.Query(t.Context(), `SELECT $1::numeric, $1::numeric::text`, pgx.QueryResultFormats{pgx.BinaryFormatCode}, numeric(want))
		if err != nil {
			rt.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			raw := rows.RawValues()
			high, low := want.Words()
			n := new(big.Int).SetUint64(high)
			n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(low))
			if got, err := numericSum(raw[0]); err != nil || got != want || string(raw[1]) != n.String() {
				rt.Fatalf("%v is %v, %s: %v", want, got, raw[1], err)
			}
		}
	})
	var _ pgtype.Numeric = numeric(analytics.Sum{})
	for _, b := range [][]byte{{1}, {0, 1, 0, 0, 0x40, 0, 0, 0, 0, 9}, {0, 2, 0, 0, 0, 0, 0, 0, 0, 9}} {
		if _, err := numericSum(b); err == nil {
			t.Errorf("%v is no whole number that is not negative", b)
		}
	}
}

// TestSamplesAreNear counts more sessions and actors than are read.
func TestSamplesAreNear(t *testing.T) {
	x := newTrial(t)
	r := rand.New(rand.NewPCG(1, 1))
	start := storetest.CorpusStart
	const days, sessions = 6, 6000
	type key struct {
		scope   int32
		session int
	}
	seen, actors := map[key]firsts{}, map[int]bool{}
	tx, err := x.s.main.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	m := making{s: x.s, tx: tx}
	for d := range days {
		day := start.Add(time.Duration(d) * 24 * time.Hour)
		byScope := map[int32]*sums{}
		for scope := range int32(2) {
			s := newSums()
			for range sessions {
				k := key{scope, r.IntN(2 * sessions)}
				discovery := r.IntN(3) == 0
				at := day.Add(time.Duration(r.Int64N(int64(24 * time.Hour)))).Truncate(time.Microsecond)
				kind := "trino"
				f, ok := seen[k]
				if !ok {
					f = firsts{noCall, noCall}
				}
				if discovery {
					kind = "datahub"
					f.discovery = min(f.discovery, at.UnixMicro())
				} else {
					f.query = min(f.query, at.UnixMicro())
				}
				seen[k] = f
				s.sessions.add([]byte(string(rune('a'+k.session))), []byte(kind), at.UnixMicro())
				actor := r.IntN(20_000)
				actors[actor] = true
				s.actors.tally(joined(nil, []byte(string(rune('a'+actor))), nil)).Calls++
				s.Calls++
			}
			s.sessions.hashed(scope + 1)
			byScope[scope+1] = s
		}
		if err := m.replace(t.Context(), 24, day, byScope); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var before int64
	for _, f := range seen {
		if f.discovery < f.query && f.query != noCall {
			before++
		}
	}
	q := &audit.Query{From: start, To: start.Add(days * 24 * time.Hour)}
	for _, hashBytes := range []int64{0, 60_000} {
		x.s.rollups.hashBytes = hashBytes
		// Six standard deviations of a sample of 60,000 bytes of those that were packed.
		near := 0.0
		if hashBytes > 0 {
			near = 6 / math.Sqrt(float64(hashBytes)/sessionBytes/2)
		}
		o, err := x.s.Overview(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		d, err := x.s.Discovery(t.Context(), q, analytics.DiscoveryKinds{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := x.s.Enrichment(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what      string
			got, want int64
			error     float64
		}{
			{"actors", o.UniqueActors, int64(len(actors)), o.ActorsError},
			{"sessions", d.TotalSessions, int64(len(seen)), d.SessionsError},
			{"discovery before a query", d.Before, before, d.SessionsError},
			{"sessions", e.UniqueSessions, int64(len(seen)), e.SessionsError},
		} {
			t.Logf("%s: %d of %d", c.what, c.got, c.want)
			if math.Abs(float64(c.got-c.want)) > near*float64(c.want) || (c.error > 0) != (hashBytes > 0) {
				t.Errorf("%s: got %d, want %d, error %v", c.what, c.got, c.want, c.error)
			}
		}
	}
}
