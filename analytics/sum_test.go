package analytics_test

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/annals-dev/annals/analytics"
)

func TestSumAgainstBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.OneOf(
			rapid.Int64Min(0), rapid.Int64Range(math.MaxInt64-3, math.MaxInt64), rapid.Int64Range(0, 9), rapid.Just(int64(-5)),
		)).Draw(t, "values")
		var sum analytics.Sum
		var high, low int64
		want := new(big.Int)
		for _, v := range values {
			sum.Add(v)
			if v > 0 {
				want.Add(want, big.NewInt(v))
				high, low = high+v>>32, low+v&0xffffffff
			}
		}
		if parts := analytics.SumOfParts(high, low); parts != sum {
			t.Fatalf("by parts %v, by values %v", parts, sum)
		}
		half := len(values) / 2
		var first, second analytics.Sum
		for i, v := range values {
			if i < half {
				first.Add(v)
			} else {
				second.Add(v)
			}
		}
		if first.AddSum(second); first != sum || analytics.SumOfWords(first.Words()) != sum {
			t.Fatalf("the sum of two sums is %v, want %v", first, sum)
		}
		f, _ := new(big.Float).SetInt(want).Float64()
		if sum.Float() != f {
			t.Fatalf("Float is %v, want %v", sum.Float(), f)
		}
		n := int64(math.MaxInt64)
		if want.IsInt64() {
			n = want.Int64()
		}
		if sum.Int() != n {
			t.Fatalf("Int is %d, want %d", sum.Int(), n)
		}
	})
}

func TestRateAndAverage(t *testing.T) {
	for _, c := range []struct{ got, want float64 }{
		{analytics.Rate(1, 4), 0.25},
		{analytics.Rate(0, 0), 0},
		{analytics.Rate(3, 3), 1},
		{analytics.SumOfParts(1<<32, 2048).Float(), 1 << 64},      // half way between two floats: to the even one
		{analytics.SumOfParts(1<<32, 2049).Float(), 1<<64 + 4096}, // just above half way
		{analytics.SumOf(7).Average(2), 3.5},
		{analytics.SumOf(7).Average(0), 0},
		{analytics.SumOf(7000).AverageMS(2), 3.5},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	for _, c := range []struct {
		sorted  []int64
		p, want float64
	}{
		{nil, 0.5, 0},
		{[]int64{7}, 0.99, 7},
		{[]int64{10, 20}, 0, 10},
		{[]int64{10, 20}, 0.5, 15},
		{[]int64{10, 20}, 1, 20},
		{[]int64{1, 2, 3, 4, 5}, 0.5, 3},
		{[]int64{0, 0, 0, 100}, 0.75, 25},
	} {
		if got := analytics.Percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile %v of %v is %v, want %v", c.p, c.sorted, got, c.want)
		}
	}
	if low, high, part := analytics.PercentileRanks(0.5, 0); low != 0 || high != 0 || part != 0 {
		t.Error("ranks of no values")
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(1, 1<<51), 1, 50).Draw(t, "values")
		slices.Sort(values)
		last := math.Inf(-1)
		for _, p := range []float64{0, 0.5, 0.95, 0.99, 1} {
			got := analytics.Percentile(values, p)
			if got < last || got < float64(values[0]) || got > float64(values[len(values)-1]) {
				t.Fatalf("percentile %v of %v is %v", p, values, got)
			}
			last = got
		}
	})
}
