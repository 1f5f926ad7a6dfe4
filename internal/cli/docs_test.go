package cli

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// Every shell block of the documents that calls annals or curl runs as it
// stands, against a server in the same folder: what a newcomer pastes works.
func TestDocumentedCommands(t *testing.T) {
	path, err := exec.LookPath("annals")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range documents(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var blocks []string
		for _, m := range shBlock.FindAllSubmatch(text, -1) {
			if block := string(m[1]); runnable(block) {
				blocks = append(blocks, block)
			}
		}
		if len(blocks) == 0 {
			continue
		}
		ran += len(blocks)
		t.Run(strings.TrimPrefix(page, "../../"), func(t *testing.T) { runBlocks(t, path, blocks) })
	}
	if ran < 3 {
		t.Errorf("only %d blocks were found in the documents", ran)
	}
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

func documents(t *testing.T) []string {
	found := []string{"../../README.md"}
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// runnable reports whether a block begins with what this test has: not make, not a server.
func runnable(block string) bool {
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		return (word == "annals" || word == "bin/annals" || word == "curl") && !strings.HasPrefix(rest, "serve")
	}
	return false
}

func runBlocks(t *testing.T, annals string, blocks []string) {
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
	for _, block := range blocks {
		sh := exec.Command("sh", "-eu", "-c", strings.ReplaceAll(block, "http://127.0.0.1:8480", m[1]))
		sh.Dir = dir
		sh.Env = append(os.Environ(), "CURL_HOME="+dir)
		if out, err := sh.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s\n%s", err, block, out)
		} else if bytes.Contains(out, []byte(`"rejected"`)) {
			t.Errorf("an example event is rejected:\n%s\n%s", block, out)
		}
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
		"event.json": `{"action":"user.delete"}`, "events.ndjson": `{"action":"user.delete"}`,
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
