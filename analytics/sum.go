package analytics

import (
	"math"
	"math/bits"
)

// Sum adds whole numbers that are not negative, exactly: 128 bits, because two
// sizes of 2^63-1 bytes are enough to overflow 64. The zero Sum is 0.
//
// Every average is defined on it: the sum of whole microseconds, bytes or
// tokens, rounded once to the nearest float64 and then divided. An engine that
// adds integers natively hands over its totals by [SumOf] or [SumOfParts] and
// so agrees with [Stream] to the last bit; one that adds floats does not.
type Sum struct{ hi, lo uint64 }

// SumOf is the sum that an engine computed without overflow; not negative.
func SumOf(n int64) Sum {
	var s Sum
	s.Add(n)
	return s
}

// SumOfParts is for an engine whose sums have 64 bits: high is the sum of x>>32
// and low the sum of x&0xffffffff over the values x. Neither overflows with up
// to 2^31 values.
func SumOfParts(high, low int64) Sum {
	var s Sum
	s.Add(low)
	h := uint64(max(high, 0))
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, h<<32, 0)
	s.hi, _ = bits.Add64(s.hi, h>>32, carry)
	return s
}

// Add adds n; a negative n, which no record has, counts as 0.
func (s *Sum) Add(n int64) {
	if n > 0 {
		var carry uint64
		s.lo, carry = bits.Add64(s.lo, uint64(n), 0)
		s.hi += carry
	}
}

// AddSum adds another sum.
func (s *Sum) AddSum(o Sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
}

// Words gives the sum as high·2^64 + low, for an engine that keeps it.
func (s Sum) Words() (high, low uint64) { return s.hi, s.lo }

// SumOfWords is the sum high·2^64 + low, see [Sum.Words].
func SumOfWords(high, low uint64) Sum { return Sum{high, low} }

// Int gives the sum, or 2^63-1 where it is larger.
func (s Sum) Int() int64 {
	if s.hi != 0 || s.lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(s.lo)
}

// Float gives the float64 nearest to the sum.
func (s Sum) Float() float64 {
	if s.hi == 0 {
		return float64(s.lo)
	}
	n := bits.Len64(s.hi)
	top := s.hi<<(64-n) | s.lo>>n
	if s.lo<<(64-n) != 0 {
		top |= 1 // only whether anything is left below matters for rounding
	}
	return math.Ldexp(float64(top), n)
}

// Average is the sum divided by the number of values; 0 without values.
func (s Sum) Average(n int64) float64 {
	if n <= 0 {
		return 0
	}
	return s.Float() / float64(n)
}

// AverageMS is the average in milliseconds of a sum of microseconds.
func (s Sum) AverageMS(n int64) float64 { return s.Average(n) / 1000 }

// Rate is n/d, a fraction; 0 when d is 0.
func Rate(n, d int64) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / float64(d)
}

// Percentile gives the continuous percentile p, from 0 to 1, of values in
// ascending order: the value at rank p·(n-1), interpolated linearly
// (percentile_cont of SQL:2003, in PostgreSQL's arithmetic); 0 without values.
func Percentile(sorted []int64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	low, high, part := PercentileRanks(p, int64(len(sorted)))
	return Interpolate(sorted[low], sorted[high], part)
}

// PercentileRanks gives the places, counted from 0, of the two values of n that
// the percentile p lies between, and how far it is from the first to the second.
// For an engine that fetches the two by their place and calls [Interpolate].
func PercentileRanks(p float64, n int64) (low, high int64, part float64) {
	if n <= 0 {
		return 0, 0, 0
	}
	rank := p * float64(n-1)
	low = int64(math.Floor(rank))
	return low, int64(math.Ceil(rank)), rank - float64(low)
}

// Interpolate gives the value that lies the given part of the way from low to high.
func Interpolate(low, high int64, part float64) float64 {
	if low == high {
		return float64(low)
	}
	// The conversion keeps the compiler from fusing the two operations, which
	// would round differently on some processors.
	return float64(low) + float64(part*(float64(high)-float64(low)))
}
