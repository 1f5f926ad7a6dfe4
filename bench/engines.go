package main

import "strings"

// engineLines: the engines that are servers, started durable as they come. Both
// sides of a line are the same rows in tables with the same indexes; what was
// written is counted in the store afterwards.
func engineLines() []line {
	var all []line
	for _, group := range [][]line{postgresLines(), dynamodbLines(), clickhouseLines(), elasticsearchLines()} {
		all = append(all, group...)
	}
	return all
}

func postgresLines() []line {
	one := func(bench, metric, unit string) side {
		return side{pkg: "store/postgres", bench: bench, metric: metric, unit: unit, time: "1x"}
	}
	way := func(name string) side { return one("BenchmarkWay/"+name, perSec, perSec) }
	var out []line
	for _, size := range []string{"500", "5000"} {
		for _, of := range []struct {
			connections, bar string
			met              func(float64) bool
		}{{"1", "≥ 0.85", atLeast(0.85)}, {"4", "≥ 0.75", atLeast(0.75)}} {
			at := "batch=" + size + "/connections=" + of.connections
			out = append(out, line{name: "postgres: recorder, redaction, chain, " + at, a: way(at + "/chained"), b: way(at + "/raw"), against: "raw COPY", bar: of.bar, onRatio: true, met: of.met})
		}
		at := "batch=" + size + "/connections=1"
		out = append(out, line{name: "postgres: chain on, " + at, a: way(at + "/chained"), b: way(at + "/unchained"), against: "chain off", bar: "≥ 0.85", onRatio: true, met: atLeast(0.85)})
	}
	return append(out,
		line{name: "postgres: 64 writers on one chain", a: one("BenchmarkOneChain/writers=64", perSec, perSec), b: one("BenchmarkOneChain/writers=1", perSec, perSec), against: "one writer", bar: "≥ 0.5", onRatio: true, met: atLeast(0.5)},
		line{name: "postgres: a chained record at 5,000,000 against one at 1,000", a: one("BenchmarkGrowth/1000", "×", "times"), bar: "≤ 1.1", met: atMost(1.1)},
		line{name: "postgres: a chained record at 5,000,000 against one at 200,000", a: one("BenchmarkGrowth/200000", "×", "times"), bar: "≤ 1.1", met: atMost(1.1)},
	)
}

// dynamodbLines are ratios that the benchmark makes by itself, both sides in turn
// on DynamoDB Local, whose rates say nothing about AWS.
func dynamodbLines() []line {
	one := func(bench string) side {
		return side{pkg: "store/dynamodb", bench: bench, metric: "ratio", unit: "of the driver", time: "1x"}
	}
	return []line{
		{name: "dynamodb: batches of fresh records beside BatchWriteItem, 16 callers", a: one("BenchmarkIngest/AppendFresh"), bar: "≥ 0.85", met: atLeast(0.85)},
		{name: "dynamodb: batches that never replace beside BatchWriteItem, 16 callers", a: one("BenchmarkIngest/Append"), bar: "≥ 0.85", met: atLeast(0.85)},
		{name: "dynamodb: chained beside TransactWriteItems, one chain", a: one("BenchmarkChained/chains=1"), bar: "≥ 0.8", met: atLeast(0.8)},
		{name: "dynamodb: chained beside TransactWriteItems, 8 chains", a: one("BenchmarkChained/chains=8"), bar: "≥ 0.8", met: atLeast(0.8)},
		{name: "dynamodb: 16 writers in 4 processes on one chain, of one writer's rate", a: one("BenchmarkContention"), bar: "≥ 0.5", met: atLeast(0.5)},
	}
}

func clickhouseLines() []line {
	one := func(bench, metric, unit string) side {
		return side{pkg: "store/clickhouse", bench: bench, metric: metric, unit: unit, time: "1x"}
	}
	raw := one("BenchmarkAppend/batch=5000/raw", rate, perSec)
	beside := func(name, bench, bar string, met func(float64) bool) line {
		return line{name: "clickhouse: " + name + ", batches of 5,000", a: one(bench, rate, perSec), b: raw, against: "a columnar batch of clickhouse-go", bar: bar, onRatio: true, met: met}
	}
	out := []line{
		beside("recorder and redaction, no chain", "BenchmarkWay/unchained", "≥ 0.85", atLeast(0.85)),
		beside("recorder, redaction, chain", "BenchmarkWay/chained", "≥ 0.7", atLeast(0.7)),
		beside("ids of senders, no chain", "BenchmarkAppend/batch=5000/plain", "", nil),
		beside("ids of senders, chain", "BenchmarkAppend/batch=5000/chained", "", nil),
	}
	for _, q := range []string{"overview", "series-by-hour", "performance", "discovery", "enrichment", "breakdown-tool_name", "breakdown-actor", "distinct-pairs"} {
		out = append(out, line{name: "clickhouse: " + q + " of 5,000,000 records, 90 days", a: one("BenchmarkQuestions/"+q, "p50-ms", ms), bar: "≤ 300 ms", met: atMost(300)})
	}
	return out
}

func elasticsearchLines() []line {
	one := func(bench, metric, unit, time string) side {
		return side{pkg: "store/elasticsearch", bench: bench, metric: metric, unit: unit, time: time}
	}
	out := []line{
		{name: "opensearch: batches of 5,000 beside _bulk of the same documents", a: one("BenchmarkAppend/batch=5000", "plain/raw", "of raw", "1x"), bar: "≥ 0.85", met: atLeast(0.85)},
		{name: "opensearch: chained batches of 5,000 beside _bulk", a: one("BenchmarkAppend/batch=5000", "chained/raw", "of raw", "1x")},
	}
	for _, q := range []string{"text/one word", "text/two words", "text/rare", "text/no hit"} {
		out = append(out, line{name: "opensearch: " + q + ", 1,000,000 records", a: one("BenchmarkQuestions/"+strings.ReplaceAll(q, " ", "_"), p95, "ms, 95th percentile", "100x"), bar: "≤ 50 ms", met: atMost(50)})
	}
	return out
}
