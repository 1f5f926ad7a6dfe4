package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// ErrAbsent is the error where the programs of an engine are not on this machine
// and could not be fetched.
var ErrAbsent = errors.New("the engine is not on this machine")

// engine names the programs of one version of one engine.
type engine struct{ name, version string }

// fetched remembers what scripts/engines said, failures too: a fetch that failed
// is not tried again by every test.
var fetched = struct {
	sync.Mutex
	results map[engine]programs
}{results: map[engine]programs{}}

type programs struct {
	dir string
	err error
}

// fetch gives the folder of the engine's programs; scripts/engines gets them if need be.
func fetch(ctx context.Context, e engine) (string, error) {
	fetched.Lock()
	defer fetched.Unlock()
	r, ok := fetched.results[e]
	if !ok {
		r.dir, r.err = fetchNow(ctx, e)
		if ctx.Err() == nil {
			fetched.results[e] = r
		}
	}
	return r.dir, r.err
}

func fetchNow(ctx context.Context, e engine) (string, error) {
	lines, err := runScript(ctx, e.name, e.version)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %w", e.name, e.version, ErrAbsent, err)
	}
	for _, l := range lines {
		if l.engine == e {
			return l.dir, nil
		}
	}
	return "", fmt.Errorf("%s %s: %w: scripts/engines did not say where it is", e.name, e.version, ErrAbsent)
}

// present gives the versions of an engine that need no fetching.
func present(ctx context.Context, name string) (versions []string) {
	lines, err := runScript(ctx, "-n", name)
	if err != nil {
		return nil // the fetch that follows says why
	}
	for _, l := range lines {
		versions = append(versions, l.version)
	}
	return versions
}

type scriptLine struct {
	engine
	dir string
}

func runScript(ctx context.Context, args ...string) (lines []scriptLine, err error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts", "engines"), args...)
	cmd.Stderr = io.MultiWriter(&stderr, os.Stderr) // a fetch takes seconds: say so at once
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("scripts/engines: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("scripts/engines: the line %q is not engine, version, folder", line)
		}
		lines = append(lines, scriptLine{engine{f[0], f[1]}, f[2]})
	}
	return lines, nil
}

// moduleRoot is the nearest folder upwards that holds go.mod and scripts/engines.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if isFile(filepath.Join(dir, "go.mod")) && isFile(filepath.Join(dir, "scripts", "engines")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not in the source tree, so scripts/engines cannot be found", start)
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
