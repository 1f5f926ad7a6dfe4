package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// cut is the documented form of a text over its limit.
func cut(s string, limit int) string {
	sum := sha256.Sum256([]byte(s))
	return s[:limit-len("…")-16] + "…" + hex.EncodeToString(sum[:8])
}

// enums are the text fields with a closed set of values.
var enums = map[string]bool{"operation": true, "outcome": true, "kind": true}

func TestNormalizeCutsEveryTextAtItsLimit(t *testing.T) {
	for _, f := range textFields {
		if enums[f.Name] {
			continue
		}
		long := strings.Repeat("x", f.Limit+1)
		for _, s := range []string{long[1:], long} {
			r := &Record{Event: Event{Action: "a"}}
			f.SetText(r, s)
			err := Normalize(r, fixedNow)
			switch {
			case isBoundary(f) && len(s) > f.Limit:
				wantInvalid(t, err, f.Path)
			case err != nil:
				t.Errorf("%s: %v", f.Path, err)
			case len(s) <= f.Limit && f.Text(r) != s:
				t.Errorf("%s: a text at its limit is changed", f.Path)
			case len(s) > f.Limit && f.Text(r) != cut(s, f.Limit):
				t.Errorf("%s: got %q", f.Path, f.Text(r))
			}
		}
	}
}

func TestNormalizeMendsEveryText(t *testing.T) {
	for _, f := range textFields {
		for in, want := range map[string]string{
			"a\x00b": "a\ufffdb", "\x00\x00": "\ufffd\ufffd", "a\xffb": "a\ufffdb", "a\xff\xfeb": "a\ufffdb", "\xed\xa0\x80": "\ufffd", "é\u2028🤖": "é\u2028🤖",
		} {
			r := &Record{Event: Event{Action: "a"}}
			f.SetText(r, in)
			err := Normalize(r, fixedNow)
			switch {
			case enums[f.Name], isBoundary(f) && in != want:
				wantInvalid(t, err, f.Path)
			case err != nil || f.Text(r) != want:
				t.Errorf("%s: %q gives %q, %v; want %q", f.Path, in, f.Text(r), err, want)
			}
		}
	}
}

func TestNormalizeNeverCutsARune(t *testing.T) {
	for n := range 5 {
		r := &Record{Event: Event{Action: "a", ActionID: strings.Repeat("x", n) + strings.Repeat("🤖", 200)}}
		if err := Normalize(r, fixedNow); err != nil || !utf8.ValidString(r.ActionID) || len(r.ActionID) > limitName || len(r.ActionID) < limitName-3 {
			t.Errorf("%q (%d bytes), %v", r.ActionID, len(r.ActionID), err)
		}
	}
	// Equal beginnings stay two texts.
	a := cleanText(strings.Repeat("x", 300)+"a", limitName)
	b := cleanText(strings.Repeat("x", 300)+"b", limitName)
	if a == b {
		t.Error("two long texts became one")
	}
}

func TestNormalizeFillsIn(t *testing.T) {
	r := &Record{Event: Event{Action: "user.delete", Payload: json.RawMessage("null"), Details: json.RawMessage{}, Duration: 1999 * time.Nanosecond}}
	if err := Normalize(r, fixedNow); err != nil {
		t.Fatal(err)
	}
	want := &Record{Kind: KindEvent, Event: Event{
		Action: "user.delete", Operation: Delete, Outcome: Success, OccurredAt: time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC),
		Actor: Actor{Type: "unknown"}, Duration: time.Microsecond,
	}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	for _, actor := range []Actor{{Type: "t"}, {ID: "i"}, {Name: "n"}, {Email: "e"}} {
		r := &Record{Event: Event{Action: "a", Actor: actor}}
		if err := Normalize(r, fixedNow); err != nil || r.Actor != actor {
			t.Errorf("%v became %v, %v", actor, r.Actor, err)
		}
	}
	r = &Record{Event: Event{Action: "a", Actor: Actor{IP: "10.0.0.1"}}}
	if err := Normalize(r, fixedNow); err != nil || r.Actor != (Actor{Type: "unknown", IP: "10.0.0.1"}) {
		t.Errorf("an address alone names nobody, got %v, %v", r.Actor, err)
	}
	r = &Record{Event: Event{Action: "user.delete", Operation: Read}}
	if err := Normalize(r, fixedNow); err != nil || r.Operation != Read {
		t.Errorf("an explicit operation must win, got %s, %v", r.Operation, err)
	}
}

