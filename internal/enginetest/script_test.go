package enginetest

import (
	"archive/zip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// script runs scripts/engines with an empty cache and a mvn of our own.
type script struct {
	path, cache, tools string
}

func newScript(t *testing.T, mvn string) script {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	s := script{filepath.Join(root, "scripts", "engines"), filepath.Join(t.TempDir(), "cache"), t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.tools, "mvn"), []byte("#!/bin/sh\n"+mvn), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s script) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	var e strings.Builder
	cmd := exec.CommandContext(t.Context(), s.path, args...)
	cmd.Env = append(os.Environ(), "ANNALS_ENGINE_CACHE="+s.cache, "PATH="+s.tools+":"+os.Getenv("PATH"))
	cmd.Stderr = &e
	out, err := cmd.Output()
	return string(out), e.String(), err
}

// notInstalled is a version that the system does not have, so that it is fetched.
func notInstalled(t *testing.T) string {
	t.Helper()
	for _, version := range []string{"16", "17", "18"} {
		if !isFile(filepath.Join("/usr/lib/postgresql", version, "bin/postgres")) {
			return version
		}
	}
	t.Skip("this system has every PostgreSQL")
	return ""
}

func TestScriptFetchesOnceForAll(t *testing.T) {
	version := notInstalled(t)
	s := newScript(t, `
for a in "$@"; do case $a in -DoutputDirectory=*) to=${a#*=} ;; esac; done
here=$(dirname "$0")
echo called >>"$here/calls"
cp "$here/jar" "$to/embedded.jar"
`)
	writeJar(t, s.tools)
	if out, _, err := s.run(t, "-n", "postgres", version); out != "" || err != nil {
		t.Fatalf("-n on an empty cache: %q, %v", out, err)
	}
	outs := make([]string, 3)
	var wg sync.WaitGroup
	for i := range outs {
		wg.Go(func() {
			out, stderr, err := s.run(t, "postgres", version)
			if outs[i] = out; err != nil {
				t.Errorf("%v: %s", err, stderr)
			}
		})
	}
	wg.Wait()
	f := strings.Split(strings.TrimSpace(outs[0]), "\t")
	if len(f) != 3 || f[0] != "postgres" || f[1] != version || !isFile(filepath.Join(f[2], "initdb")) || outs[1] != outs[0] || outs[2] != outs[0] {
		t.Errorf("printed %q", outs)
	}
	if _, err := exec.LookPath("flock"); err == nil {
		if calls, err := os.ReadFile(filepath.Join(s.tools, "calls")); string(calls) != "called\n" {
			t.Errorf("mvn was called: %q, %v", calls, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.cache, ".work.*"))
	if len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestScriptSaysWhatFailed(t *testing.T) {
	s := newScript(t, "echo 'no route to the repository'\nexit 1\n")
	out, stderr, err := s.run(t, "postgres", notInstalled(t))
	for _, want := range []string{"no route to the repository", "ANNALS_TEST_POSTGRES_BIN", "ANNALS_TEST_POSTGRES_URL"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in %q", want, stderr)
		}
	}
	if exit := new(exec.ExitError); !errors.As(err, &exit) || out != "" {
		t.Errorf("printed %q, %v", out, err)
	}
	t.Setenv("ANNALS_ENGINE_CACHE", s.cache)
	t.Setenv("PATH", s.tools+":"+os.Getenv("PATH"))
	if _, err := fetchNow(t.Context(), engine{"postgres", notInstalled(t)}); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "no route") {
		t.Errorf("fetch: %v", err)
	}
}

func TestScriptArguments(t *testing.T) {
	s := newScript(t, "exit 1\n")
	for _, args := range [][]string{{"oracle"}, {"postgres", "9"}, {"-n", "postgres", "9"}} {
		if out, stderr, err := s.run(t, args...); err == nil || !strings.Contains(stderr, "there is") || out != "" {
			t.Errorf("%v: %q, %q, %v", args, out, stderr, err)
		}
	}
}

// The script and this package name the same versions.
func TestScriptVersions(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "scripts", "engines"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "postgres_versions='" + OldestPostgres + " " + NewestPostgres + "'"; !strings.Contains(string(text), want) {
		t.Errorf("scripts/engines has not the line %s", want)
	}
}

// writeJar makes an archive like those that are fetched, with programs that do nothing.
func writeJar(t *testing.T, dir string) {
	t.Helper()
	bin := filepath.Join(dir, "tree", "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	txz, err := exec.CommandContext(t.Context(), "tar", "cJf", "-", "-C", filepath.Join(dir, "tree"), "bin").Output()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "jar"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("postgres-linux-x86_64.txz")
	if err == nil {
		_, err = w.Write(txz)
	}
	if err := errors.Join(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
