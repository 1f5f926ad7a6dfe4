package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRecordIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genNormal().Draw(t, "record")
		b := want.AppendJSON(nil)
		if !json.Valid(b) {
			t.Fatalf("not JSON: %s", b)
		}
		got, err := DecodeRecord(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", diff, b)
		}
	})
}

// Texts that did not pass the door must not break the JSON around them.
func TestHostileTextsAreValidJSON(t *testing.T) {
	for _, s := range append(hostile, strings.Repeat("\x00\xff\"", 100)) {
		r := &Record{}
		for _, f := range textFields {
			f.SetText(r, s)
		}
		b := r.AppendJSON(nil)
		var back struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%q: %v\n%s", s, err, b)
		}
		if want := string([]rune(s)); back.Error != want {
			t.Errorf("%q is read as %q", s, back.Error)
		}
	}
}

// encoding/json must come to the same result whichever way it is asked.
func TestRecordInsideEncodingJSON(t *testing.T) {
	rec := Record{Event: Event{ID: ID{15: 1}, Action: "a", Duration: time.Millisecond, OccurredAt: fixedNow}, Sequence: 3}
	want := string(rec.AppendJSON(nil))
	for name, v := range map[string]any{"a value": rec, "a pointer": &rec} {
		if b, err := json.Marshal(v); err != nil || string(b) != want {
			t.Errorf("%s: %s, %v; want %s", name, b, err, want)
		}
	}
	if b, err := json.Marshal(rec.Event); err != nil || strings.Contains(string(b), "sequence") || !strings.Contains(string(b), `"duration_ms":1`) {
		t.Errorf("an event is written as %s, %v", b, err)
	}
	var list []Record
	if err := json.Unmarshal([]byte("["+want+",null]"), &list); err != nil || len(list) != 2 || list[0].Sequence != 3 {
		t.Errorf("got %v, %v", list, err)
	}
	var events []Event
	if err := json.Unmarshal([]byte(`[{"action":"a"},null]`), &events); err != nil || events[0].Action != "a" {
		t.Errorf("got %v, %v", events, err)
	}
	wantInvalid(t, json.Unmarshal([]byte(`{"actn":1}`), &Event{}), "actn")
	wantInvalid(t, json.Unmarshal([]byte(`{"hash":"x"}`), &Record{}), "hash")
}

