package load

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts times in microseconds. Each power of two has 128 buckets of
// equal width, so a quantile is at most 0.8 % too long. It is safe for
// concurrent use, and its size does not grow.
type histogram struct {
	buckets [subBuckets * (maxExponent + 2)]atomic.Int64
	max     atomic.Int64
}

const (
	subBits     = 7
	subBuckets  = 1 << subBits
	maxExponent = 33 // times up to 2^41 µs, which is 25 days
)

func (h *histogram) add(d time.Duration) {
	v := max(0, d.Microseconds())
	h.buckets[bucketOf(v)].Add(1)
	for {
		old := h.max.Load()
		if v <= old || h.max.CompareAndSwap(old, v) {
			return
		}
	}
}

func bucketOf(v int64) int {
	if v < subBuckets {
		return int(v)
	}
	e := bits.Len64(uint64(v)) - subBits - 1
	if e > maxExponent {
		return len(histogram{}.buckets) - 1
	}
	return subBuckets*e + int(v>>e)
}

// longest gives the longest time of a bucket.
func longest(bucket int) int64 {
	if bucket < subBuckets {
		return int64(bucket)
	}
	e := bucket/subBuckets - 1
	return (int64(bucket%subBuckets+subBuckets)+1)<<e - 1
}

// Latency is how long answers took, in milliseconds. A quantile is at most
// 0.8 % too long; the maximum is exact.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// latency sums up. Nobody adds any more.
func (h *histogram) latency() Latency {
	l := Latency{Max: float64(h.max.Load()) / 1000}
	for i := range h.buckets {
		l.Count += h.buckets[i].Load()
	}
	for _, q := range []struct {
		share float64
		to    *float64
	}{{.50, &l.P50}, {.95, &l.P95}, {.99, &l.P99}} {
		// The smallest time that so large a share of the answers did not exceed.
		rank := max(1, int64(math.Ceil(q.share*float64(l.Count))))
		for i := range h.buckets {
			if rank -= h.buckets[i].Load(); rank <= 0 {
				*q.to = min(float64(longest(i))/1000, l.Max)
				break
			}
		}
	}
	return l
}
