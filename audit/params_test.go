package audit

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParamsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genQuery().Draw(t, "q")
		// Through the text of a URL, as it travels.
		values, err := url.ParseQuery(want.Params().Encode())
		if err != nil {
			t.Fatalf("%v", err)
		}
		got, cursor, err := ParseParams(values)
		if err != nil || cursor != "" {
			t.Fatalf("%v, cursor %q", err, cursor)
		}
		if got, err = got.Validate(); err != nil {
			t.Fatalf("%v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", values.Encode(), diff)
		}
	})
}

func TestParseParams(t *testing.T) {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]*Query{
		"":                                               {},
		"actor=a&actor=b&tenant.not=c":                   {Filters: []Filter{Is("actor", "a", "b"), Not("tenant", "c")}},
		"action.prefix=tool.":                            {Filters: []Filter{Prefix("action", "tool.")}},
		"actor.is=a":                                     {Filters: []Filter{Is("actor", "a")}},
		"duration_ms.min=1.5&duration_ms.max=2":          {Filters: []Filter{{Field: "duration_ms", Op: OpRange, Min: ptr(1500), Max: ptr(2000)}}},
		"duration_ms.min=1.0005":                         {Filters: []Filter{{Field: "duration_ms", Op: OpRange, Min: ptr(1001)}}},
		"duration_ms.max=1.0005":                         {Filters: []Filter{{Field: "duration_ms", Op: OpRange, Max: ptr(1000)}}},
		"duration_ms.min=-1.0005":                        {Filters: []Filter{{Field: "duration_ms", Op: OpRange, Min: ptr(-1000)}}},
		"duration_ms.max=-1.0005":                        {Filters: []Filter{{Field: "duration_ms", Op: OpRange, Max: ptr(-1001)}}},
		"request_bytes.min=10":                           {Filters: []Filter{{Field: "request_bytes", Op: OpRange, Min: ptr(10)}}},
		"recorded_at.min=2026-01-02T00:00:00.0000001Z":   {Filters: []Filter{{Field: "recorded_at", Op: OpRange, Min: ptr(at.UnixMicro() + 1)}}},
		"recorded_at.max=2026-01-02T00:00:00.0000001Z":   {Filters: []Filter{{Field: "recorded_at", Op: OpRange, Max: ptr(at.UnixMicro())}}},
		"metadata.env=prod&metadata.a.b.not=x":           {Filters: []Filter{Not("metadata.a.b", "x"), Is("metadata.env", "prod")}},
		"metadata.a.min.is=5":                            {Filters: []Filter{Is("metadata.a.min", "5")}},
		"from=2026-01-02&to=2026-01-02T01:00:00%2B01:00": {From: at, To: at},
		"q=a b&open=true&order=oldest&limit=7":           {Text: "a b", Open: true, Order: OldestFirst, Limit: 7},
		"order=newest&open=0":                            {},
		"phase=intent":                                   {Filters: []Filter{Is("outcome", "pending")}},
		"phase=outcome":                                  {Filters: []Filter{Not("outcome", "pending")}},
	} {
		values, err := url.ParseQuery(in)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := ParseParams(values)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", in, diff)
		}
	}
	_, cursor, err := ParseParams(url.Values{"cursor": {"abc"}})
	if err != nil || cursor != "abc" {
		t.Errorf("cursor %q, %v", cursor, err)
	}
}

