package postgres

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/annals-dev/annals/analytics"
)

// sums are what the calls of a period add up to, of one scope or of several.
type sums struct {
	totals
	durations  histogram
	dimensions []section // of summedDimensions
	tools      section   // by toolkit kind and tool name, see joined
	actors     section   // by actor id and e-mail
	sessions   sessionSums
}

// totals are the sums that have a column of their own.
type totals struct {
	analytics.Tally
	maxMicros                            int64
	enriched                             int64
	requests, responses                  int64
	requestBytes, responseBytes          analytics.Sum
	withFull, withDedup                  int64
	tokensFull, tokensDedup, tokensSaved analytics.Sum
}

// Most values of one period that are kept; what has more is answered from the records.
const (
	maxDimensionValues = 2_000
	maxToolValues      = 20_000
	maxActorValues     = 200_000
	maxSessionValues   = 500_000
)

func newSums() *sums {
	s := &sums{
		dimensions: make([]section, len(summedDimensions)),
		tools:      newSection(maxToolValues),
		actors:     newSection(maxActorValues),
		sessions:   sessionSums{firsts: map[sessionKind]int64{}},
	}
	for i := range s.dimensions {
		s.dimensions[i] = newSection(maxDimensionValues)
	}
	return s
}

// mergeTally adds b to a.
func mergeTally(a, b *analytics.Tally) {
	a.Calls += b.Calls
	a.Success += b.Success
	a.Measured += b.Measured
	a.Micros.AddSum(b.Micros)
}

func (t *totals) merge(o *totals) {
	mergeTally(&t.Tally, &o.Tally)
	t.maxMicros = max(t.maxMicros, o.maxMicros)
	t.enriched += o.enriched
	t.requests += o.requests
	t.responses += o.responses
	t.requestBytes.AddSum(o.requestBytes)
	t.responseBytes.AddSum(o.responseBytes)
	t.withFull += o.withFull
	t.withDedup += o.withDedup
	t.tokensFull.AddSum(o.tokensFull)
	t.tokensDedup.AddSum(o.tokensDedup)
	t.tokensSaved.AddSum(o.tokensSaved)
}

// merge adds the sums of other calls.
func (s *sums) merge(o *sums) {
	s.totals.merge(&o.totals)
	s.durations.merge(o.durations)
	for i := range s.dimensions {
		s.dimensions[i].merge(&o.dimensions[i])
	}
	s.tools.merge(&o.tools)
	s.actors.merge(&o.actors)
	s.sessions.merge(&o.sessions)
}

// section holds tallies by value. One with too many values holds none at all.
type section struct {
	values map[string]*analytics.Tally
	limit  int
	over   bool
}

func newSection(limit int) section {
	return section{values: map[string]*analytics.Tally{}, limit: limit}
}

// tally gives the tally of a value; nil where the section is over its limit.
func (s *section) tally(value []byte) *analytics.Tally {
	t := s.values[string(value)]
	if t == nil && !s.over {
		if len(s.values) == s.limit {
			s.overflow()
			return nil
		}
		t = new(analytics.Tally)
		s.values[string(value)] = t
	}
	return t
}

func (s *section) overflow() { s.over, s.values = true, nil }

func (s *section) merge(o *section) {
	if o.over {
		s.overflow()
	}
	for value, t := range o.values {
		if mine := s.tally([]byte(value)); mine != nil {
			mergeTally(mine, t)
		}
	}
}

// joined is a key of two values; neither holds a NUL.
func joined(dst []byte, a, b []byte) []byte {
	dst = append(dst[:0], a...)
	dst = append(dst, 0)
	return append(dst, b...)
}

// splitJoined is the reverse of joined.
func splitJoined(key []byte) (a, b []byte) {
	a, b, _ = bytes.Cut(key, []byte{0})
	return a, b
}

// histogram counts durations by buckets that grow by a fiftieth: bucket i holds
// those over 1.02^(i-1) and up to 1.02^i microseconds. Where a value is on the
// very edge the arithmetic may put it on the other side, which costs nothing.
type histogram []int64

