package redact_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/redact"
)

// A gateway's usual configuration.
var usual = []string{"password", "secret", "token", "authorization", "api_key", "cookie", "private_key",
	"payload.card.number", "parameters.*.secret", "changes.ssn", "actor.email"}

func usualDocument(extra string) json.RawMessage {
	var b strings.Builder
	b.WriteString(`{"request":{"headers":{"accept":"application/json","x-request-id":"0192f0c1-2b3c-7d4e-8f50-61728394a5b6"}},"rows":[`)
	for i := range 8 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"row %d","tags":["a","b\"c"],"price":12.50,"nested":{"ok":true,"note":null}}`, i, i)
	}
	return json.RawMessage(b.String() + `]` + extra + `}`)
}

func TestNoAllocationWithoutAMatch(t *testing.T) {
	for name, fields := range map[string][]string{
		"usual": usual, "a star and an index": {"*.*.q", "payload.rows.100", "0.1.2.3", "q"}, "a whole document": {"details"},
	} {
		r := mustNew(t, redact.Config{Enabled: true, Fields: fields})
		deep := strings.Repeat("[", audit.MaxDepth) + strings.Repeat("]", audit.MaxDepth)
		rec := &audit.Record{Event: audit.Event{Payload: usualDocument(`,"é":1,"a.b":2,"\u0061":3`), Metadata: usualDocument(""),
			Tool: audit.Tool{Parameters: json.RawMessage(deep)}}}
		if n := testing.AllocsPerRun(100, func() {
			if r.Apply(rec) {
				t.Fatal("something matched")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestOneAllocationForAChangedDocument(t *testing.T) {
	r := mustNew(t, redact.Config{Enabled: true, Fields: usual})
	doc := usualDocument(`,"password":"hunter2"`)
	rec := &audit.Record{}
	if n := testing.AllocsPerRun(100, func() { rec.Payload = doc; r.Apply(rec) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkApply(b *testing.B) {
	r := mustNew(b, redact.Config{Enabled: true, Fields: usual})
	for name, doc := range map[string]json.RawMessage{
		"no_match":    usualDocument(""),
		"match":       usualDocument(`,"password":"hunter2","card":{"number":4111111111111111}`),
		"small":       json.RawMessage(`{"user":"u1","table":"orders","limit":10}`),
		"long_string": json.RawMessage(`{"text":"` + strings.Repeat("lorem ipsum ", 5000) + `"}`),
		"nested_1MiB": json.RawMessage(`[` + strings.Repeat(`[[{"a":[1,2]}]],`, 1<<16) + `0]`),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			rec := &audit.Record{}
			for b.Loop() {
				rec.Payload = doc
				r.Apply(rec)
			}
		})
	}
}