func TestParseParamsRefuses(t *testing.T) {
	for in, field := range map[string]string{
		"colour=red": "colour", "payload=1": "payload", "actor.min=5": "actor.min", "actor.min=x": "actor.min", "occurred_at=1": "occurred_at", "occurred_at.min=2026-01-01": "occurred_at.min",
		"id.prefix=a": "id.prefix", "metadata=1": "metadata", "metadata.k.min=5": "metadata.k.min", "Actor=a": "Actor", "actor.=a": "actor.", "=a": "",
		"from=yesterday": "from", "to=10000-01-01": "to", "from=2026-01-01&from=2026-01-02": "from", "q=a&q=b": "q", "cursor=a&cursor=b": "cursor",
		"open=maybe": "open", "phase=x": "phase", "order=up": "order", "limit=0": "limit", "limit=1001": "limit", "limit=x": "limit", "limit=-1": "limit",
		"duration_ms.min=fast": "duration_ms.min", "duration_ms.min=1e99": "duration_ms.min", "duration_ms.min=0x10": "duration_ms.min", "duration_ms.min=1&duration_ms.min=2": "duration_ms.min",
		"request_bytes.max=1.5": "request_bytes.max", "recorded_at.min=now": "recorded_at.min",
	} {
		values, err := url.ParseQuery(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = ParseParams(values); err == nil {
			t.Errorf("%s is accepted", in)
			continue
		}
		wantInvalid(t, err, field)
	}
}

func TestParseWhere(t *testing.T) {
	for in, want := range map[string][2]string{
		"actor=alice":              {"actor", "alice"},
		" actor = al ice ":         {"actor", "al ice"},
		"actor!=alice":             {"actor.not", "alice"},
		"action^=tool.":            {"action.prefix", "tool."},
		"duration_ms>=100":         {"duration_ms.min", "100"},
		"duration_ms<=1.5":         {"duration_ms.max", "1.5"},
		"metadata.env=prod":        {"metadata.env", "prod"},
		"metadata.a.not=x":         {"metadata.a.not.is", "x"},
		"metadata.a.not!=x":        {"metadata.a.not.not", "x"},
		"user_agent=a>=b!=c^=d":    {"user_agent", "a>=b!=c^=d"},
		"path!=/x?a=b":             {"path.not", "/x?a=b"},
		"error_code=":              {"error_code", ""},
		"metadata.k=http://x/?y=1": {"metadata.k", "http://x/?y=1"},
	} {
		param, value, err := ParseWhere(in)
		if err != nil || param != want[0] || value != want[1] {
			t.Errorf("%s: %q, %q, %v; want %q", in, param, value, err, want)
		}
	}
	for _, bad := range []string{"", "actor", "=x", " =x", "!=x", "actor<5", "actor>5", "^"} {
		_, _, err := ParseWhere(bad)
		if err == nil {
			t.Errorf("%q is accepted", bad)
			continue
		}
		wantInvalid(t, err, "where")
	}
}

// What a person types means the condition that it spells.
func TestParseWhereMeansItsSign(t *testing.T) {
	signs := map[string]Ops{"=": OpIs, "!=": OpNot, "^=": OpPrefix}
	rapid.Check(t, func(t *rapid.T) {
		field := MetadataPrefix + rapid.StringMatching(`[a-z.]{1,8}(\.(not|is|min|max|prefix))?`).Draw(t, "key")
		sign := rapid.SampledFrom([]string{"=", "!=", "^="}).Draw(t, "sign")
		param, value, err := ParseWhere(field + sign + "v")
		if err != nil {
			t.Fatalf("%v", err)
		}
		q, _, err := ParseParams(url.Values{param: {value}})
		if err != nil {
			t.Fatalf("%v", err)
		}
		if diff := cmp.Diff([]Filter{{Field: field, Op: signs[sign], Values: []string{"v"}}}, q.Filters); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzParseParams(f *testing.F) {
	f.Add("actor=a&metadata.k.not=b&duration_ms.min=1.5&from=2026-01-01&limit=5")
	f.Fuzz(func(t *testing.T, in string) {
		values, err := url.ParseQuery(in)
		if err != nil {
			return
		}
		q, _, err := ParseParams(values)
		if err != nil {
			return
		}
		v, err := q.Validate()
		if err != nil {
			return
		}
		again, _, err := ParseParams(v.Params())
		if err != nil {
			t.Fatal(err)
		}
		if again, err = again.Validate(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, again); diff != "" {
			t.Fatal(diff)
		}
		v.Match(&Record{})
	})
}
