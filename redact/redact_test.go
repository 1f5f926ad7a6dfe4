package redact_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/redact"
)

func TestDocuments(t *testing.T) {
	tests := []struct {
		name, fields, in, want string
	}{
		{"a key at any depth", "password", `{"password":"a","x":[{"b":{"password":1}},2]}`, `{"password":"#","x":[{"b":{"password":"#"}},2]}`},
		{"case of key and rule", "PassWord", `{"PASSWORD":"a","password":"b"}`, `{"PASSWORD":"#","password":"#"}`},
		{"case beyond ASCII", "schlüssel,straſse", `{"SCHLÜSSEL":1,"STRASSE":2}`, `{"SCHLÜSSEL":"#","STRASSE":"#"}`},
		{"an escaped key", "password", `{"p\u0061ssw\u006Frd":1,"pass\/word":2}`, `{"p\u0061ssw\u006Frd":"#","pass\/word":2}`},
		{"an escaped pair", "🔑", `{"\ud83d\udd11":1}`, `{"\ud83d\udd11":"#"}`},
		{"every escape in a key", "\b\f\n\r\t/\"\\x", `{"\b\f\n\r\t\/\"\\x":1,"\u00e9":2}`, `{"\b\f\n\r\t\/\"\\x":"#","\u00e9":2}`},
		{"every kind of value", "k", `[{"k":null},{"k":true},{"k":-0},{"k":1e400},{"k":[1,{"k":2}]},{"k":{"a":"}"}},{"k":""}]`,
			`[{"k":"#"},{"k":"#"},{"k":"#"},{"k":"#"},{"k":"#"},{"k":"#"},{"k":"#"}]`},
		{"never a part of a key", "pass", `{"password":1,"pas":2,"pass":3,"my_pass":4}`, `{"password":1,"pas":2,"pass":"#","my_pass":4}`},
		{"a key, not a value", "password", `{"a":"password","b":["password",":"]}`, `{"a":"password","b":["password",":"]}`},
		{"the rest byte for byte", "a", `{"n":1.0e+05,"big":123456789012345678901234567890,"s":"\u00e9é\/","a":0,"z":-0.0}`,
			`{"n":1.0e+05,"big":123456789012345678901234567890,"s":"\u00e9é\/","a":"#","z":-0.0}`},
		{"a path", "payload.card.number", `{"card":{"number":1,"x":{"number":2}},"number":3,"x":{"card":{"number":4}}}`,
			`{"card":{"number":"#","x":{"number":2}},"number":3,"x":{"card":{"number":4}}}`},
		{"a path from every root", "user.password", `{"user":{"password":1},"password":2,"a":{"user":{"password":3}}}`,
			`{"user":{"password":"#"},"password":2,"a":{"user":{"password":3}}}`},
		{"arrays are transparent", "payload.users.password", `{"users":[{"password":1},[[{"password":2}]],3]}`, `{"users":[{"password":"#"},[[{"password":"#"}]],3]}`},
		{"an array at the root", "payload.password", `[{"password":1},{"a":{"password":2}}]`, `[{"password":"#"},{"a":{"password":2}}]`},
		{"a whole array", "payload.tags", `{"tags":["a","b"],"x":1}`, `{"tags":"#","x":1}`},
		{"an index", "payload.args.1", `{"args":["a","b","c"]}`, `{"args":["a","#","c"]}`},
		{"an index and on", "payload.0.k", `[{"k":1},{"k":2}]`, `[{"k":"#"},{"k":2}]`},
		{"an index in nested arrays", "payload.m.1.0", `{"m":[[1,2],[3,4]]}`, `{"m":[[1,2],["#",4]]}`},
		{"a number as a key", "payload.m.1", `{"m":{"1":"a","01":"b"}}`, `{"m":{"1":"#","01":"b"}}`},
		{"01 is a key only", "payload.m.01", `{"m":[0,1],"M":{"01":2}}`, `{"m":[0,1],"M":{"01":"#"}}`},
		{"a star for a key", "payload.*.secret", `{"a":{"secret":1},"b":{"c":{"secret":2}},"secret":3}`, `{"a":{"secret":"#"},"b":{"c":{"secret":2}},"secret":3}`},
		{"a star for an index", "payload.emails.*", `{"emails":["a@b",{"x":1}]}`, `{"emails":["#","#"]}`},
		{"a star at the end", "payload.env.*", `{"env":{"A":"1","B":{"c":2}},"x":1}`, `{"env":{"A":"#","B":"#"},"x":1}`},
		{"everything below the root", "*", `{"a":1,"b":[2]}`, `{"a":"#","b":"#"}`},
		{"a path that is a start of another", "payload.a.b,payload.a", `{"a":{"b":1,"c":2}}`, `{"a":"#"}`},
		{"the other way round", "payload.a,payload.a.b", `{"a":{"b":1,"c":2}}`, `{"a":"#"}`},
		{"a key with dots", "payload.db.password,token", `{"db.password":1,"db":{"password":2},"api.token":3,"token.type":4,"d.b.password":5}`,
			`{"db.password":"#","db":{"password":"#"},"api.token":"#","token.type":"#","d.b.password":5}`},
		{"dots and nothing else", "payload.*.*.*", `{"..":1,".":2,"":{"":{"":3}}}`, `{"..":"#",".":2,"":{"":{"":"#"}}}`},
		{"the whole document", "payload", `{"a":1}`, `"#"`},
		{"a scalar document", "payload", `1`, `"#"`},
		{"a scalar has no place", "payload.a,a,*", `"a"`, `"a"`},
		{"a key named payload", "payload.payload", `{"payload":{"a":1}}`, `{"payload":"#"}`},
		{"empty ones", "a", `{"x":{},"y":[],"a":{}}`, `{"x":{},"y":[],"a":"#"}`},
		{"the placeholder stays", "a", `{"a":"#"}`, `{"a":"#"}`},
		{"blanks and empty entries", " a , ,,\tb\n", `{"a":1,"b":2}`, `{"a":"#","b":"#"}`},
		{"no entries", "", `{"a":1}`, `{"a":1}`},
		{"backslashes", "a", `{"x":"\\","a":"\\\"","y":"\\\\","a\\":1,"\\":2}`, `{"x":"\\","a":"#","y":"\\\\","a\\":1,"\\":2}`},
		{"a repeated key", "a", `{"a":1,"a":2}`, `{"a":"#","a":"#"}`},
		{"JSON in a string", "a", `{"x":"{\"a\":1}"}`, `{"x":"{\"a\":1}"}`},
	}
	for _, tt := range tests {
		r := mustNew(t, redact.Config{Enabled: true, Fields: strings.Split(tt.fields, ","), Placeholder: "#"})
		rec := &audit.Record{Event: audit.Event{Payload: json.RawMessage(tt.in)}}
		changed := r.Apply(rec)
		if string(rec.Payload) != tt.want {
			t.Errorf("%s: %s on %s:\n got %s\nwant %s", tt.name, tt.fields, tt.in, rec.Payload, tt.want)
		}
		if changed != (tt.in != tt.want) {
			t.Errorf("%s: Apply says %v", tt.name, changed)
		}
	}
}

