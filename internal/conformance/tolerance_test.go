package conformance

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// sameNumbers compares whole numbers exactly, and fractions but for the last of
// their digits, as a division may round either way. The search engines add in
// float64 (docs/backends/elasticsearch.md), so that their sums past 2^53, and the
// averages of such sums, may differ in what a float64 does not hold.
func sameNumbers(engine string) cmp.Option {
	return cmp.Comparer(func(a, b json.Number) bool {
		whole := !strings.ContainsAny(string(a+b), ".eE")
		if x, err := a.Float64(); err == nil && x > 1<<50 && engine == "opensearch" {
			whole = false
		}
		return a == b || !whole && near(a, b, 1e-12, "0")
	})
}

// near reports whether two numbers differ by at most a fraction of the largest of three.
func near(a, b json.Number, by float64, of json.Number) bool {
	x, errX := a.Float64()
	y, errY := b.Float64()
	z, errZ := of.Float64()
	return errX == nil && errY == nil && errZ == nil && math.Abs(x-y) <= by*max(math.Abs(x), math.Abs(y), math.Abs(z))
}

// estimates are the errors that an answer may state, and the numbers that they
// are of; an error is a fraction of the number, or of another that is named.
var estimates = map[string]struct {
	numbers []string
	of      string
}{
	"percentile_error":      {[]string{"p50_ms", "p95_ms", "p99_ms"}, ""},
	"unique_actors_error":   {[]string{"unique_actors"}, ""},
	"unique_sessions_error": {[]string{"unique_sessions"}, ""},
	"sessions_error":        {[]string{"total_sessions", "discovery_sessions", "query_sessions", "before", "without"}, "total_sessions"},
}

// forgive replaces the numbers that an answer says to be estimated by those of
// the reference, where they differ by no more than it states, and takes the
// statement out. An error of more than a twentieth is not forgiven.
func forgive(reference, body any) {
	want, _ := reference.(map[string]any)
	got, _ := body.(map[string]any)
	for statement, e := range estimates {
		stated, ok := got[statement].(json.Number)
		by, err := stated.Float64()
		if !ok || err != nil || by > 0.05 {
			continue
		}
		of, _ := want[e.of].(json.Number)
		if of == "" {
			of = "0"
		}
		for _, name := range e.numbers {
			w, okW := want[name].(json.Number)
			g, okG := got[name].(json.Number)
			if okW && okG && near(w, g, by, of) {
				got[name] = w
			}
		}
		delete(got, statement)
	}
}
