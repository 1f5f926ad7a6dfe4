package spool

// What the benchmarks outside the package share with those inside.
var (
	CompareSinks      = compare
	NewSpoolSink      = func(s *Spool) Sink { return spoolSink{s} }
	OpenPebbleBatched = openPebbleBatched
	QuietLogger       = quietLogger
)

// Sink is one side of a comparison.
type Sink = sink