func TestWhichDocument(t *testing.T) {
	const doc, hit = `{"k":{"s":1}}`, `{"k":{"s":"#"}}`
	all := []string{"payload", "metadata", "changes.before", "changes.after", "tool.parameters", "details"}
	tests := map[string][]string{
		"s": all, "k.s": all, "*.s": all, "K.S": all,
		"payload.k.s": {"payload"}, "Metadata.k.s": {"metadata"}, "details.k.s": {"details"},
		"parameters.k.s": {"tool.parameters"}, "tool.parameters.k.s": {"tool.parameters"}, "TOOL.Parameters.*.s": {"tool.parameters"},
		"changes.before.k.s": {"changes.before"}, "changes_before.k.s": {"changes.before"}, "changes.after.k.s": {"changes.after"},
		"changes.k.s":  {"changes.before", "changes.after"},
		"payload.s":    nil,
		"k.k.s":        nil,
		"k.payload.s":  nil,
		"error.k.s":    nil,
		"before.k.s":   nil,
		"metadata.s.k": nil,
	}
	for entry, want := range tests {
		rec := &audit.Record{Event: audit.Event{
			Payload: json.RawMessage(doc), Metadata: json.RawMessage(doc), Details: json.RawMessage(doc),
			Changes: audit.Changes{Before: json.RawMessage(doc), After: json.RawMessage(doc)},
			Tool:    audit.Tool{Parameters: json.RawMessage(doc)},
		}}
		mustNew(t, redact.Config{Enabled: true, Fields: []string{entry}, Placeholder: "#"}).Apply(rec)
		got := map[string]string{}
		wants := map[string]string{}
		for _, f := range audit.Fields() {
			if f.Kind == audit.Document {
				got[f.Path], wants[f.Path] = string(f.Bytes(rec)), doc
			}
		}
		for _, path := range want {
			wants[path] = hit
		}
		if d := cmp.Diff(wants, got); d != "" {
			t.Errorf("%s: %s", entry, d)
		}
	}
}

