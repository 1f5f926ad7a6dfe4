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
	"github.com/annals-dev/annals/internal/badinput"
)

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
	for i, tc := range badinput.Cases() {
		id := fmt.Sprintf("r%d", i)
		_, stderr, code := call(t, tc.WithID(id), append([]string{"record"}, at...)...)
		switch {
		case tc.Refused == "" && code == exitOK:
			recorded++
			findBadInput(t, at, id, tc.Name, tc.Find)
		case tc.Refused == "":
			t.Errorf("%s: exit code %d: %s", tc.Name, code, stderr)
		case code != exitFailed || !strings.HasPrefix(stderr, "annals: "+tc.Refused+": "):
			t.Errorf("%s: exit code %d, want one that names %s: %s", tc.Name, code, tc.Refused, stderr)
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
	var cases []badinput.Case
	for _, tc := range badinput.Cases() {
		if len(tc.Event) < 1200<<10 { // a line may have 1.25 MiB
			cases = append(cases, tc)
		}
	}
	for i, tc := range cases {
		file.WriteString(tc.WithID(fmt.Sprintf("i%d", i)) + "\n")
		if tc.Refused == "" {
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
	for i, tc := range cases {
		place := fmt.Sprintf("%s:%d: ", path, i+1)
		switch {
		case tc.Refused == "":
			findBadInput(t, at, fmt.Sprintf("i%d", i), tc.Name, tc.Find)
			if strings.Contains(stderr, place) {
				t.Errorf("%s is complained of", tc.Name)
			}
		case strings.Contains(stderr, place+tc.Refused+": "):
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
		if got := string(rec.Payload); got != badinput.HugeNumbers {
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
