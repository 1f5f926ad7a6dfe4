// Package badinput has events as no sender should write them, and what must
// become of each: it is mended by the documented rule or refused with an error
// that names the field, and never accepted and then lost. It is for the tests
// of the program and of the engines.
package badinput

import "strings"

// Case is one event.
type Case struct {
	Name  string
	Event string // JSON without its closing brace, so that an id can be added, see WithID
	// Refused is the field that the error must name; "" is recorded.
	Refused string
	// Find is a condition, as a person types it, that must find the record where
	// it is recorded.
	Find string
}

// WithID gives the event as it is sent.
func (c *Case) WithID(id string) string { return c.Event + `,"id":"` + id + `"}` }

// HugeNumbers is a document that no number of a programming language holds.
const HugeNumbers = `{"n":[1e400,9223372036854775808,-0,0.1000]}`

// Cases are all of them.
func Cases() []Case { return cases }

var cases = []Case{
	{Name: "over-long action", Event: `{"action":"a.` + strings.Repeat("x", 300) + `"`, Find: "action^=a.xxx"},
	{Name: "over-long correlation id", Event: `{"action":"a.b","request":{"correlation_id":"` + strings.Repeat("c", 65) + `"}`, Find: "correlation_id=" + strings.Repeat("c", 65)},
	{Name: "over-long user agent", Event: `{"action":"a.b","actor":{"user_agent":"` + strings.Repeat("u", 5000) + `"}`, Find: "user_agent^=uuu"},
	{Name: "over-long text of two-byte letters", Event: `{"action":"a.b","actor":{"id":"x` + strings.Repeat("é", 200) + `"}`, Find: "actor^=xéé"},
	{Name: "NUL", Event: `{"action":"a.b","actor":{"user_agent":"a\u0000b"}`, Find: "user_agent=a\ufffdb"},
	{Name: "NUL in documents", Event: `{"action":"a.b","payload":{"a\u0000b":"c\u0000d"},"metadata":{"k\u0000":"v\u0000"},"changes":{"before":"\u0000","after":["\u0000"]}`, Find: "action=a.b"},
	{Name: "control characters", Event: `{"action":"a.b","error":"\u0001\u001f\u007f\u0085\u2028\ufeff","outcome":"failure"`, Find: "outcome=failure"},
	{Name: "invalid UTF-8", Event: "{\"action\":\"a.b\",\"actor\":{\"name\":\"a\xff\xfeb\"}", Find: "actor_name=a\ufffdb"},
	{Name: "invalid UTF-8 in documents", Event: "{\"action\":\"a.b\",\"payload\":{\"k\xff\":\"v\xc3\"},\"metadata\":{\"m\":\"\xed\xa0\x80\"}", Find: "action=a.b"},
	{Name: "lone surrogate", Event: `{"action":"a.b","actor":{"name":"a\ud800"}`, Find: "actor_name=a\ufffd"},
	{Name: "lone surrogates in documents", Event: `{"action":"a.b","payload":["\ud800","\udc00\ud800","\ud83d\ude00"],"metadata":{"\udfff":"\ud800x"}`, Find: "action=a.b"},
	{Name: "letters beyond the basic plane", Event: `{"action":"a.b","actor":{"id":"😀\u0301\u202e"},"payload":"\ud83d\ude00"`, Find: "actor=😀\u0301\u202e"},
	{Name: "huge numbers in a document", Event: `{"action":"a.b","payload":` + HugeNumbers, Find: "action=a.b"},
	{Name: "numbers written in many ways", Event: `{"action":"a.b","payload":[1,1.0,1e0,10E-1,-0,-0.0,0.0,1E400,-1e-400,18446744073709551616,9223372036854775807,9007199254740993,0.1000000000000000055511151231257827]`, Find: "action=a.b"},
	{Name: "numbers as metadata", Event: `{"action":"a.b","metadata":{"one":1,"float":1.0,"zero":-0,"huge":1e400,"big":18446744073709551616}`, Find: "metadata.huge=1e400"},
	{Name: "keys in a document twice", Event: `{"action":"a.b","payload":{"b":1,"a":2,"b":3}`, Find: "action=a.b"},
	{Name: "blanks in a document", Event: `{"action":"a.b","payload": { "a" : [ 1 , 2 ] , "b" : "x y" } `, Find: "action=a.b"},
	{Name: "documents that are almost nothing", Event: `{"action":"a.b","payload":"","details":[],"changes":{"before":{},"after":0},"metadata":{}`, Find: "action=a.b"},
	{Name: "null for everything", Event: `{"action":"a.b","payload":null,"metadata":null,"actor":null,"error":null,"duration_ms":null,"expires_at":null,"tool":null`, Find: "action=a.b"},
	{Name: "null documents", Event: `{"action":"a.b","payload":null,"metadata":null,"changes":{"before":null,"after":[null]}`, Find: "action=a.b"},
	{Name: "empty texts", Event: `{"action":"a.b","actor":{"id":"","name":""},"error":"","tenant":"","resource":{"id":""}`, Find: "action=a.b"},
	{Name: "an empty key", Event: `{"action":"a.b","payload":{"":{"":""}},"metadata":{"":"empty"}`, Find: "action=a.b"},
	{Name: "nesting at the limit", Event: `{"action":"a.b","payload":` + strings.Repeat("[", 64) + strings.Repeat("]", 64), Find: "action=a.b"},
	{Name: "nesting over the limit", Event: `{"action":"a.b","payload":` + strings.Repeat("[", 65) + strings.Repeat("]", 65), Refused: "payload"},
	{Name: "nesting far over the limit", Event: `{"action":"a.b","metadata":` + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), Refused: "metadata"},
	{Name: "payload near the limit of a small engine", Event: `{"action":"a.b","payload":"` + strings.Repeat("p", 380<<10) + `"`, Find: "action=a.b"},
	{Name: "payload at the limit of a small engine", Event: `{"action":"a.b","payload":"` + strings.Repeat("p", 399<<10) + `"`, Find: "action=a.b"},
	{Name: "payload over the limit of a record", Event: `{"action":"a.b","payload":"` + strings.Repeat("p", 1<<20+1000) + `"`, Find: "action=a.b"},
	{Name: "payload twice the limit of a record", Event: `{"action":"a.b","payload":{"text":"` + strings.Repeat("é ", 2<<20/3) + `"}`, Find: "action=a.b"},
	{Name: "everything over the limit of a record", Event: `{"action":"a.b","payload":"` + strings.Repeat("p", 600<<10) + `","changes":{"before":"` + strings.Repeat("b", 1<<20) + `","after":"` + strings.Repeat("a", 1<<20) + `"},"metadata":{"m":"` + strings.Repeat("m", 1<<20) + `"}`, Find: "action=a.b"},
	{Name: "details over the limit of a record", Event: `{"action":"a.b","details":"` + strings.Repeat("d", 1<<20) + `"`, Find: "action=a.b"},
	{Name: "negative duration", Event: `{"action":"a.b","duration_ms":-1`, Refused: "duration_ms"},
	{Name: "huge duration", Event: `{"action":"a.b","duration_ms":1e300`, Refused: "duration_ms"},
	{Name: "duration that is a text", Event: `{"action":"a.b","duration_ms":"1"`, Refused: "duration_ms"},
	{Name: "duration of nanoseconds", Event: `{"action":"a.b","duration_ms":1.0015009`, Find: "duration_ms>=1.001"},
	{Name: "duration of minus nothing", Event: `{"action":"a.b","duration_ms":-0`, Find: "action=a.b"},
	{Name: "time in the future", Event: `{"action":"a.b","occurred_at":"2999-01-01T00:00:00Z"`, Find: "action=a.b"},
	{Name: "time after the last year", Event: `{"action":"a.b","occurred_at":"10000-01-01T00:00:00Z"`, Refused: "occurred_at"},
	{Name: "last moment", Event: `{"action":"a.b","occurred_at":"9999-12-31T23:59:59.999999Z"`, Find: "action=a.b"},
	{Name: "last nanosecond", Event: `{"action":"a.b","occurred_at":"9999-12-31T23:59:59.999999999Z"`, Find: "action=a.b"},
	{Name: "last moment, further west", Event: `{"action":"a.b","occurred_at":"9999-12-31T23:59:59-01:00"`, Refused: "occurred_at"},
	{Name: "time before 1970", Event: `{"action":"a.b","occurred_at":"1969-12-31T23:59:59Z"`, Refused: "occurred_at"},
	{Name: "the zero time", Event: `{"action":"a.b","occurred_at":"0001-01-01T00:00:00Z"`, Find: "action=a.b"},
	{Name: "year 1", Event: `{"action":"a.b","occurred_at":"0001-01-01T00:00:01Z"`, Refused: "occurred_at"},
	{Name: "expiry in year 1", Event: `{"action":"a.b","expires_at":"0001-01-01T00:00:01Z"`, Refused: "expires_at"},
	{Name: "first moment", Event: `{"action":"a.b","occurred_at":"1970-01-01T00:00:00.000001Z"`, Find: "action=a.b"},
	{Name: "nanoseconds", Event: `{"action":"a.b","occurred_at":"2026-01-02T03:04:05.123456789+05:30"`, Find: "action=a.b"},
	{Name: "expiry at the end of time", Event: `{"action":"a.b","expires_at":"9999-12-31T23:59:59.999999Z"`, Find: "action=a.b"},
	{Name: "no time", Event: `{"action":"a.b","occurred_at":"yesterday"`, Refused: "occurred_at"},
	{Name: "unknown field", Event: `{"action":"a.b","acton":"x"`, Refused: "acton"},
	{Name: "unknown field in a group", Event: `{"action":"a.b","actor":{"nmae":"x"}`, Refused: "actor.nmae"},
	{Name: "field twice", Event: `{"action":"a.b","action":"a.c"`, Refused: "action"},
	{Name: "group that is a text", Event: `{"action":"a.b","actor":"alice"`, Refused: "actor"},
	{Name: "empty actor", Event: `{"action":"a.b","actor":{}`, Find: "actor_type=unknown"},
	{Name: "no action", Event: `{"actor":{"id":"alice"}`, Refused: "action"},
	{Name: "unknown operation", Event: `{"action":"a.b","operation":"destroy"`, Refused: "operation"},
	{Name: "unknown outcome", Event: `{"action":"a.b","outcome":"maybe"`, Refused: "outcome"},
	{Name: "over-long tenant", Event: `{"action":"a.b","tenant":"` + strings.Repeat("t", 129) + `"`, Refused: "tenant"},
	{Name: "NUL in the tenant", Event: `{"action":"a.b","tenant":"a\u0000"`, Refused: "tenant"},
	{Name: "NUL in the namespace", Event: `{"action":"a.b","namespace":"\u0000"`, Refused: "namespace"},
	{Name: "metadata that is no object", Event: `{"action":"a.b","metadata":[1]`, Refused: "metadata"},
	{Name: "metadata key twice", Event: `{"action":"a.b","metadata":{"a":1,"a":2}`, Refused: "metadata"},
	{Name: "negative size", Event: `{"action":"a.b","request":{"bytes":-1}`, Refused: "request.bytes"},
	{Name: "size under 2^63", Event: `{"action":"a.b","response":{"bytes":9223372036854775807}`, Find: "response_bytes>=9223372036854775807"},
	{Name: "size over 2^63", Event: `{"action":"a.b","response":{"bytes":9223372036854775808}`, Refused: "response.bytes"},
	{Name: "size over 2^64", Event: `{"action":"a.b","response":{"bytes":18446744073709551617}`, Refused: "response.bytes"},
	{Name: "size past every number", Event: `{"action":"a.b","request":{"bytes":1e400}`, Refused: "request.bytes"},
	{Name: "a whole number with a point", Event: `{"action":"a.b","request":{"bytes":1.0}`, Find: "request_bytes=1"},
	{Name: "fraction for a count", Event: `{"action":"a.b","tool":{"enrichment":{"tokens_full":1.5}}`, Refused: "tool.enrichment.tokens_full"},
	{Name: "external id of another", Event: `{"action":"a.b","external_id":"not-mine"`, Refused: "external_id"},
}
