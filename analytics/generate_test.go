package analytics_test

import (
	"fmt"
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
)

// Few values each, so that records meet in groups, sessions, instants and ids.
var (
	genWord    = rapid.SampledFrom([]string{"", "a", "b", "B", "é"})
	genTenant  = rapid.SampledFrom([]string{"t1", "t2"})
	genSpace   = rapid.SampledFrom([]string{"", "", "", "n"})
	genSession = rapid.SampledFrom([]string{"", "a", "b"})
	genToolkit = rapid.SampledFrom([]string{"", "datahub", "datahub", "trino", "trino", "other"})
	genMode    = rapid.SampledFrom([]string{"", "full", "summary", "reference", "none", "own"})
	genKind    = rapid.SampledFrom([]audit.Kind{audit.KindEvent, audit.KindEvent, audit.KindEvent, audit.KindGap})
	genOutcome = rapid.SampledFrom([]audit.Outcome{audit.Success, audit.Success, audit.Failure, audit.Denied, audit.Pending})
	genNumber  = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1000), rapid.Int64Range(math.MaxInt64-1, math.MaxInt64))
	genMicros  = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 100_000), rapid.Int64Range(1, audit.MaxDuration.Microseconds()))
	genInstant = rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "half hours")) * 30 * time.Minute).
			Add(time.Duration(rapid.SampledFrom([]int{0, 0, 0, -1, 1}).Draw(t, "µs")) * time.Microsecond)
	})
)

var genRecord = rapid.Custom(func(t *rapid.T) *audit.Record {
	r := &audit.Record{Kind: genKind.Draw(t, "kind"), RecordedAt: noon}
	r.ID = audit.ID{6: 0x70, 8: 0x80, 15: byte(rapid.IntRange(1, 30).Draw(t, "id"))}
	r.Tenant, r.Namespace = genTenant.Draw(t, "tenant"), genSpace.Draw(t, "namespace")
	r.OccurredAt = genInstant.Draw(t, "occurred_at")
	r.Duration = time.Duration(genMicros.Draw(t, "duration")) * time.Microsecond
	r.Action, r.Operation, r.Outcome = "tool.call", audit.Execute, genOutcome.Draw(t, "outcome")
	r.ActionID = genWord.Draw(t, "action_id")
	r.Actor.ID, r.Actor.Email, r.Actor.SessionID = genWord.Draw(t, "actor"), genWord.Draw(t, "email"), genSession.Draw(t, "session")
	r.Tool.Kind, r.Tool.Name = genToolkit.Draw(t, "toolkit_kind"), genWord.Draw(t, "tool")
	r.Tool.Enrichment = audit.Enrichment{
		Applied: rapid.Bool().Draw(t, "applied"), Mode: genMode.Draw(t, "mode"),
		TokensFull: genNumber.Draw(t, "full"), TokensDedup: genNumber.Draw(t, "dedup"),
	}
	r.Request.Bytes, r.Response.Bytes = genNumber.Draw(t, "request"), genNumber.Draw(t, "response")
	return r
})

var genRecords = rapid.Custom(func(t *rapid.T) records {
	refs := map[audit.Ref]bool{}
	var rs records
	for _, r := range rapid.SliceOfN(genRecord, 0, 40).Draw(t, "records") {
		if !refs[r.Ref()] {
			refs[r.Ref()] = true
			rs = append(rs, r)
		}
	}
	return rs
})

var genFilter = rapid.Custom(func(t *rapid.T) audit.Filter {
	op := rapid.SampledFrom([]func(string, ...string) audit.Filter{audit.Is, audit.Not, audit.Prefix}).Draw(t, "op")
	values := func(from []string) []string {
		return rapid.SliceOfN(rapid.SampledFrom(from), 1, 3).Draw(t, "values")
	}
	switch rapid.IntRange(0, 4).Draw(t, "field") {
	case 0:
		return op("outcome", values([]string{"success", "failure", "denied", "pending"})...)
	case 1:
		return op("kind", values([]string{"event", "gap", "prune"})...)
	case 2:
		return op("toolkit_kind", values([]string{"datahub", "trino", "other"})...)
	case 3:
		return op("actor", values([]string{"a", "b", "B"})...)
	}
	low := rapid.Int64Range(0, 1000).Draw(t, "min")
	return audit.Filter{Field: "duration_ms", Op: audit.OpRange, Min: &low}
})

// genQuery gives questions that Validate accepts, always with a window.
var genQuery = rapid.Custom(func(t *rapid.T) *audit.Query {
	q := &audit.Query{
		From: genInstant.Draw(t, "from").In(time.FixedZone("", 5400)), To: genInstant.Draw(t, "to"),
		Open:  rapid.IntRange(0, 9).Draw(t, "open") == 9,
		Order: rapid.SampledFrom([]audit.Order{audit.NewestFirst, audit.OldestFirst}).Draw(t, "order"),
		Limit: rapid.IntRange(0, 3).Draw(t, "limit"),
	}
	if q.To.Before(q.From) {
		q.From, q.To = q.To, q.From
	}
	if rapid.Bool().Draw(t, "wide") {
		q.From, q.To = noon.Add(-time.Hour), noon.Add(3*time.Hour)
	}
	for _, f := range rapid.SliceOfN(genFilter, 0, 2).Draw(t, "filters") {
		with := *q
		with.Filters = append(with.Filters[:len(with.Filters):len(with.Filters)], f)
		if _, err := with.Validate(); err == nil {
			*q = with
		}
	}
	return q
})

func describe(q *audit.Query) string {
	return fmt.Sprintf("%s open=%v", q.Params().Encode(), q.Open)
}