func TestWholeDocuments(t *testing.T) {
	for entry, want := range map[string]audit.Event{
		"payload":         {Payload: json.RawMessage(`"[REDACTED]"`)},
		"metadata":        {Metadata: json.RawMessage(`{"a":"[REDACTED]","b.c":"[REDACTED]"}`)},
		"details":         {Details: json.RawMessage(`"[REDACTED]"`)},
		"tool.parameters": {Tool: audit.Tool{Parameters: json.RawMessage(`"[REDACTED]"`)}},
		"Changes.After":   {Changes: audit.Changes{After: json.RawMessage(`"[REDACTED]"`)}},
		"changes":         {Changes: audit.Changes{Before: json.RawMessage(`"[REDACTED]"`), After: json.RawMessage(`"[REDACTED]"`)}},
	} {
		doc := json.RawMessage(`{"a":[1],"b.c":null}`)
		rec := &audit.Record{Event: audit.Event{Action: "a", Payload: doc, Metadata: doc, Details: doc,
			Changes: audit.Changes{Before: doc, After: doc}, Tool: audit.Tool{Parameters: doc}}}
		wants := *rec
		for _, f := range audit.Fields() {
			if b := f.Bytes; f.Kind == audit.Document && len(b(&audit.Record{Event: want})) > 0 {
				f.SetBytes(&wants, b(&audit.Record{Event: want}))
			}
		}
		if !mustNew(t, redact.Config{Enabled: true, Fields: []string{entry}}).Apply(rec) {
			t.Errorf("%s: nothing was redacted", entry)
		}
		if d := cmp.Diff(string(wants.AppendJSON(nil)), string(rec.AppendJSON(nil))); d != "" {
			t.Errorf("%s: %s", entry, d)
		}
		if err := audit.Normalize(rec, time.Unix(1, 0)); err != nil {
			t.Errorf("%s: what is left does not normalise: %v", entry, err)
		}
	}
}

