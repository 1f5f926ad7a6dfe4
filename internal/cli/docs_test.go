package cli

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every shell block of the documents runs as it stands, in a folder of its page.
// A block "sh" has a server with a SQLite store in the same folder, one of
// "sh postgres" and the like an empty store of that engine in the environment.
func TestDocumentedCommands(t *testing.T) {
	path, err := exec.LookPath("annals")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, name := range documents(t) {
		all, _, _ := parts(t, name)
		blocks := map[string][]fenced{}
		for _, b := range all {
			language, engine, _ := strings.Cut(b.info, " ")
			if language == "sh" && engine != "checked" && runnable(b.text) {
				blocks[engine] = append(blocks[engine], b)
				ran++
			}
		}
		if slices.Contains(runTables, name) {
			for _, s := range tableCommands(t, name) {
				blocks[""] = append(blocks[""], fenced{page: name, line: s.line, info: inTable, text: s.text})
				ran++
			}
		}
		for engine, some := range blocks {
			t.Run(strings.TrimSuffix(name+" on "+engine, " on "), func(t *testing.T) {
				if engine == "" {
					runBlocks(t, path, some)
				} else {
					runOnEngine(t, path, engine, some)
				}
			})
		}
	}
	if ran < 90 {
		t.Errorf("only %d blocks were found in the documents", ran)
	}
}

// runTables are pages whose tables hold commands that run as they stand, too.
var runTables = []string{"docs/manage/compliance.md", "docs/manage/troubleshooting.md", "docs/manage/audit-trails.md", "docs/manage/sizing.md"}

// inTable marks a command that runs in this process, as there are many of them.
const inTable = "in a table"

// tableCommands gives the commands in the tables of a page that are whole: ID
// stands for what only its reader knows.
func tableCommands(t *testing.T, name string) (out []span) {
	_, spans, prose := parts(t, name)
	for _, s := range spans {
		if strings.HasPrefix(prose[s.line-1], "|") && strings.HasPrefix(s.text, "annals ") && !strings.Contains(s.text, " ID") {
			out = append(out, s)
		}
	}
	return out
}

// curl stands in for curl where a machine has none: as much of it as the
// documents use.
func curl() {
	method, url, body := http.MethodGet, "", ""
	header := http.Header{}
	for args := os.Args[1:]; len(args) > 0; args = args[1:] {
		switch {
		case args[0] == "-H" && len(args) > 1:
			name, value, _ := strings.Cut(args[1], ":")
			header.Set(name, strings.TrimSpace(value))
			args = args[1:]
		case args[0] == "-d" && len(args) > 1:
			method, body = http.MethodPost, args[1]
			args = args[1:]
		case !strings.HasPrefix(args[0], "-"):
			url = args[0]
		}
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		log.Fatal(err)
	}
	if resp.StatusCode >= 400 {
		log.Fatal(resp.Status)
	}
}

// runnable reports whether a block begins with what this test has: not make, not a server.
func runnable(block string) bool {
	all := words(block)
	if len(all) == 0 {
		return false
	}
	c := all[0]
	return (c[0] == "annals" || c[0] == "bin/annals" || c[0] == "curl") && (len(c) < 2 || c[1] != "serve")
}

func runBlocks(t *testing.T, annals string, blocks []fenced) {
	dir := t.TempDir()
	layOut(t, dir, annals)
	server := &process{cmd: exec.Command(annals, "serve", "--addr", "127.0.0.1:0")}
	server.cmd.Dir = dir
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	defer server.end()
	m, err := server.await(listening)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, b := range blocks {
		if b.info == inTable {
			if stdout, stderr, code := call(t, "", words(b.text)[0][1:]...); code != exitOK {
				t.Errorf("%s:%d: exit code %d: %s\n%s%s", b.page, b.line, code, b.text, stdout, stderr)
			}
			continue
		}
		b.text = strings.ReplaceAll(b.text, "http://127.0.0.1:8480", m[1])
		runBlock(t, dir, b)
	}
}

func runBlock(t *testing.T, dir string, b fenced, env ...string) {
	t.Helper()
	sh := exec.Command("sh", "-eu", "-c", b.text)
	sh.Dir = dir
	sh.Env = append(append(os.Environ(), "CURL_HOME="+dir), env...)
	if out, err := sh.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v:\n%s\n%s", b.page, b.line, err, b.text, out)
	} else if bytes.Contains(out, []byte(`"status":"rejected"`)) {
		t.Errorf("%s:%d: an example event is rejected:\n%s\n%s", b.page, b.line, b.text, out)
	}
}

// layOut makes what the examples take for granted: the binary where make puts
// it, logs of CloudTrail, an event, and a curl that fails where the server says no.
func layOut(t *testing.T, dir, annals string) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	const trail = `{"Records":[{"eventVersion":"1.08","userIdentity":{"type":"Root","accountId":"123456789012","arn":"arn:aws:iam::123456789012:root"},` +
		`"eventTime":"2026-01-02T03:04:05Z","eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","readOnly":false,` +
		`"eventID":"11111111-1111-4111-8111-111111111111","recipientAccountId":"123456789012"}]}`
	if _, err := z.Write([]byte(trail)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"logs/one.json.gz": zipped.String(), "logs/two.json": trail, ".curlrc": "fail-with-body\nshow-error\n",
		"event.json": `{"action":"user.delete"}`, "correction.json": `{"action":"record.correct"}`, "events.ndjson": `{"action":"user.delete"}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(annals, filepath.Join(dir, "bin", "annals")); err != nil {
		t.Fatal(err)
	}
}
