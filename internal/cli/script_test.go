package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/annals-dev/annals/store/sqlite"
)

func TestMain(m *testing.M) {
	// Under the race detector a program would sleep for a second at its end.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // a constant name is always fine
	commands := map[string]func(){
		"annals": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	}
	if _, err := exec.LookPath("curl"); err != nil || filepath.Base(os.Args[0]) == "curl" {
		commands["curl"] = curl
	}
	testscript.Main(m, commands)
}

//go:generate env UPDATE=1 go test -run "TestScripts|TestLocalAndServerAlike" .

// Each script runs the real program, as a process of its own, in a folder of
// its own. harness_test.go has the commands that testscript lacks.
func TestScripts(t *testing.T) {
	testscript.Run(t, params("testdata/script", func(*testscript.Env) error { return nil }))
}

// The same scripts on a local store and on a server: $AT is the flag that makes
// the difference, and nothing else may. annals-data/annals.db is the store of both.
func TestLocalAndServerAlike(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		testscript.Run(t, params("testdata/both", func(e *testscript.Env) error {
			e.Setenv("AUDIT_TRAIL_LEVEL", "all")
			e.Setenv("AT", "--set=log.level=info") // which is the default
			// A server has made its store before the first question; a question makes none.
			store, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(e.WorkDir, "annals-data", "annals.db")})
			if err != nil {
				return err
			}
			return store.Close()
		}))
	})
	t.Run("server", func(t *testing.T) {
		testscript.Run(t, params("testdata/both", func(e *testscript.Env) error {
			e.Setenv("AUDIT_TRAIL_LEVEL", "all")
			e.Setenv("AUDIT_TRAIL_CLEANUP_ENABLED", "false") // a local store deletes when it is asked only
			url, err := startServer(e)
			e.Setenv("AT", "--server="+url)
			return err
		}))
	})
}

func params(dir string, setup func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir: dir, RequireUniqueNames: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Values[background] = processes{}
			e.Setenv("GORACE", os.Getenv("GORACE"))
			return setup(e)
		},
		Condition: func(name string) (bool, error) { return name == "root" && os.Geteuid() == 0, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "start": cmdStart, "await": cmdAwait, "finish": cmdFinish, "until": cmdUntil,
			"http": cmdHTTP, "sql": cmdSQL, "events": cmdEvents, "raw": cmdRaw,
		},
	}
}

// startServer runs a server in the script's folder until the script ends.
func startServer(e *testscript.Env) (url string, err error) {
	path, err := exec.LookPath("annals")
	if err != nil {
		return "", err
	}
	p := &process{cmd: exec.Command(path, "serve", "--addr", "127.0.0.1:0")}
	p.cmd.Dir, p.cmd.Env = e.WorkDir, e.Vars
	if err := p.start(); err != nil {
		return "", err
	}
	e.Defer(p.end)
	m, err := p.await(listening)
	if err != nil {
		return "", err
	}
	return m[1], nil
}
