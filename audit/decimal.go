package audit

import (
	"strconv"
	"strings"
)

// parseMillis reads a decimal number of milliseconds into whole microseconds,
// cut (not rounded). ok is false for what is no number or beyond 63 bits.
func parseMillis(s string) (us int64, ok bool) {
	us, _, ok = parseDecimal(s, 3)
	return us, ok
}

// parseDecimal reads a number of JSON's grammar (RFC 8259, section 6) times
// 10^shift without going through binary fractions, so that 1.0005 and 2^63-1
// keep every digit. The result is cut towards zero; exact says that nothing
// was cut. ok is false for any other text and for results beyond 63 bits.
func parseDecimal(s string, shift int) (n int64, exact, ok bool) {
	scan := docScanner{in: []byte(s), check: true}
	if s == "" || scan.number() != nil || scan.pos != len(s) {
		return 0, false, false
	}
	s, negative := strings.CutPrefix(s, "-")
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		// An exponent out of range is clamped by Atoi, which is as good: the number is 0 or too large.
		exponent, _ = strconv.Atoi(s[i+1:])
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return 0, true, true
	}
	const far = 1 << 30 // beyond any number of digits that fits in memory here
	exponent = max(-far, min(exponent, far))
	// The decimal point stands after this many of the digits that are left.
	point := len(digits) - len(fraction) + exponent + shift
	if point <= 0 {
		return 0, false, true
	}
	const most = 19 // digits of 2^63-1
	if point > most {
		return 0, false, false
	}
	rest := ""
	if point < len(digits) {
		digits, rest = digits[:point], digits[point:]
	} else {
		digits += strings.Repeat("0", point-len(digits))
	}
	if negative {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, strings.Trim(rest, "0") == "", err == nil
}
