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
	p95    = "p95-ms"
	ns     = "ns"
	ms     = "ms"
	rate   = "rec/s"
	perSec = "records/s"
)

func lines() []line {
	var all []line
	for _, group := range [][]line{callerLines(), wayLines(), verifyLines(), questionLines(), statisticLines(), otherLines(), engineLines()} {
		all = append(all, group...)
	}
	return all
}

func caller(bench, metric, unit string) side {
	return side{pkg: "recorder", bench: bench, metric: metric, unit: unit}
}

// callerLines: what recording costs its caller, beside one line of a log.
func callerLines() []line {
	return []line{
		{name: "caller: filtered event", a: caller("BenchmarkRecordFiltered", p50, ns), bar: "≤ 50 ns", met: atMost(50)},
		{name: "caller: filtered event, allocations", a: caller("BenchmarkRecordFiltered", "allocs/op", ""), bar: "0", met: atMost(0)},
		{name: "caller: asynchronous record", a: caller("BenchmarkRecordAsync", p50, ns),
			b: caller("BenchmarkZerolog", p50, ns), against: "a zerolog line", bar: "≤ 1,000 ns", met: atMost(1000)},
		{name: "caller: asynchronous record, many goroutines", a: caller("BenchmarkRecordAsyncParallel", p50, ns),
			b: caller("BenchmarkSlogJSONParallel", p50, ns), against: "a slog JSON line", bar: "≤ 1,000 ns", met: atMost(1000)},
		{name: "caller: asynchronous record, allocations", a: caller("BenchmarkRecordAsync", "allocs/op", ""), bar: "≤ 3", met: atMost(3)},
	}
}

func sqlite(bench, metric, unit, time string) side {
	return side{pkg: "store/sqlite", bench: bench, metric: metric, unit: unit, time: time}
}

// wayLines: both sides insert the same rows into the same tables and indexes of
// a file of their own, with WAL and synchronous FULL. The way's rows are counted
// in the store afterwards.
func wayLines() []line {
	const n = "60000x"
	way := func(name string) side { return sqlite("BenchmarkWay/"+name, rate, perSec, n) }
	raw := func(name string) side { return sqlite("BenchmarkAppend/"+name, rate, perSec, n) }
	return []line{
		{name: "way: recorder, redaction, chain, batches from 500", a: way("batch=500/text=false/chained"),
			b: raw("batch=500/text=false/rawchained"), against: "raw prepared insert by 500", bar: "≥ 0.8", onRatio: true, met: atLeast(0.8)},
		{name: "way: recorder, redaction, chain, batches from 5,000", a: way("batch=5000/text=false/chained"),
			b: raw("batch=5000/text=false/rawchained"), against: "raw prepared insert by 5,000", bar: "≥ 0.8", onRatio: true, met: atLeast(0.8)},
		{name: "way: chain on", a: way("batch=5000/text=false/chained"),
			b: way("batch=5000/text=false/plain"), against: "chain off", bar: "≥ 0.85", onRatio: true, met: atLeast(0.85)},
		{name: "way: with full text", a: way("batch=5000/text=true/chained"),
			b: raw("batch=5000/text=true/rawchained"), against: "raw with full text", bar: ""},
		{name: "way: the 1,000,000th record", a: sqlite("BenchmarkGrowth/million", "us/rec", "µs", "1x"),
			b: sqlite("BenchmarkGrowth/thousand", "us/rec", "µs", "1x"), against: "the 1,000th", bar: "≤ 1.1", onRatio: true, met: atMost(1.1)},
	}
}

// verifyLines: hashing against the hash alone, and whole verifications.
func verifyLines() []line {
	inChain := func(bench string) side {
		return side{pkg: "chain", bench: bench, metric: perSec, unit: perSec}
	}
	return []line{
		{name: "verify: a chain in memory, one worker", a: inChain("BenchmarkVerify/workers=1"),
			b: inChain("BenchmarkVerify/SHA256Alone"), against: "SHA-256 of the same bytes", bar: "≥ 0.6", onRatio: true, met: atLeast(0.6)},
		{name: "verify: encoding and hashing one record", a: inChain("BenchmarkHashOf"),
			b: inChain("BenchmarkSHA256Alone"), against: "SHA-256 alone", bar: "≥ 0.6", onRatio: true, met: atLeast(0.6)},
		{name: "verify: a chain of 100,000 from SQLite", a: sqlite("BenchmarkVerify", rate, perSec, "10x"), bar: "≥ 150,000/s", met: atLeast(150_000)},
	}
}

// questionLines: the newest 50 of a million records in SQLite.
func questionLines() []line {
	var out []line
	for _, q := range []string{
		"time", "tenant", "tenant_rare", "actor", "actor_rare", "action", "resource", "resource_rare", "failures",
		"action_id", "correlation_id", "session_id", "trace_id", "tool_name",
	} {
		out = append(out, line{name: "question: newest 50 by " + q, a: sqlite("BenchmarkQuestions/"+q, p95, "ms, 95th percentile", "1x"), bar: "≤ 20 ms", met: atMost(20)})
	}
	for _, q := range []string{"other_frequent", "other_rare", "other_absent", "other_prefix", "metadata_frequent", "metadata_rare", "metadata_absent", "metadata_not"} {
		out = append(out, line{name: "question: newest 50 by " + q, a: sqlite("BenchmarkQuestions/"+q, p95, "ms, 95th percentile", "1x"), bar: "≤ 500 ms", met: atMost(500)})
	}
	return out
}

// statisticLines: statistics over a million records, beside the SQL that a
// person would write, on the same file and one connection.
func statisticLines() []line {
	stat := func(name string) side { return sqlite("BenchmarkStatistics/"+name, "ms", ms, "3x") }
	return []line{
		{name: "statistics: overview of 24 hours", a: stat("day/overview"), bar: "≤ 50 ms", met: atMost(50)},
		{name: "statistics: hourly series of 24 hours", a: stat("day/hourly"), bar: "≤ 50 ms", met: atMost(50)},
		{name: "statistics: overview of 90 days", a: stat("quarter/overview"), b: stat("quarter/overview-sql"), against: "hand-written SQL", bar: "≤ 1.2", onRatio: true, met: atMost(1.2)},
		{name: "statistics: hourly series of 90 days", a: stat("quarter/hourly"), b: stat("quarter/hourly-sql"), against: "hand-written SQL", bar: "≤ 1.2", onRatio: true, met: atMost(1.2)},
	}
}

func otherLines() []line {
	return []line{
		{name: "export: scan of SQLite, oldest first", a: sqlite("BenchmarkScan/oldest", rate, perSec, "200000x"), bar: "≥ 50,000/s", met: atLeast(50_000)},
		{name: "export: scan of SQLite, newest first", a: sqlite("BenchmarkScan/newest", rate, perSec, "200000x"), bar: "≥ 50,000/s", met: atLeast(50_000)},
		{name: "export: NDJSON", a: side{pkg: "export/ndjson", bench: "BenchmarkWriter", metric: "records/s", unit: perSec}},
	}
}