// Every text field can be redacted by path and by name, or is refused.
func TestTextFields(t *testing.T) {
	refused := "namespace tenant kind external_id action operation outcome level segment"
	for _, f := range audit.Fields() {
		if f.Kind != audit.Text {
			continue
		}
		for _, entry := range []string{f.Path, f.Name, strings.ToUpper(f.Path)} {
			r, err := redact.New(redact.Config{Enabled: true, Fields: []string{entry}})
			if strings.Contains(" "+refused+" ", " "+f.Name+" ") {
				var e *audit.Error
				if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != "fields[0]" || !strings.Contains(e.Message, "cannot be redacted") {
					t.Errorf("%s: %v, want it refused", entry, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", entry, err)
				continue
			}
			var rec audit.Record
			if r.Apply(&rec) {
				t.Errorf("%s: an absent text was redacted", entry)
			}
			f.SetText(&rec, "secret")
			if !r.Apply(&rec) || f.Text(&rec) != "[REDACTED]" {
				t.Errorf("%s: %q is left", entry, f.Text(&rec))
			}
			if r.Apply(&rec) {
				t.Errorf("%s: redacted twice", entry)
			}
			f.SetText(&rec, "")
			if d := cmp.Diff(audit.Record{}, rec); d != "" {
				t.Errorf("%s: another field was changed: %s", entry, d)
			}
		}
	}
}

func TestANameIsAKeyToo(t *testing.T) {
	rec := &audit.Record{Event: audit.Event{Error: "bad s3cret", Payload: json.RawMessage(`{"x":{"error":"s3cret"}}`)}}
	mustNew(t, redact.Config{Enabled: true, Fields: []string{"error"}}).Apply(rec)
	if got, want := string(rec.AppendJSON(nil)), `{"error":"[REDACTED]","payload":{"x":{"error":"[REDACTED]"}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// A number of the record is a key of the documents only.
	rec = &audit.Record{Sequence: 7, Event: audit.Event{Payload: json.RawMessage(`{"hash":1,"sequence":2}`)}}
	mustNew(t, redact.Config{Enabled: true, Fields: []string{"hash", "sequence"}}).Apply(rec)
	if got, want := string(rec.AppendJSON(nil)), `{"sequence":7,"payload":{"hash":"[REDACTED]","sequence":"[REDACTED]"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		cfg         redact.Config
		field, says string
	}{
		{redact.Config{Fields: []string{"a", "b..c"}}, "fields[1]", "empty step"},
		{redact.Config{Fields: []string{".a"}}, "fields[0]", "empty step"},
		{redact.Config{Fields: []string{"payload."}}, "fields[0]", "empty step"},
		{redact.Config{Fields: []string{"", "pass*"}}, "fields[1]", "one whole key"},
		{redact.Config{Fields: []string{"a.**"}}, "fields[0]", "one whole key"},
		{redact.Config{Fields: []string{"a\x00"}}, "fields[0]", "NUL"},
		{redact.Config{Fields: []string{"\xff"}}, "fields[0]", "UTF-8"},
		{redact.Config{Fields: []string{strings.Repeat("k", 257)}}, "fields[0]", "256 bytes"},
		{redact.Config{Fields: []string{"a" + strings.Repeat(".a", 64)}}, "fields[0]", "64 steps"},
		{redact.Config{Fields: make([]string, 1001)}, "fields", "1000"},
		{redact.Config{Fields: []string{"action"}}, "fields[0]", "payload.action"},
		{redact.Config{Fields: []string{"request.bytes"}}, "fields[0]", "not a text"},
		{redact.Config{Fields: []string{"tool.enrichment.applied"}}, "fields[0]", "not a text"},
		{redact.Config{Fields: []string{"actor.emial"}}, "fields[0]", "payload.actor.emial"},
		{redact.Config{Fields: []string{"request.headers.cookie"}}, "fields[0]", "payload.request.headers.cookie"},
		{redact.Config{Fields: []string{"tool.secret"}}, "fields[0]", "not a text field"},
		{redact.Config{Placeholder: strings.Repeat("x", 129)}, "placeholder", "128"},
		{redact.Config{Placeholder: "a\x00"}, "placeholder", "control"},
		{redact.Config{Placeholder: "\xff"}, "placeholder", "UTF-8"},
	} {
		for _, enabled := range []bool{false, true} {
			tt.cfg.Enabled = enabled
			_, err := redact.New(tt.cfg)
			var e *audit.Error
			if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != tt.field || !strings.Contains(e.Message, tt.says) {
				t.Errorf("%q, %q: %v, want %s: …%s…", tt.cfg.Fields, tt.cfg.Placeholder, err, tt.field, tt.says)
			}
		}
	}
}

func TestRedactsNothing(t *testing.T) {
	var none *redact.Redactor
	for name, r := range map[string]*redact.Redactor{
		"nil": none, "zero": mustNew(t, redact.Config{}), "not enabled": mustNew(t, redact.Config{Fields: []string{"a", "error"}}),
		"no fields": mustNew(t, redact.Config{Enabled: true, Fields: []string{" "}}),
	} {
		rec := &audit.Record{Event: audit.Event{Error: "e", Payload: json.RawMessage(`{"a":1}`)}}
		if r.Apply(rec) || rec.Error != "e" || string(rec.Payload) != `{"a":1}` {
			t.Errorf("%s: %+v", name, rec)
		}
	}
}

func TestPlaceholderIsEscaped(t *testing.T) {
	r := mustNew(t, redact.Config{Enabled: true, Fields: []string{"a", "error"}, Placeholder: `<"\ü>`})
	rec := &audit.Record{Event: audit.Event{Error: "e", Payload: json.RawMessage(`{"a":1}`)}}
	if !r.Apply(rec) || rec.Error != `<"\ü>` || string(rec.Payload) != `{"a":"<\"\\ü>"}` {
		t.Errorf("%q %s", rec.Error, rec.Payload)
	}
}

// What Normalize never lets pass is replaced as a whole, not let through unread.
func TestUnreadableDocumentsGo(t *testing.T) {
	deep := strings.Repeat("[", audit.MaxDepth+1) + strings.Repeat("]", audit.MaxDepth+1)
	r := mustNew(t, redact.Config{Enabled: true, Fields: []string{"password"}})
	for _, doc := range []string{
		`{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":"`, `{"a":"\"`, `{"a\`, `{"a":1}x`, `{"a":1}}`, `[`, `[1`, `[1,`, `[,]`, `{"a":1]`, `[1}`,
		`{"a": 1}`, `{ "a":1}`, `[1 ]`, `{"a":}`, `{1:2}`, `{"\x":1}`, `{"\u12g4":1}`, `{"\u12":1}`, `["` + "\n" + `",{"a":[1, 2]},]`, `{"a` + "\n" + `":1}`, `"a`, `1 2`, deep,
	} {
		rec := &audit.Record{Event: audit.Event{Payload: json.RawMessage(doc), Metadata: json.RawMessage(doc)}}
		if !r.Apply(rec) || string(rec.Payload) != `"[REDACTED]"` || string(rec.Metadata) != `{"redacted":"[REDACTED]"}` {
			t.Errorf("%s: %s, %s", doc, rec.Payload, rec.Metadata)
		}
	}
	deep = deep[1 : len(deep)-1]
	rec := &audit.Record{Event: audit.Event{Payload: json.RawMessage(deep)}}
	if r.Apply(rec) || string(rec.Payload) != deep {
		t.Error("the deepest document allowed was replaced")
	}
}

// Many paths that stay active at once do not fit into the fixed part of the stack.
func TestManyActivePaths(t *testing.T) {
	var fields []string
	var rules []rule
	for i := range 256 { // every path of k and * over eight steps: 511 nodes are active at its end
		var path strings.Builder
		for bit := range 8 {
			path.WriteString(map[bool]string{false: "k.", true: "*."}[i>>bit&1 == 1])
		}
		for _, end := range []string{"x", "*.y.*.z", "1.s" + strconv.Itoa(i)} {
			fields, rules = append(fields, path.String()+end), append(rules, ruleOf(path.String()+end))
		}
	}
	inner := `[[{"x":1,"a.y.b.z":2,"a.y.b":{"z":3},"s7":4,"t":5}],{"s9":6,"q":{"y":[{"z":7}]}},{"s255":{}}]`
	doc := strings.Repeat(`{"a":0,"k":`, 7) + `{"k":` + inner + `,"j":` + inner + `,"j.q.y.":` + inner + `}` + strings.Repeat("}", 7)
	r := mustNew(t, redact.Config{Enabled: true, Fields: fields})
	rec := &audit.Record{Event: audit.Event{Payload: json.RawMessage(doc)}}
	r.Apply(rec)
	want := redacted(parse(t, []byte(doc)), rules, nil, `"[REDACTED]"`)
	if d := cmp.Diff(want, parse(t, rec.Payload), cmpopts.IgnoreUnexported(member{})); d != "" {
		t.Error(d)
	}
	if string(rec.Payload) == doc {
		t.Error("nothing was redacted")
	}
}

// Nested arrays keep every star active beside the next one. Were a node ever
// active twice, their number would double at each level, and this would not end.
func TestStarsInNestedArrays(t *testing.T) {
	stars := strings.Repeat("*.", redact.MaxSteps-2)
	r := mustNew(t, redact.Config{Enabled: true, Fields: []string{"payload." + stars + "x"}})
	inner := `{"x":1}`
	for range audit.MaxDepth - 2 {
		inner = "[0," + inner + "," + `"y"` + "]"
	}
	rec := &audit.Record{Event: audit.Event{Payload: json.RawMessage(inner)}}
	want := strings.Replace(inner, `"x":1`, `"x":"[REDACTED]"`, 1)
	if !r.Apply(rec) || string(rec.Payload) != want {
		t.Errorf("got %s", rec.Payload)
	}
}

func mustNew(t testing.TB, cfg redact.Config) *redact.Redactor {
	t.Helper()
	r, err := redact.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
