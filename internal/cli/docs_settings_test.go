package cli

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annals-dev/annals/internal/config"
)

// Every TOML block of the documents is settings that the program takes.
func TestDocumentedSettings(t *testing.T) {
	seen := 0
	for _, name := range documents(t) {
		blocks, _, _ := parts(t, name)
		for _, b := range blocks {
			if b.info != "toml" {
				continue
			}
			seen++
			path := filepath.Join(t.TempDir(), "annals.toml")
			if err := os.WriteFile(path, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Input{File: path}); err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d blocks of settings were found", seen)
	}
}

// Go blocks are statements that the compiler could read; an ellipsis stands for what is left out.
func TestDocumentedGo(t *testing.T) {
	seen := 0
	for _, name := range documents(t) {
		blocks, _, _ := parts(t, name)
		for _, b := range blocks {
			if b.info != "go" {
				continue
			}
			seen++
			text := strings.NewReplacer(", …}", "}", "…", "").Replace(b.text)
			if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+text+"}\n", 0); err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
		}
	}
	if seen < 3 {
		t.Errorf("only %d blocks of Go were found", seen)
	}
}

// The example files are settings that the program takes, and those of SQLite
// run: an event goes in, and the chain verifies.
func TestExampleSettings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/manage/examples/*.toml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d example files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(config.Input{File: path})
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Audit.Backend == "sqlite" {
				serveExample(t, path)
			}
		})
	}
}

func serveExample(t *testing.T, file string) {
	annals, err := exec.LookPath("annals")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	server := &process{cmd: exec.Command(annals, "serve", "--config", file, "--addr", "127.0.0.1:0",
		"--set", "audit.url="+filepath.Join(dir, "annals.db"), "--set", "log.format=text", "--set", "log.level=info")}
	server.cmd.Dir = dir
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	defer server.end()
	m, err := server.await(listening)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ stdin, args, want string }{
		{`{"action":"user.delete","metadata":{"password":"hunter2"}}`, "record", `"status":"recorded"`},
		{"", "query -o json", "user.delete"},
		{"", "verify", `"valid":true`},
	} {
		stdout, stderr, code := call(t, c.stdin, append(strings.Fields(c.args), "--server", m[1])...)
		if code != exitOK || !strings.Contains(stdout, c.want) {
			t.Errorf("annals %s: exit code %d, %s%s; want %s", c.args, code, stdout, stderr, c.want)
		}
		if strings.Contains(file, "security") && strings.Contains(stdout, "hunter2") {
			t.Errorf("annals %s shows a password that the settings redact: %s", c.args, stdout)
		}
	}
}
