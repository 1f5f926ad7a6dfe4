// Package benchdata makes the records that benchmarks are run with: those of an
// agent gateway, about 900 bytes each, the same ones for the same settings but
// for their ids.
package benchdata

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Start is when the records begin.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The values that are planted, see [Generator.Next]. A value of [Absent] occurs
// in no record.
const (
	Rare   = "rare-4"  // in one of 10,000 records
	Rarest = "rare-5"  // in one of 100,000
	Absent = "nowhere" // in none
)

// The numbers that are planted in the same way, above all others.
const (
	RareNumber   = 900_000_004
	RarestNumber = 900_000_005
	AbsentNumber = 900_000_006
)

// RareKey is the metadata key that only planted values have.
const RareKey = "ticket_class"

// Generator makes records in about the order of their time.
type Generator struct {
	r       *rand.Rand
	n       int
	records int
	span    time.Duration
}

// New gives a generator of so many records, spread evenly over the span from [Start].
func New(records int, span time.Duration) *Generator { return Seeded(1, records, span) }

// Seeded is New with other records for each seed.
func Seeded(seed uint64, records int, span time.Duration) *Generator {
	return &Generator{r: rand.New(rand.NewPCG(seed, 2)), records: records, span: span}
}

// Skip goes on as if n records had been made.
func (g *Generator) Skip(n int) { g.n += n }

// Batch makes n records.
func (g *Generator) Batch(n int) []*audit.Record {
	out := make([]*audit.Record, n)
	for i := range out {
		out[i] = g.Next()
	}
	return out
}

// Next makes one record. Every text and number that can be filtered by, but
// namespace, tenant and what the store itself fills in, holds a planted value in
// one of 10,000 and of 100,000 records, and so does the metadata key [RareKey].
func (g *Generator) Next() *audit.Record {
	rec := g.Plain()
	g.plant(rec, 10_000, Rare, RareNumber)
	g.plant(rec, 100_000, Rarest, RarestNumber)
	return rec
}

// planted are the fields that hold planted values.
var planted = func() (out []*audit.Field) {
	for _, f := range audit.Dimensions() {
		switch f.Name {
		case "namespace", "tenant", "kind", "outcome", "operation", "level", "segment", "sequence":
		default:
			if f.Kind == audit.Text || f.Kind == audit.Number {
				out = append(out, f)
			}
		}
	}
	return out
}()

// plant sets one field, or the metadata key, of a record to a planted value, so
// often that each field has it in one of so many records.
func (g *Generator) plant(rec *audit.Record, oneOf int, text string, number int64) {
	at := g.r.IntN(oneOf)
	switch {
	case at == len(planted):
		rec.Metadata = append(rec.Metadata[:len(rec.Metadata)-1:len(rec.Metadata)-1], `,"`+RareKey+`":"`+text+`"}`...)
	case at > len(planted):
	case planted[at].Kind == audit.Text:
		planted[at].SetText(rec, text)
	default:
		planted[at].SetInt(rec, number)
	}
}

// Plain makes one record without planted values.
func (g *Generator) Plain() *audit.Record {
	r := g.r
	at := Start.Add(time.Duration(g.n)*(g.span/time.Duration(g.records)) + time.Duration(r.IntN(2000))*time.Millisecond).Truncate(time.Microsecond)
	g.n++
	user := r.IntN(200)
	if r.IntN(10) == 0 {
		user = r.IntN(5000)
	}
	tool := r.IntN(40)
	outcome, message := audit.Success, ""
	switch r.IntN(50) {
	case 0:
		outcome, message = audit.Failure, "connection reset by peer"
	case 1:
		outcome, message = audit.Denied, "policy denied the call"
	}
	tenant := "tenant-" + strconv.Itoa(r.IntN(10))
	if r.IntN(1000) == 0 {
		tenant = "tenant-" + strconv.Itoa(10+r.IntN(50))
	}
	trace := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
	return &audit.Record{
		Kind: audit.KindEvent, Level: "all", RecordedAt: at.Add(30 * time.Millisecond),
		Event: audit.Event{
			ID: audit.NewID(), Namespace: "prod", Tenant: tenant, OccurredAt: at,
			Duration: time.Duration(r.IntN(500_000)) * time.Microsecond,
			Action:   "tool." + []string{"call", "call", "call", "list", "create", "update"}[r.IntN(6)], Operation: audit.Execute,
			ActionID: fmt.Sprintf("act-%016x", r.Uint64()), Outcome: outcome, Error: message,
			Actor: audit.Actor{
				Type: "user", ID: "user-" + strconv.Itoa(user), Name: "User Number " + strconv.Itoa(user),
				Email: "user-" + strconv.Itoa(user) + "@example.com", IP: fmt.Sprintf("10.0.%d.%d", user>>8, user&255),
				UserAgent: "agent-client/1.4 (linux)", SessionID: fmt.Sprintf("sess-%06d", g.n/20+r.IntN(50)),
			},
			Resource: audit.Resource{Type: "table", ID: "table-" + strconv.Itoa(int(r.ExpFloat64()*2000)), Name: "Orders"},
			Tool: audit.Tool{
				Name: "tool_" + strconv.Itoa(tool), Kind: []string{"trino", "datahub", "s3"}[tool%3], Toolkit: "primary", Connection: "warehouse", Persona: "analyst",
				Enrichment: audit.Enrichment{Applied: r.IntN(2) == 0, Mode: "summary", TokensFull: int64(r.IntN(2000)), TokensDedup: int64(r.IntN(1000))},
			},
			Source:   audit.Source{Service: "gateway", Transport: "http", Host: "node-" + strconv.Itoa(r.IntN(4))},
			Request:  audit.Request{ID: fmt.Sprintf("req-%08d", g.n), CorrelationID: fmt.Sprintf("corr-%07d", g.n/3), TraceID: trace, SpanID: trace[:16], Method: "POST", Path: "/v1/tools/call", Bytes: int64(r.IntN(5000))},
			Response: audit.Response{Bytes: int64(r.IntN(50000)), Blocks: 1},
			Metadata: fmt.Appendf(nil, `{"env":"prod","region":"eu-%d","build":"%d","ticket":"T-%d"}`, r.IntN(5), r.IntN(1000), r.IntN(500_000)),
			Payload:  fmt.Appendf(nil, `{"statement":"SELECT customer, sum(total) FROM orders WHERE day = %d GROUP BY customer","limit":%d,"arguments":{"catalog":"hive","schema":"sales","explain":false,"note":"%032x"}}`, r.IntN(365), r.IntN(1000), r.Uint64()),
		},
	}
}
