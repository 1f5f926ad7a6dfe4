package conformance

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/benchdata"
	"github.com/annals-dev/annals/store/storetest"
)

// questioned are the records that testdata/questions.txt asks about: random ones
// with whatever breaks what pastes texts together, those of an agent gateway, and
// the edge cases below, under the tenant "edge". They begin at
// [storetest.CorpusStart], 2026-03-01, and at [benchdata.Start], 2026-01-01.
func questioned() []*audit.Record {
	recs := storetest.Corpus(97, 450)
	recs = append(recs, benchdata.New(250, 36*time.Hour).Batch(250)...)
	return append(recs, edgeCases()...)
}

// edgeCases are some records each for a rule that an engine may get wrong.
func edgeCases() (recs []*audit.Record) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	add := func(at time.Time, change func(*audit.Record)) {
		r := &audit.Record{
			Kind: audit.KindEvent, Level: "all", RecordedAt: noon.Add(24 * time.Hour),
			Event: audit.Event{ExternalID: fmt.Sprintf("edge-%d", len(recs)+1), Tenant: "edge", OccurredAt: at, Action: "edge.case", Actor: audit.Actor{Type: "user", ID: "nobody"}},
		}
		change(r)
		if err := audit.Normalize(r, noon.Add(24*time.Hour)); err != nil {
			panic("an edge case is not valid: " + err.Error())
		}
		recs = append(recs, r)
	}
	// Ten at one moment: the order is that of their ids.
	for i := range 10 {
		add(noon, func(r *audit.Record) { r.Action, r.Actor.ID = "edge.tie", fmt.Sprintf("twin-%d", i) })
	}
	// Names that differ in case, width or composition only, and patterns.
	for i, name := range []string{
		"alice", "Alice", "ALICE", "álice", "a\u0301lice", "ａlice", "straße", "STRASSE", "İstanbul", "istanbul", "ıstanbul", "Σίσυφος", "σίσυφος", "日本語", "日本", "😀", "😀😀",
		"%", "_", "*", "?", "a%", "a_", "a*", "a?", `a\`, `a\%`, "ab", "a b", " a", "a ", "'", `"`, "--", "null", "NULL", "true", "0", "-0", "1.0", "1e3", "#", "&", "=", "+", "a+b",
	} {
		add(noon.Add(time.Duration(i)*time.Second), func(r *audit.Record) {
			r.Action, r.Actor.ID, r.Actor.Name = "edge.name", name, "The "+name
			r.Actor.Email = fmt.Sprintf("n%d@example.com", i%7)
			r.Metadata, _ = json.Marshal(map[string]string{"name": name, "a." + name: "dotted"}) // a map of texts is always valid
			r.Payload, _ = json.Marshal([]string{"word", name})                                  // the same
		})
	}
	// Both sides of the edges of a minute, an hour and a day.
	for i, edge := range []time.Time{noon.Add(time.Minute), noon.Add(time.Hour), noon.Add(12 * time.Hour)} {
		for _, by := range []time.Duration{-time.Microsecond, 0, time.Microsecond} {
			add(edge.Add(by), func(r *audit.Record) { r.Action, r.Duration = "edge.bucket", time.Duration(i+1)*time.Millisecond })
		}
	}
	// The first and the last moment that there are.
	add(time.UnixMicro(1).UTC(), func(r *audit.Record) { r.Action = "edge.first" })
	add(time.Date(audit.MaxYear, 12, 31, 23, 59, 59, 999_999_000, time.UTC), func(r *audit.Record) { r.Action = "edge.last" })
	// Sessions: discovery before, after, at the same moment as, and without the query.
	for i, kinds := range [][]string{{"datahub", "trino"}, {"trino", "datahub"}, {"datahub"}, {"trino"}, {"s3"}, {"datahub", "datahub", "trino"}} {
		for step, kind := range kinds {
			add(noon.Add(time.Duration(step)*time.Second), func(r *audit.Record) {
				r.Action, r.Actor.SessionID, r.Tool.Kind, r.Tool.Name = "edge.session", fmt.Sprintf("edge-session-%d", i), kind, kind+"-tool"
			})
		}
	}
	for _, kind := range []string{"datahub", "trino"} {
		add(noon, func(r *audit.Record) { r.Action, r.Actor.SessionID, r.Tool.Kind = "edge.session", "edge-at-once", kind })
	}
	// Intents: open, ended, ended in another tenant only.
	for _, s := range []struct {
		id, tenant string
		outcome    audit.Outcome
	}{
		{"open-1", "edge", audit.Pending}, {"ended-1", "edge", audit.Pending}, {"ended-1", "edge", audit.Success},
		{"elsewhere-1", "edge", audit.Pending}, {"elsewhere-1", "edge2", audit.Failure}, {"ended-2", "edge", audit.Denied}, {"ended-2", "edge", audit.Pending},
	} {
		add(noon.Add(time.Duration(len(recs))*time.Second), func(r *audit.Record) {
			r.Action, r.ActionID, r.Tenant, r.Outcome = "edge.intent", s.id, s.tenant, s.outcome
		})
	}
	// Numbers at their ends, modes that nobody knows, durations that were not measured.
	for i, n := range []int64{0, 1, 1<<53 + 1, 1<<63 - 1} {
		add(noon.Add(time.Duration(i)*time.Minute), func(r *audit.Record) {
			r.Action, r.Request.Bytes, r.Response.Bytes = "edge.number", n, n/2
			r.Tool.Enrichment = audit.Enrichment{Applied: i%2 == 0, Mode: []string{"", "full", "custom", "NONE"}[i], TokensFull: n / 4, TokensDedup: n / 8}
			r.Duration = []time.Duration{0, time.Microsecond, 24 * time.Hour, 1001 * time.Microsecond}[i]
			r.Payload = json.RawMessage(`{"numbers":[9007199254740993,18446744073709551616,1e400,-0,1.0,0.10]}`)
			r.Metadata = json.RawMessage(`{"n":1.0,"zero":-0,"big":18446744073709551616,"yes":true,"nothing":null,"empty":"","list":["a"]}`)
		})
	}
	return recs
}
