package storetest

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// testRoundtrip stores every field with every kind of value and wants it back
// from Get, Query and, where there is one, Scan.
func testRoundtrip(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := append(fieldRecords(s.Capabilities().RecordBytes), Corpus(11, 200)...)
	given := CloneAll(recs)
	h.store(t, s, recs)
	for i := range recs {
		if d := Diff(given[i], recs[i]); d != "" {
			t.Errorf("Append changed a record that it was given:\n%s", d)
		}
	}
	for _, want := range given {
		got, err := s.Get(t.Context(), want.Ref())
		if err != nil {
			t.Fatalf("Get(%v): %v", want.Ref(), err)
		}
		if d := Diff(want, got); d != "" {
			t.Errorf("Get(%v):\n%s", want.Ref(), d)
		}
	}
	q := valid(t, audit.Query{Limit: 100})
	ask(t, s, given, q)
	if sc, ok := audit.As[audit.Scanner](s); ok {
		sameAnswer(t, "Scan", q, given, scanAll(t, sc, q))
	}
	if _, err := s.Get(t.Context(), audit.Ref{Namespace: "ns", Tenant: "a", ID: audit.NewID()}); audit.CodeOf(err) != audit.CodeNotFound {
		t.Errorf("Get of an absent id: got %v, want not_found", err)
	}
}

// fieldRecords give each field alone each of its extreme values, and all of
// them together. maxBytes is the engine's limit, 0 for the default.
func fieldRecords(maxBytes int) []*audit.Record {
	var out []*audit.Record
	at := CorpusStart
	add := func(change func(*audit.Record)) {
		at = at.Add(time.Millisecond)
		out = append(out, event(scopeA, at, change))
	}
	add(nil)
	var setters []func(*audit.Record)
	for _, f := range audit.Fields() {
		for i, set := range extremes(f) {
			add(set)
			if i == 0 {
				setters = append(setters, set)
			}
		}
	}
	add(func(r *audit.Record) {
		for _, set := range setters {
			set(r)
		}
	})
	if maxBytes <= 0 {
		maxBytes = audit.MaxRecordBytes
	}
	// Escapes, quotes and wide letters, up to the limit but for the few texts.
	body := strings.Repeat(`\"é日😀 it's 100% `, maxBytes/24)
	add(func(r *audit.Record) { r.Payload = json.RawMessage(`"` + body[:lastRune(body, maxBytes-1024)] + `"`) })
	return out
}

// lastRune gives the last place up to n where the repeated body can be cut.
func lastRune(body string, n int) int {
	const unit = len(`\"é日😀 it's 100% `)
	return min(n, len(body)) / unit * unit
}

// extremes give setters for the values that a sender can give the field; none
// for fields that a chain fills, and for those that every record has anyway.
func extremes(f *audit.Field) (out []func(*audit.Record)) {
	switch f.Name {
	case "id", "external_id", "namespace", "tenant", "occurred_at", "sequence", "segment", "prev_hash", "hash":
		return namedExtremes(f)
	case "kind":
		return texts(f, string(audit.KindGap), string(audit.KindPrune))
	case "operation":
		return texts(f, "create", "read", "update", "delete", "execute", "other")
	case "outcome":
		return texts(f, "failure", "denied", "pending", "success")
	}
	switch f.Kind {
	case audit.Text:
		long := strings.Repeat("aé日😀", f.Limit/10) + strings.Repeat("x", f.Limit%10)
		return texts(f, append([]string{"plain", long, strings.Repeat("'", f.Limit), "\ufffd", "\ufeffbom", "%s %d", "\\", "\\x00", "0", " "}, hostiles...)...)
	case audit.Number:
		return numbers(f, 1, math.MaxInt32+1, 1<<53+1, math.MaxInt64)
	case audit.Flag:
		return numbers(f, 1)
	case audit.Span:
		return numbers(f, 1, 999, 1001, (math.MaxInt32+1)*1000, audit.MaxDuration.Microseconds())
	case audit.Instant:
		return numbers(f, 1, 999_999, 1_000_000, lastInstant.UnixMicro())
	case audit.Document:
		docs := append([]json.RawMessage{
			json.RawMessage(strings.Repeat("[", audit.MaxDepth) + strings.Repeat("]", audit.MaxDepth)),
			json.RawMessage(`{"":0,"a b":1,"quo\"te":2,"ключ":3,"\u0001":4}`),
		}, documents[1:]...)
		for _, doc := range docs {
			if f.Name == "metadata" && (doc[0] != '{' || strings.HasPrefix(string(doc), `{"b"`)) {
				continue
			}
			out = append(out, func(r *audit.Record) { f.SetBytes(r, append([]byte(nil), doc...)) })
		}
	}
	return out
}

var lastInstant = time.Date(audit.MaxYear, 12, 31, 23, 59, 59, 999_999_000, time.UTC)

func namedExtremes(f *audit.Field) []func(*audit.Record) {
	switch f.Name {
	case "id":
		return []func(*audit.Record){
			func(r *audit.Record) { r.ID = audit.ID{15: 1} },
			func(r *audit.Record) { r.ID = [16]byte([]byte(strings.Repeat("\xff", 16))) },
			func(r *audit.Record) { r.ID = [16]byte([]byte(strings.Repeat("'", 16))) },
		}
	case "external_id":
		var out []func(*audit.Record)
		for _, v := range append([]string{"order-1", strings.Repeat("é", audit.MaxExternalID/2)}, hostiles...) {
			out = append(out, func(r *audit.Record) { r.ID, r.ExternalID = audit.ID{}, v })
		}
		return out
	case "namespace", "tenant":
		return texts(f, append([]string{strings.Repeat("ü", f.Limit/2), "#", "a#b", "..", "/"}, hostiles...)...)
	case "occurred_at":
		return numbers(f, 1, 999_999, lastInstant.UnixMicro())
	}
	return nil
}

func texts(f *audit.Field, values ...string) (out []func(*audit.Record)) {
	for _, v := range values {
		out = append(out, func(r *audit.Record) { f.SetText(r, v) })
	}
	return out
}

func numbers(f *audit.Field, values ...int64) (out []func(*audit.Record)) {
	for _, v := range values {
		out = append(out, func(r *audit.Record) { f.SetInt(r, v) })
	}
	return out
}
