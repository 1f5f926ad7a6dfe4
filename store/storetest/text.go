package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// testText compares searches with audit.MatchText. An engine without full text
// must say so.
func testText(t *testing.T, h *Harness) {
	s := h.open(t)
	recs := append(Corpus(61, 300), textRecords()...)
	h.store(t, s, CloneAll(recs))
	if !s.Capabilities().Text {
		if _, err := s.Query(context.WithoutCancel(t.Context()), valid(t, audit.Query{Text: "fox"})); !errors.Is(err, audit.ErrUnsupported) {
			t.Errorf("got %v, want unsupported", err)
		}
		return
	}
	for _, text := range []string{
		"fox", "FOX", "fo", "fo*", "fo *", "*", "f*x", "quick fox", "fox quick", "fox absent", "quick brown*", "the quick brown fox",
		"straße", "STRASSE", "strasse", "istanbul", "İstanbul", "i̇stanbul", "日本語", "日本", "日本*", "😀", "données", "donnees", "Données", "é", "e",
		"9007199254740993", "9007199254740992", "18446744073709551616", "1e400", "1.0", "1", "0", "true", "false", "null",
		"message", "deep", "name", // keys are not content
		"alice@example.com", "alice example com", "alice*", "10.0.0.1", "10.0.0.*", "10", "2001:db8::1", "curl/8.5.0", "4bf92f3577b34da6a3ce929d0e0e4736",
		"acme", "globex", // tenants are not content
		`"quick brown"`, "quick AND fox", "quick OR absent", "NOT fox", "-fox", "+fox", "fox~", "fox^2", "NEAR(quick fox)", "action:fox", "{fox}", "(fox", "fox)", `"fox`, `fox"`, `fo"x`,
		"fo%", "fo_", "f%x", "50%", "off_er", "'", "it's", "it''s", "'fox'", "fox;", "fox--", "fox'; DROP TABLE records; --", `\fox`, "fox\\", "fox\x00", "fox\tquick", "#fox", "$fox", "fox|quick", "fox&quick", "fox!", "^fox", "fox*fox", "fox**", "*fox",
		"orders_2026", "orders", "order*", "orders%2026", "updateAll", "update", "table.update*", "health_record", "x y z", "verylongtoken*",
		longToken, longToken[:audit.MaxToken], longToken[:audit.MaxToken-1], longToken[:audit.MaxToken-1] + "*", "wörter" + longToken,
		"a b c d e f g h i j k l m n o p q r s t",
	} {
		q, err := (&audit.Query{Text: text, Limit: audit.MaxLimit}).Validate()
		if err != nil {
			continue // refused before it reaches a store
		}
		ask(t, s, recs, q)
	}
	r := NewRand(62)
	for range Rounds(150) {
		q, err := (&audit.Query{Text: RandomText(r, recs...), Limit: audit.MaxLimit, Order: pick(r, orders...)}).Validate()
		if err != nil {
			continue
		}
		if chance(r, 40) {
			q.Filters = append(q.Filters, RandomFilter(r, recs...))
		}
		if chance(r, 40) {
			q.Limit = 1 + r.IntN(5)
		}
		if q, err = q.Validate(); err == nil {
			ask(t, s, recs, q)
		}
	}
}

const longToken = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefgh"

// textRecords hold each searched place once, and places that are not searched.
func textRecords() []*audit.Record {
	var out []*audit.Record
	at := CorpusStart
	for _, f := range audit.Fields() {
		at = at.Add(time.Second)
		switch {
		case f.Kind == audit.Document:
			out = append(out, event(scopeA, at, func(r *audit.Record) {
				f.SetBytes(r, []byte(`{"vulpes":["fox",{"x":"Brown"},`+longNumbers+`,true,null,"wörter`+longToken+`"],"`+longToken+`":"`+longToken+`"}`))
			}))
		case f.Kind == audit.Text && f.Name != "kind" && f.Name != "operation" && f.Name != "outcome" && f.Name != "segment" && f.Name != "external_id":
			out = append(out, event(scopeA, at, func(r *audit.Record) { f.SetText(r, "the Quick-FOX, jumped_over it's 50% off") }))
		}
	}
	// More tokens than a row or a posting list likes to hold.
	var many []string
	for i := range 5000 {
		many = append(many, "word"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)))
	}
	doc, err := json.Marshal(many)
	if err != nil {
		panic("storetest: " + err.Error())
	}
	return append(out, event(scopeA, at, func(r *audit.Record) { r.Payload = doc }))
}

const longNumbers = `9007199254740993,18446744073709551616,1e400,1.0,-0`
