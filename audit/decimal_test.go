package audit

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestParseMillis(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-0": 0, "1": 1000, "0.001": 1, "0.0009999": 0, "1.0005": 1000, "1.001": 1001, "1.0019999": 1001, "1e3": 1_000_000, "1E+3": 1_000_000,
		"1.5e-3": 1, "15e-4": 1, "123456.789": 123_456_789, "3153599999999.999": 3_153_599_999_999_999, "0e99999999999999999999": 0,
		"1e-99999999999999999999": 0, "9223372036854775.807": math.MaxInt64, "-9223372036854775.808": math.MinInt64, "-1.5": -1500, "0.00000001e5": 1,
	} {
		if got, ok := parseMillis(in); !ok || got != want {
			t.Errorf("%s: got %d, %v; want %d", in, got, ok, want)
		}
	}
	for _, bad := range []string{"", "-", "+1", ".5", "5.", "1e", "01", "0x10", "1_000", "inf", "NaN", " 1", "1 ", "1e99999999999999999999", "9223372036854775.808", "-9223372036854775.809"} {
		if got, ok := parseMillis(bad); ok {
			t.Errorf("%q is read as %d", bad, got)
		}
	}
}

// The reference is exact arithmetic with rationals.
func TestParseDecimalIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "s")
		shift := rapid.SampledFrom([]int{0, 3}).Draw(t, "shift")
		want, good := new(big.Rat).SetString(s)
		if !good {
			t.Fatal(s)
		}
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(shift)), nil)))
		whole := new(big.Int).Quo(want.Num(), want.Denom())
		got, exact, ok := parseDecimal(s, shift)
		if ok != whole.IsInt64() || ok && (got != whole.Int64() || exact != want.IsInt()) {
			t.Fatalf("%s: got %d, %v, %v; want %s", s, got, exact, ok, want.RatString())
		}
	})
}

func TestFormatMicrosIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.Int64().Draw(t, "us")
		s := string(appendMicros(nil, us))
		if got, ok := parseMillis(s); !ok || got != us {
			t.Fatalf("%d is written as %s and read as %d, %v", us, s, got, ok)
		}
	})
}