func TestNormalizeIdentity(t *testing.T) {
	id, _, _ := IDFrom("abc")
	uuid := NewID()
	for _, tc := range []struct {
		name     string
		in       Event
		id       ID
		external string
		bad      bool
	}{
		{"nothing", Event{}, ID{}, "", false},
		{"an id", Event{ID: uuid}, uuid, "", false},
		{"an external id", Event{ExternalID: "abc"}, id, "abc", false},
		{"both, agreeing", Event{ID: id, ExternalID: "abc"}, id, "abc", false},
		{"both, disagreeing", Event{ID: uuid, ExternalID: "abc"}, ID{}, "", true},
		{"a UUID as external id", Event{ExternalID: uuid.String()}, uuid, "", false},
		{"a UUID as external id beside another", Event{ID: id, ExternalID: uuid.String()}, ID{}, "", true},
	} {
		r := &Record{Event: tc.in}
		r.Action = "a"
		err := Normalize(r, fixedNow)
		if tc.bad {
			wantInvalid(t, err, "external_id")
		} else if err != nil || r.ID != tc.id || r.ExternalID != tc.external {
			t.Errorf("%s: %s, %q, %v; want %s, %q", tc.name, r.ID, r.ExternalID, err, tc.id, tc.external)
		}
	}
}

