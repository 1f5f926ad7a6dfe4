package main

// line is one row of the table: a side, or a side against another.
type line struct {
	name    string
	a, b    side
	against string // what b is
	bar     string
	onRatio bool // the bar is on a/b, else on a
	met     func(float64) bool
}

func atLeast(x float64) func(float64) bool { return func(v float64) bool { return v >= x } }
func atMost(x float64) func(float64) bool  { return func(v float64) bool { return v <= x } }

const (
	p50    = "p50-ns/op"
	ns     = "ns"
	rate   = "rec/s"
	perSec = "records/s"
)

var lines = append(append(append(callerLines, wayLines...), verifyLines...), questionLines()...)

// What recording costs its caller, beside one line of a log.
var callerLines = []line{
	{name: "caller: filtered event", a: side{pkg: "recorder", bench: "BenchmarkRecordFiltered", metric: p50, unit: ns}, bar: "≤ 50 ns", met: atMost(50)},
	{name: "caller: filtered event, allocations", a: side{pkg: "recorder", bench: "BenchmarkRecordFiltered", metric: "allocs/op"}, bar: "0", met: atMost(0)},
	{name: "caller: asynchronous record", a: side{pkg: "recorder", bench: "BenchmarkRecordAsync", metric: p50, unit: ns},
		b: side{pkg: "recorder", bench: "BenchmarkZerolog", metric: p50, unit: ns}, against: "a zerolog line", bar: "≤ 1,000 ns", met: atMost(1000)},
	{name: "caller: asynchronous record, many goroutines", a: side{pkg: "recorder", bench: "BenchmarkRecordAsyncParallel", metric: p50, unit: ns},
		b: side{pkg: "recorder", bench: "BenchmarkSlogJSONParallel", metric: p50, unit: ns}, against: "a slog JSON line", bar: "≤ 1,000 ns", met: atMost(1000)},
	{name: "caller: asynchronous record, allocations", a: side{pkg: "recorder", bench: "BenchmarkRecordAsync", metric: "allocs/op"}, bar: "≤ 3", met: atMost(3)},
}

// Both sides insert the same rows into the same tables and indexes of a file of
// their own, with WAL and synchronous FULL, in batches of 500.
var wayLines = []line{
	{name: "way: chained, no full text, batches of 500", a: side{pkg: "store/sqlite", bench: "BenchmarkWay", metric: rate, unit: perSec, time: "60000x"},
		b: side{pkg: "store/sqlite", bench: "BenchmarkAppend/500/rawchained", metric: rate, unit: perSec, time: "60000x"}, against: "raw prepared insert", bar: "≥ 0.8", onRatio: true, met: atLeast(0.8)},
}

var verifyLines = []line{
	{name: "verify: hashing, from memory", a: side{pkg: "chain", bench: "BenchmarkHashOf", metric: perSec, unit: perSec},
		b: side{pkg: "chain", bench: "BenchmarkSHA256Alone", metric: perSec, unit: perSec}, against: "SHA-256 alone", bar: "≥ 0.6", onRatio: true, met: atLeast(0.6)},
}

func questionLines() []line { return nil }