func TestDecodeEvent(t *testing.T) {
	got, err := DecodeEvent([]byte(` {"id":"abc","action":"tool.cr\u0065ate","actor":{"id":"\ud83e\udd16","name":null},
		"duration_ms":1.5,"occurred_at":"2026-01-02T03:04:05.123456789+01:00","expires_at":"2027-01-01",
		"t\u006fol":{"name":"x\n\"\\\/\b\f\r\t","enrichment":{"mode":"full","applied":true,"tokens_full":1e3},"parameters":{ "a" : [1] }},
		"request":null,"response":{},"metadata":null,"payload":[1, 2]} `))
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := IDFrom("abc")
	want := &Event{
		ID: id, ExternalID: "abc", Action: "tool.create", Actor: Actor{ID: "🤖"}, Duration: 1500 * time.Microsecond,
		OccurredAt: time.Date(2026, 1, 2, 2, 4, 5, 123456789, time.UTC), ExpiresAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Tool:    Tool{Name: "x\n\"\\/\b\f\r\t", Enrichment: Enrichment{Mode: "full", Applied: true, TokensFull: 1000}, Parameters: json.RawMessage(`{ "a" : [1] }`)},
		Payload: json.RawMessage(`[1, 2]`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeEventKeepsNothingOfItsInput(t *testing.T) {
	data := []byte(`{"action":"a","payload":{"k":"v"}}`)
	ev, err := DecodeEvent(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if ev.Action != "a" || string(ev.Payload) != `{"k":"v"}` {
		t.Errorf("the event changed with its input: %q %q", ev.Action, ev.Payload)
	}
}

func TestDecodeEventIsStrict(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)
	for _, tc := range []struct{ in, field, message string }{
		{``, "", "the JSON ends too early"},
		{` `, "", "the JSON ends too early"},
		{`[`, "", "the JSON ends too early"},
		{`{`, "", "the JSON ends too early"},
		{`{"action"`, "", "the JSON ends too early"},
		{`{"action":`, "action", "the JSON ends too early"},
		{`{"action":"x`, "action", "the JSON ends too early"},
		{`{"action":"x"`, "", "the JSON ends too early"},
		{`{"actor":{"id":"x"`, "actor", "the JSON ends too early"},
		{`[]`, "", "an event must be a JSON object, not an array"},
		{`null`, "", "an event must be a JSON object, not null"},
		{`7`, "", "an event must be a JSON object, not a number"},
		{`nope`, "", "not a JSON value at byte 0"},
		{"\ufeff{}", "", "not a JSON value at byte 0"},
		{`{"action":"x"} x`, "", "there is text after the object"},
		{`{"action":"x"}{}`, "", "there is text after the object"},
		{`{"action":"x",}`, "", "an object's key must be a string at byte 14"},
		{`{,"action":"x"}`, "", "an object's key must be a string at byte 1"},
		{`{"action" "x"}`, "", "expected ':' at byte 10"},
		{`{"action":"x" "rule":"y"}`, "", "expected ',' or '}' at byte 14"},
		{`{"actn":"x"}`, "actn", "is not a field of an event"},
		{`{"Action":"x"}`, "Action", "is not a field of an event"},
		{`{"":"x"}`, "", "is not a field of an event"},
		{`{"action":"x","actor":{"idd":1}}`, "actor.idd", "is not a field of an event"},
		{`{"tool":{"enrichment":{"model":1}}}`, "tool.enrichment.model", "is not a field of an event"},
		{`{"actor.id":"x"}`, "actor.id", "is not a field of an event"},
		{`{"action":"x","action":"y"}`, "action", "is given twice"},
		{`{"action":"x","\u0061ction":"y"}`, "action", "is given twice"},
		{`{"actor":{"id":"x"},"actor":{"name":"y"}}`, "actor", "is given twice"},
		{`{"actor":{"id":"x","id":null}}`, "actor.id", "is given twice"},
		{`{"action":1}`, "action", "cannot be a number"},
		{`{"action":true}`, "action", "cannot be true or false"},
		{`{"actor":"me"}`, "actor", "cannot be a string"},
		{`{"actor":{"id":{}}}`, "actor.id", "cannot be an object"},
		{`{"actor":{"id":[}}`, "actor.id", "not a JSON value at byte 16"},
		{`{"action":"\x"}`, "action", "unknown escape in a string at byte 11"},
		{"{\"action\":\"\n\"}", "action", "a control character in a string must be escaped at byte 11"},
		{`{"id":5}`, "id", "cannot be a number"},
		{`{"id":"` + strings.Repeat("x", 257) + `"}`, "id", "is 257 bytes long, at most 256 are allowed"},
		{`{"id":"a\u0000"}`, "id", "has a NUL or is not valid UTF-8"},
		{`{"id":"a","external_id":"b"}`, "external_id", "does not belong to the id: leave one of them out"},
		{`{"request":{"bytes":9223372036854775808}}`, "request.bytes", "is 9223372036854775808, want a whole number from 0 to 2^63-1"},
		{`{"request":{"bytes":1.5}}`, "request.bytes", "is 1.5, want a whole number from 0 to 2^63-1"},
		{`{"request":{"bytes":-1}}`, "request.bytes", "is -1, want a whole number from 0 to 2^63-1"},
		{`{"request":{"bytes":1e400}}`, "request.bytes", "is 1e400, want a whole number from 0 to 2^63-1"},
		{`{"request":{"bytes":"1"}}`, "request.bytes", "cannot be a string"},
		{`{"tool":{"enrichment":{"applied":1}}}`, "tool.enrichment.applied", "cannot be a number"},
		{`{"tool":{"enrichment":{"applied":tru}}}`, "tool.enrichment.applied", "not a JSON value at byte 33"},
		{`{"occurred_at":"yesterday"}`, "occurred_at", `"yesterday" is not a time such as 2026-01-31T12:00:00Z or 2026-01-31`},
		{`{"occurred_at":"9999-12-31T23:59:59-12:00"}`, "occurred_at", `"9999-12-31T23:59:59-12:00" is not a time such as 2026-01-31T12:00:00Z or 2026-01-31`},
		{`{"expires_at":1700000000}`, "expires_at", "cannot be a number"},
		{`{"duration_ms":-1}`, "duration_ms", "is -1, want 0 to 3153600000000"},
		{`{"duration_ms":1e300}`, "duration_ms", "is 1e300, want 0 to 3153600000000"},
		{`{"duration_ms":3153600000001}`, "duration_ms", "is 3153600000001, want 0 to 3153600000000"},
		{`{"duration_ms":"1"}`, "duration_ms", "cannot be a string"},
		{`{"duration_ms":01}`, "", "expected ',' or '}' at byte 16"},
		{`{"payload":` + deep + `}`, "payload", "nests deeper than 64 at byte 75"},
		{`{"changes":{"before":{"a" 1}}}`, "changes.before", "expected ':' at byte 26"},
		{`{"recorded_at":"2026-01-01T00:00:00Z"}`, "recorded_at", "is set by Annals and cannot be sent"},
		{`{"kind":"event"}`, "kind", "is set by Annals and cannot be sent"},
		{`{"level":"all"}`, "level", "is set by Annals and cannot be sent"},
		{`{"sequence":1}`, "sequence", "is set by Annals and cannot be sent"},
		{`{"hash":""}`, "hash", "is set by Annals and cannot be sent"},
	} {
		_, err := DecodeEvent([]byte(tc.in))
		if err == nil {
			t.Errorf("%.60s is accepted", tc.in)
			continue
		}
		wantInvalid(t, err, tc.field)
		if got := err.(*Error).Message; got != tc.message {
			t.Errorf("%.60s: got %q, want %q", tc.in, got, tc.message)
		}
	}
}

func TestDecodeRecordIsStrict(t *testing.T) {
	for _, tc := range []struct{ in, field string }{
		{`{"hash":"00"}`, "hash"},
		{`{"prev_hash":"` + strings.Repeat("x", 64) + `"}`, "prev_hash"},
		{`{"prev_hash":1}`, "prev_hash"},
		{`{"sequence":"1"}`, "sequence"},
		{`{"recorded_at":"now"}`, "recorded_at"},
		{`{"kind":{}}`, "kind"},
		{`{"colour":"red"}`, "colour"},
		{`[]`, ""},
	} {
		_, err := DecodeRecord([]byte(tc.in))
		wantInvalid(t, err, tc.field)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(`{"id":"abc","action":"a","actor":{"id":"x"},"payload":[1],"duration_ms":1.5,"hash":null}`))
	f.Add([]byte(`{"tool":{"enrichment":{"tokens_full":1e3}},"occurred_at":"2026-01-02T03:04:05.6Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatal("what is not JSON is accepted")
		}
		if Normalize(r, fixedNow) != nil {
			return
		}
		again, err := DecodeRecord(r.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`a`: "a", `\u00e9`: "é", `\ud83e\udd16x`: "🤖x", `\ud83e`: "\ufffd", `\ud83ex`: "\ufffdx", `\ud83e\u0041`: "\ufffdA",
		`\ud83e\ud83e\udd16`: "\ufffd🤖", `\udd16`: "\ufffd", `\ud83eaudd16`: "\ufffdaudd16", `\n\/\\\"`: "\n/\\\"", `\u0000`: "\x00", "\xff\\n": "\xff\n",
	} {
		if got := unquote([]byte(in)); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	data := []byte(`{"id":"0197a6f0-1234-7abc-8def-0123456789ab","namespace":"aws","tenant":"123456789012","occurred_at":"2026-01-02T03:04:05.123456Z","action":"tool.create","actor":{"type":"user","id":"alice","ip":"10.0.0.1"},"resource":{"type":"t","id":"r"},"request":{"id":"r1","correlation_id":"c1"},"payload":{"a":[1,2,3],"b":"some text"}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := DecodeEvent(data); err != nil {
			b.Fatal(err)
		}
	}
}