func TestNormalizeTimes(t *testing.T) {
	zone := time.FixedZone("", 5*3600)
	for _, tc := range []struct {
		name     string
		in, want time.Time
	}{
		{"nanoseconds are cut", time.Date(2026, 1, 1, 0, 0, 0, 999_999_999, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 999_999_000, time.UTC)},
		{"UTC", time.Date(2026, 1, 1, 0, 0, 0, 0, zone), time.Date(2025, 12, 31, 19, 0, 0, 0, time.UTC)},
		{"the future stays", time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"the first", time.UnixMicro(1), time.UnixMicro(1).UTC()},
		{"the last", time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		{"1970 itself reads as absent", time.Unix(0, 0), time.Time{}},
		{"before 1970", time.Unix(0, -1), time.Time{}},
		{"the year 10000", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
		{"the year 10000 in UTC", time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -5*3600)), time.Time{}},
		{"beyond what microseconds can say", time.Date(600_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
		{"beyond, and wrapping into our years", time.Unix(math.MaxInt64/1_000_000*2+60_000_000, 0), time.Time{}},
	} {
		for _, f := range instantFields {
			r := &Record{Event: Event{Action: "a"}}
			*f.inst(r) = tc.in
			err := Normalize(r, fixedNow)
			if tc.want.IsZero() {
				wantInvalid(t, err, f.Path)
			} else if got := *f.inst(r); err != nil || got != tc.want {
				t.Errorf("%s, %s: got %v, %v; want %v", f.Path, tc.name, got, err, tc.want)
			}
		}
	}
	wantInvalid(t, Normalize(&Record{Event: Event{Action: "a"}}, time.Time{}), "occurred_at")
}

func TestNormalizeRefuses(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, tc := range []struct {
		field  string
		change func(*Record)
	}{
		{"action", func(r *Record) { r.Action = "" }},
		{"operation", func(r *Record) { r.Operation = "write" }},
		{"operation", func(r *Record) { r.Operation = "Create" }},
		{"outcome", func(r *Record) { r.Outcome = "ok" }},
		{"kind", func(r *Record) { r.Kind = "entry" }},
		{"namespace", func(r *Record) { r.Namespace = strings.Repeat("n", 129) }},
		{"tenant", func(r *Record) { r.Tenant = "a\x00" }},
		{"external_id", func(r *Record) { r.ExternalID = "\xff" }},
		{"duration_ms", func(r *Record) { r.Duration = -1 }},
		{"duration_ms", func(r *Record) { r.Duration = math.MinInt64 }},
		{"duration_ms", func(r *Record) { r.Duration = math.MaxInt64 }},
		{"duration_ms", func(r *Record) { r.Duration = MaxDuration + 1 }},
		{"tool.enrichment.tokens_full", func(r *Record) { r.Tool.Enrichment.TokensFull = -1 }},
		{"tool.enrichment.tokens_dedup", func(r *Record) { r.Tool.Enrichment.TokensDedup = -1 }},
		{"request.bytes", func(r *Record) { r.Request.Bytes = math.MinInt64 }},
		{"response.bytes", func(r *Record) { r.Response.Bytes = -1 }},
		{"response.blocks", func(r *Record) { r.Response.Blocks = -1 }},
		{"sequence", func(r *Record) { r.Sequence = -1 }},
		{"payload", func(r *Record) { r.Payload = raw(`{`) }},
		{"payload", func(r *Record) { r.Payload = raw(nested(MaxDepth + 1)) }},
		{"details", func(r *Record) { r.Details = raw(`x`) }},
		{"tool.parameters", func(r *Record) { r.Tool.Parameters = raw(`[1,]`) }},
		{"changes.before", func(r *Record) { r.Changes.Before = raw(`"`) }},
		{"changes.after", func(r *Record) { r.Changes.After = raw("\"\n\"") }},
		{"metadata", func(r *Record) { r.Metadata = raw(`{"a":1`) }},
		{"metadata", func(r *Record) { r.Metadata = raw(`[]`) }},
		{"metadata", func(r *Record) { r.Metadata = raw(`"a"`) }},
		{"metadata", func(r *Record) { r.Metadata = raw(`{"a":1,"a":1}`) }},
		{"metadata", func(r *Record) { r.Metadata = raw(`{"":1,"":2}`) }},
		{"metadata", func(r *Record) { r.Metadata = raw(`{"a":1,"\u0061":2}`) }},
		{"metadata", func(r *Record) { r.Metadata = raw("{\"\xff\":1,\"\\u0000\":2}") }}, // equal once mended
	} {
		r := &Record{Event: Event{Action: "a"}}
		tc.change(r)
		err := Normalize(r, fixedNow)
		if err == nil {
			t.Errorf("%s: accepted", tc.field)
			continue
		}
		wantInvalid(t, err, tc.field)
	}
	for _, at := range []int{2, 17, 40} { // few keys and many
		var members []string
		for i := range 40 {
			members = append(members, fmt.Sprintf(`"k%d":%d`, i, i))
		}
		good := "{" + strings.Join(members, ",") + "}"
		r := &Record{Event: Event{Action: "a", Metadata: raw(good)}}
		if err := Normalize(r, fixedNow); err != nil || string(r.Metadata) != good {
			t.Errorf("40 keys: %v", err)
		}
		r.Metadata = raw("{" + strings.Join(members[:at], ",") + `,"k1":0}`)
		wantInvalid(t, Normalize(r, fixedNow), "metadata")
	}
}

func TestNormalizeAccepts(t *testing.T) {
	r := &Record{Event: Event{
		Action: "\x00", Duration: MaxDuration, Metadata: json.RawMessage(` { "n" : 1e400 , "big":9223372036854775808} `), Payload: json.RawMessage(nested(MaxDepth)),
		Request: Request{Bytes: math.MaxInt64},
	}}
	if err := Normalize(r, fixedNow); err != nil {
		t.Fatal(err)
	}
	if r.Action != "\ufffd" || string(r.Metadata) != `{"n":1e400,"big":9223372036854775808}` || r.Duration != MaxDuration || r.Request.Bytes != math.MaxInt64 {
		t.Errorf("got %s", r.AppendJSON(nil))
	}
}

// accept is the way through the door without redaction.
func accept(r *Record, limit int) error {
	if err := Normalize(r, fixedNow); err != nil {
		return err
	}
	return Truncate(r, limit)
}

func TestTruncateInOrder(t *testing.T) {
	doc := func(key string) json.RawMessage {
		return json.RawMessage(`{"` + key + `":"` + strings.Repeat("x", 990) + `"}`) // 1000 bytes with a key of three
	}
	newRecord := func() *Record {
		return &Record{Event: Event{
			Action: "a", Operation: Other, Outcome: Success, Actor: Actor{Type: "t"}, Payload: doc("pay"), Metadata: doc("met"), Details: doc("det"),
			Changes: Changes{Before: doc("bef"), After: doc("aft")}, Tool: Tool{Parameters: doc("par")},
		}, Kind: KindEvent}
	}
	full := newRecord()
	if err := accept(full, 0); err != nil || len(full.Payload) != 1000 {
		t.Fatal(len(full.Payload), err)
	}
	texts := len("a") + len(Other) + len(Success) + len("t") + len(KindEvent)
	whole := texts + 6*1000
	short := len(TruncatedDocument(full.Payload))
	order := []string{"payload", "changes.before", "changes.after", "metadata", "tool.parameters", "details"}
	for n := 0; n <= len(order); n++ {
		limit := whole - n*(1000-short)
		for _, max := range []int{limit, limit + 1} { // a limit that n steps meet exactly, and one with a byte to spare
			r := newRecord()
			if err := accept(r, max); err != nil {
				t.Fatalf("limit %d: %v", max, err)
			}
			for i, path := range order {
				f := byPath[path]
				want := string(f.Bytes(full))
				if i < n {
					sum := sha256.Sum256([]byte(want))
					want = `{"truncated":true,"bytes":1000,"sha256":"` + hex.EncodeToString(sum[:]) + `"}`
				}
				if got := f.Text(r); got != want {
					t.Errorf("limit %d: %s is %.60s, want %.60s", max, path, got, want)
				}
			}
		}
	}
	r := newRecord()
	err := accept(r, texts+6*short-1)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	small := &Record{Event: Event{Action: "a", Payload: json.RawMessage(`[1]`), Details: doc("det")}}
	if err := accept(small, 200); err != nil || string(small.Payload) != "[1]" {
		t.Errorf("a document smaller than its stand-in must stay: %s, %v", small.Payload, err)
	}
	large := &Record{Event: Event{Action: "a", Payload: json.RawMessage(`"` + strings.Repeat("x", MaxRecordBytes) + `"`)}}
	if err := accept(large, 0); err != nil || !strings.HasPrefix(string(large.Payload), `{"truncated":true,"bytes":1048578,`) {
		t.Errorf("got %.80s, %v", large.Payload, err)
	}
}

func TestNormalizeTwiceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecord().Draw(t, "record")
		limit := rapid.SampledFrom([]int{0, 600, 5000}).Draw(t, "limit")
		if err := accept(r, limit); err != nil {
			if !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		checkNormalAgain(t, r, limit)
	})
}