const (
	bucketGrowth = 1.02
	// percentileError is how far a percentile from buckets may be off: the
	// middle that bucketValue gives is (g-1)/(g+1) from both ends.
	percentileError = 0.01
)

// bucketOf gives the bucket of a duration in microseconds, at least 1.
func bucketOf(micros int64) int {
	return int(math.Ceil(math.Log(float64(micros)) / math.Log(bucketGrowth)))
}

// bucketSQL is bucketOf in PostgreSQL.
const bucketSQL = `ceil(ln(r.duration_us::float8) / ln(1.02::float8))::int`

// bucketValue is the duration that stands for a bucket's.
func bucketValue(bucket int) float64 {
	return 2 * math.Pow(bucketGrowth, float64(bucket)) / (bucketGrowth + 1)
}

func (h *histogram) add(bucket int, n int64) {
	if bucket >= len(*h) {
		*h = append(*h, make([]int64, bucket+1-len(*h))...)
	}
	(*h)[bucket] += n
}

func (h *histogram) merge(o histogram) {
	for bucket, n := range o {
		if n > 0 {
			h.add(bucket, n)
		}
	}
}

// percentile estimates the percentile of n durations of which none is over most.
func (h histogram) percentile(p float64, n, most int64) float64 {
	if n <= 0 {
		return 0
	}
	low, high, part := analytics.PercentileRanks(p, n)
	a, b := h.at(low, most), h.at(high, most)
	return a + part*(b-a)
}

// at estimates the duration at a place in their order, counted from 0.
func (h histogram) at(rank, most int64) float64 {
	for bucket, n := range h {
		if rank < n {
			return min(bucketValue(bucket), float64(most))
		}
		rank -= n
	}
	return float64(most)
}

// sessionSums hold the first call of each session and toolkit kind: while the
// calls are read in the map, then as a list.
type sessionSums struct {
	firsts map[sessionKind]int64
	list   []sessionFirst
	over   bool
}

type sessionKind struct{ id, kind string }

// sessionFirst is the first call of a session with a toolkit kind; the session
// is a hash of its scope and id. Two sessions share a hash with a probability
// of 2^-64.
type sessionFirst struct {
	hash uint64
	at   int64 // microseconds since 1970
	kind string
}

func (s *sessionSums) add(id, kind []byte, at int64) {
	if s.over {
		return
	}
	first, ok := s.firsts[sessionKind{string(id), string(kind)}]
	switch {
	case ok && first <= at:
	case !ok && len(s.firsts) == maxSessionValues:
		s.overflow()
	default:
		s.firsts[sessionKind{string(id), string(kind)}] = at
	}
}

func (s *sessionSums) overflow() { s.over, s.firsts, s.list = true, nil, nil }

// hashed makes the list of the map; its sessions are those of one scope.
func (s *sessionSums) hashed(scope int32) {
	for key, at := range s.firsts {
		s.list = append(s.list, sessionFirst{hash: sessionHash(scope, key.id), at: at, kind: key.kind})
	}
	s.firsts = nil
}

// merge adds the list of another.
func (s *sessionSums) merge(o *sessionSums) {
	if o.over {
		s.overflow()
	}
	if s.over {
		return
	}
	if s.list = append(s.list, o.list...); len(s.list) > 2*maxSessionValues {
		s.settle()
	}
}

// settle brings the list into order and leaves the first of each session and kind.
func (s *sessionSums) settle() {
	slices.SortFunc(s.list, func(a, b sessionFirst) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.kind, b.kind), cmp.Compare(a.at, b.at))
	})
	s.list = slices.CompactFunc(s.list, func(a, b sessionFirst) bool { return a.hash == b.hash && a.kind == b.kind })
	if len(s.list) > maxSessionValues {
		s.overflow()
	}
}

// sessionHash stands for a session in the sums.
func sessionHash(scope int32, id string) uint64 {
	var room [300]byte
	b := binary.BigEndian.AppendUint32(room[:0], uint32(scope))
	return hashOf(append(b, id...))
}

// hashOf gives 64 bits of a cryptographic hash.
func hashOf(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8])
}
