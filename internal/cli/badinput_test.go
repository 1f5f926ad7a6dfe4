package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// badInput is every kind of input that the door has to mend or to refuse, and
// what must become of it: nothing is accepted and then lost.
var badInput = []struct {
	name    string
	event   string // without its closing brace, so that an id can be added
	refused string // the field that the error must name; "" is recorded
	find    string // a condition that must find the record, where it is recorded
}{
	{name: "over-long action", event: `{"action":"a.` + strings.Repeat("x", 300) + `"`, find: "action^=a.xxx"},
	{name: "over-long correlation id", event: `{"action":"a.b","request":{"correlation_id":"` + strings.Repeat("c", 65) + `"}`, find: "correlation_id=" + strings.Repeat("c", 65)},
	{name: "over-long user agent", event: `{"action":"a.b","actor":{"user_agent":"` + strings.Repeat("u", 5000) + `"}`, find: "user_agent^=uuu"},
	{name: "NUL", event: `{"action":"a.b","actor":{"user_agent":"a\u0000b"}`, find: "user_agent=a\ufffdb"},
	{name: "invalid UTF-8", event: "{\"action\":\"a.b\",\"actor\":{\"name\":\"a\xff\xfeb\"}", find: "actor_name=a\ufffdb"},
	{name: "lone surrogate", event: `{"action":"a.b","actor":{"name":"a\ud800"}`, find: "actor_name=a\ufffd"},
	{name: "huge numbers in a document", event: `{"action":"a.b","payload":{"n":[1e400,9223372036854775808,-0,0.1000]}`, find: "action=a.b"},
	{name: "nesting at the limit", event: `{"action":"a.b","payload":` + strings.Repeat("[", 64) + strings.Repeat("]", 64), find: "action=a.b"},
	{name: "nesting over the limit", event: `{"action":"a.b","payload":` + strings.Repeat("[", 65) + strings.Repeat("]", 65), refused: "payload"},
	{name: "payload over the limit of a record", event: `{"action":"a.b","payload":"` + strings.Repeat("p", 1<<20+1000) + `"`, find: "action=a.b"},
	{name: "negative duration", event: `{"action":"a.b","duration_ms":-1`, refused: "duration_ms"},
	{name: "huge duration", event: `{"action":"a.b","duration_ms":1e300`, refused: "duration_ms"},
	{name: "duration that is a text", event: `{"action":"a.b","duration_ms":"1"`, refused: "duration_ms"},
	{name: "time in the future", event: `{"action":"a.b","occurred_at":"2999-01-01T00:00:00Z"`, find: "action=a.b"},
	{name: "time after the last year", event: `{"action":"a.b","occurred_at":"10000-01-01T00:00:00Z"`, refused: "occurred_at"},
	{name: "time before 1970", event: `{"action":"a.b","occurred_at":"1969-12-31T23:59:59Z"`, refused: "occurred_at"},
	{name: "no time", event: `{"action":"a.b","occurred_at":"yesterday"`, refused: "occurred_at"},
	{name: "unknown field", event: `{"action":"a.b","acton":"x"`, refused: "acton"},
	{name: "unknown field in a group", event: `{"action":"a.b","actor":{"nmae":"x"}`, refused: "actor.nmae"},
	{name: "field twice", event: `{"action":"a.b","action":"a.c"`, refused: "action"},
	{name: "group that is a text", event: `{"action":"a.b","actor":"alice"`, refused: "actor"},
	{name: "empty actor", event: `{"action":"a.b","actor":{}`, find: "actor_type=unknown"},
	{name: "no action", event: `{"actor":{"id":"alice"}`, refused: "action"},
	{name: "unknown operation", event: `{"action":"a.b","operation":"destroy"`, refused: "operation"},
	{name: "unknown outcome", event: `{"action":"a.b","outcome":"maybe"`, refused: "outcome"},
	{name: "over-long tenant", event: `{"action":"a.b","tenant":"` + strings.Repeat("t", 129) + `"`, refused: "tenant"},
	{name: "NUL in the tenant", event: `{"action":"a.b","tenant":"a\u0000"`, refused: "tenant"},
	{name: "NUL in the namespace", event: `{"action":"a.b","namespace":"\u0000"`, refused: "namespace"},
	{name: "metadata that is no object", event: `{"action":"a.b","metadata":[1]`, refused: "metadata"},
	{name: "metadata key twice", event: `{"action":"a.b","metadata":{"a":1,"a":2}`, refused: "metadata"},
	{name: "negative size", event: `{"action":"a.b","request":{"bytes":-1}`, refused: "request.bytes"},
	{name: "size over 2^63", event: `{"action":"a.b","response":{"bytes":9223372036854775808}`, refused: "response.bytes"},
	{name: "fraction for a count", event: `{"action":"a.b","tool":{"enrichment":{"tokens_full":1.5}}`, refused: "tool.enrichment.tokens_full"},
	{name: "external id of another", event: `{"action":"a.b","external_id":"not-mine"`, refused: "external_id"},
}

func TestBadInput(t *testing.T) {
	path, err := exec.LookPath("annals")
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"local", "server"} {
		t.Run(where, func(t *testing.T) {
			dir := t.TempDir()
			at := []string{"--set", "audit.url=" + filepath.Join(dir, "annals.db"), "--set", "audit.level=all"}
			if where == "server" {
				p := &process{cmd: exec.Command(path, append([]string{"serve", "--addr", "127.0.0.1:0"}, at...)...)}
				if err := p.start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(p.end)
				m, err := p.await(listening)
				if err != nil {
					t.Fatal(err)
				}
				at = []string{"--server", m[1]}
			}
			t.Run("record", func(t *testing.T) { recordBadInput(t, at) })
			t.Run("import", func(t *testing.T) { importBadInput(t, dir, at) })
		})
	}
}