func checkNormalAgain(t fataler, r *Record, limit int) {
	t.Helper()
	again := *r
	if err := Normalize(&again, fixedNow.Add(time.Hour)); err != nil {
		t.Fatalf("what was accepted is refused: %v", err)
	}
	if err := Truncate(&again, limit); err != nil {
		t.Fatalf("what was accepted is refused: %v", err)
	}
	if diff := cmp.Diff(r, &again); diff != "" {
		t.Fatalf("%s", diff)
	}
	for _, f := range textFields {
		if s := f.Text(r); len(s) > f.Limit || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Fatalf("%s is %q", f.Path, s)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("tool.create", "é\x00", `{"a":"\ud800"}`, `{"k":1}`, int64(1500), int64(1_700_000_000_000_000_000), 0)
	f.Add("\xff", strings.Repeat("é", 1000), nested(70), `{"k":1,"\u006b":2}`, int64(-1), int64(-1), 300)
	f.Fuzz(func(t *testing.T, action, text, doc, metadata string, duration, occurred int64, limit int) {
		r := &Record{Event: Event{
			Action: action, Actor: Actor{ID: text, UserAgent: text}, Error: text, Payload: json.RawMessage(doc), Changes: Changes{After: json.RawMessage(doc)},
			Metadata: json.RawMessage(metadata), Duration: time.Duration(duration), OccurredAt: time.Unix(occurred/1e9, occurred%1e9),
		}}
		if accept(r, limit) == nil {
			checkNormalAgain(t, r, limit)
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	in := Record{Event: Event{
		ID: NewID(), Tenant: "t", Action: "tool.create", Actor: Actor{Type: "user", ID: "alice", IP: "10.0.0.1"}, OccurredAt: fixedNow,
		Resource: Resource{Type: "t", ID: "r"}, Payload: json.RawMessage(`{"a":[1,2,3],"b":"some text"}`), Metadata: json.RawMessage(`{"env":"prod","n":1}`),
	}}
	b.ReportAllocs()
	for b.Loop() {
		r := in
		if err := Normalize(&r, fixedNow); err != nil {
			b.Fatal(err)
		}
	}
}