func recordBadInput(t *testing.T, at []string) {
	recorded := 0
	for i, tc := range badInput {
		id := fmt.Sprintf("r%d", i)
		_, stderr, code := call(t, withID(tc.event, id), append([]string{"record"}, at...)...)
		switch {
		case tc.refused == "" && code == exitOK:
			recorded++
			findBadInput(t, at, id, tc.name, tc.find)
		case tc.refused == "":
			t.Errorf("%s: exit code %d: %s", tc.name, code, stderr)
		case code != exitFailed || !strings.HasPrefix(stderr, "annals: "+tc.refused+": "):
			t.Errorf("%s: exit code %d, want one that names %s: %s", tc.name, code, tc.refused, stderr)
		}
	}
	wantCount(t, at, "external_id^=r", recorded)
	for _, input := range []string{"", " ", "null", "[]", `"x"`, "{", `{"action":"a.b"} {}`, `{"action":"a.b"`, "\xff"} {
		if _, stderr, code := call(t, input, append([]string{"record"}, at...)...); code != exitFailed || stderr == "" {
			t.Errorf("%q: exit code %d: %s", input, code, stderr)
		}
	}
	_, stderr, code := call(t, `{"action":"a.b","payload":"`+strings.Repeat("x", 10<<20)+`"}`, append([]string{"record"}, at...)...)
	if code != exitFailed || !strings.Contains(stderr, "10 MiB") {
		t.Errorf("over 10 MiB: exit code %d: %s", code, stderr)
	}
	// Only Annals says when a record came in and where it stands in the chain.
	_, stderr, code = call(t, `{"action":"a.b","sequence":7}`, append([]string{"record"}, at...)...)
	if code != exitFailed || !strings.Contains(stderr, "sequence: is set by Annals") {
		t.Errorf("a sequence: exit code %d: %s", code, stderr)
	}
	_, stderr, code = call(t, `{"action":"a.b","id":"`+strings.Repeat("x", audit.MaxExternalID+1)+`"}`, append([]string{"record"}, at...)...)
	if code != exitFailed || !strings.HasPrefix(stderr, "annals: id: ") {
		t.Errorf("an over-long id: exit code %d: %s", code, stderr)
	}
	wantCount(t, at, "action^=a", recorded)
}

func importBadInput(t *testing.T, dir string, at []string) {
	var file strings.Builder
	recorded, refused := 0, 0
	for i, tc := range badInput {
		file.WriteString(withID(tc.event, fmt.Sprintf("i%d", i)) + "\n")
		if tc.refused == "" {
			recorded++
		} else {
			refused++
		}
	}
	path := filepath.Join(dir, "bad.ndjson")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := call(t, "", append([]string{"import", path}, at...)...)
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	summary := fmt.Sprintf("%d recorded, 0 already there, 0 filtered by policy, %d not recorded", recorded, refused)
	if !strings.Contains(stderr, summary) {
		t.Errorf("%q is not in\n%s", summary, stderr)
	}
	named := 0
	for i, tc := range badInput {
		place := fmt.Sprintf("%s:%d: ", path, i+1)
		switch {
		case tc.refused == "":
			findBadInput(t, at, fmt.Sprintf("i%d", i), tc.name, tc.find)
			if strings.Contains(stderr, place) {
				t.Errorf("%s is complained of", tc.name)
			}
		case strings.Contains(stderr, place+tc.refused+": "):
			named++
		}
	}
	if want := min(refused, maxComplaints); named != want {
		t.Errorf("%d refusals name their line and field, want %d:\n%s", named, want, stderr)
	}
	if refused > maxComplaints && !strings.Contains(stderr, "further ones are only counted") {
		t.Errorf("nothing says that complaints are left out:\n%s", stderr)
	}
	wantCount(t, at, "external_id^=i", recorded)
}

func withID(event, id string) string { return event + `,"id":"` + id + `"}` }

// findBadInput gets the record by its id and by a condition on what was mended.
func findBadInput(t *testing.T, at []string, id, name, where string) {
	t.Helper()
	stdout, stderr, code := call(t, "", append([]string{"get", id}, at...)...)
	if code != exitOK {
		t.Errorf("%s: accepted and lost: %s", name, stderr)
		return
	}
	rec, err := audit.DecodeRecord([]byte(stdout))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	switch name {
	case "huge numbers in a document":
		if got := string(rec.Payload); got != `{"n":[1e400,9223372036854775808,-0,0.1000]}` {
			t.Errorf("%s: %s", name, got)
		}
	case "payload over the limit of a record":
		var short struct {
			Truncated bool
			Bytes     int
		}
		if err := json.Unmarshal(rec.Payload, &short); err != nil || !short.Truncated || short.Bytes != 1<<20+1002 {
			t.Errorf("%s: %.100s %v", name, rec.Payload, err)
		}
	}
	wantCount(t, append([]string{"-w", "external_id=" + id}, at...), where, 1)
}

func wantCount(t *testing.T, at []string, where string, want int) {
	t.Helper()
	stdout, stderr, code := call(t, "", append([]string{"stats", "count", "--kind", "event", "-w", where}, at...)...)
	if code != exitOK || stdout != fmt.Sprintf("{\"count\":%d}\n", want) {
		t.Errorf("%s: exit code %d, %s%s, want %d", where, code, stdout, stderr, want)
	}
}
