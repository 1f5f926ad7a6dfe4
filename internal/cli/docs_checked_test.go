package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/internal/config"
)

// foreign are programs that pages name and that no test here can judge: what
// they do is the business of their own manuals.
var foreign = []string{"aws", "sqlite3", "psql", "pg_dump", "pg_restore", "clickhouse-client", "systemctl", "df", "echo"}

// Every command of every page is run by TestDocumentedCommands or exists: the
// words and flags of annals, the targets of make, the packages and tests of go,
// the scripts. A block without a language holds no command.
func TestDocumentedCommandsExist(t *testing.T) {
	checked := 0
	for _, name := range documents(t) {
		blocks, spans, _ := parts(t, name)
		for _, b := range blocks {
			language, mark, _ := strings.Cut(b.info, " ")
			if language == "ini" { // a unit of systemd: its commands are those of a shell
				language, mark, b.text = "sh", "checked", unitCommands(b.text)
			}
			for _, c := range words(b.text) {
				switch {
				case language == "sh" && mark != "checked" && !runnable(b.text):
					t.Errorf("%s:%d: %q is not run: mark the block as ```sh checked", b.page, b.line, c[0])
				case language == "sh":
					checked++
					if err := exists(c, true); err != nil {
						t.Errorf("%s:%d: %q: %v", b.page, b.line, c, err)
					}
				case language == "" && isProgram(c):
					t.Errorf("%s:%d: the command %q is neither run nor checked: mark the block as ```sh", b.page, b.line, c)
				}
			}
		}
		for _, s := range spans {
			for _, c := range words(s.text) {
				if !isProgram(c) || slices.Contains(foreign, c[0]) || c[0] == "curl" {
					continue
				}
				checked++
				if err := exists(c, false); err != nil {
					t.Errorf("%s:%d: `%s`: %v", s.page, s.line, s.text, err)
				}
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d commands were found", checked)
	}
}

// The examples of the help texts are parsed like those of the pages.
func TestHelpExamples(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, words := range words(c.Example) {
			if err := exists(words, true); err != nil {
				t.Errorf("help of %s: %q: %v", c.CommandPath(), words, err)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

// What finds mistakes must find them.
func TestExistsRefuses(t *testing.T) {
	for _, text := range []string{
		"annals nonsense", "annals query --nonsense 3", "annals retention nonsense", "annals partitions ensure", "annals verify --set audit.nonsense=1",
		"make nonsense", "scripts/nonsense", "go test ./nonsense", "go test ./store/sqlite -bench BenchmarkNonsense", "nonsense --help",
	} {
		if err := exists(words(text)[0], true); err == nil {
			t.Errorf("%q was taken for a command", text)
		}
	}
}

var unitCommand = regexp.MustCompile(`(?m)^Exec\w+=/usr/local/bin/(.*)$`)

func unitCommands(unit string) (lines string) {
	for _, m := range unitCommand.FindAllStringSubmatch(unit, -1) {
		lines += m[1] + "\n"
	}
	return lines
}

func isProgram(c []string) bool {
	if len(c) < 2 && !strings.HasPrefix(c[0], "scripts/") {
		return false // a name in the text, not a command
	}
	return slices.Contains([]string{"annals", "bin/annals", "curl", "make", "go"}, c[0]) || strings.HasPrefix(c[0], "scripts/") || slices.Contains(foreign, c[0])
}

// exists reports whether there is such a command. In a text it may lack its arguments.
func exists(c []string, whole bool) error {
	switch {
	case c[0] == "annals" || c[0] == "bin/annals":
		return parses(c[1:], whole)
	case c[0] == "make":
		return isTarget(c[1:])
	case c[0] == "go":
		return isGo(c[1:])
	case strings.HasPrefix(c[0], "scripts/"):
		_, err := os.Stat(filepath.Join(root, c[0]))
		return err
	case c[0] == "curl" || slices.Contains(foreign, c[0]):
		return nil
	}
	return errors.New("no program that is known here")
}

func parses(args []string, whole bool) error {
	top := newRoot()
	cmd, rest, err := top.Find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 && rest[len(rest)-1] == "…" { // in a text: and so on
		rest, whole = rest[:len(rest)-1], false
	}
	if slices.Contains(rest, "--help") {
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	left := cmd.Flags().Args()
	if cmd.HasSubCommands() && !runsAlone(cmd) && len(left) > 0 {
		return fmt.Errorf("%q is no command of %s", left[0], cmd.CommandPath())
	}
	if sets, err := cmd.Flags().GetStringArray("set"); err == nil {
		for _, pair := range sets {
			key, _, ok := strings.Cut(pair, "=")
			if !ok || !isSetting(key) {
				return fmt.Errorf("%s is not a setting", key)
			}
		}
	}
	if !whole && len(left) == 0 {
		return nil
	}
	return cmd.ValidateArgs(left)
}

func isSetting(key string) bool {
	return slices.ContainsFunc(config.Settings(), func(s config.Setting) bool { return s.Key == key })
}

func isTarget(args []string) error {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return err
	}
	for _, a := range args {
		if !strings.Contains(a, "=") && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(a)+`:`).Match(text) {
			return fmt.Errorf("make has no target %s", a)
		}
	}
	return nil
}

// isGo checks that the packages of a go command are there, and that the tests
// and benchmarks that it names are in them.
func isGo(args []string) error {
	var folders []string
	for _, a := range args {
		if a == "." || strings.HasPrefix(a, "./") {
			folder := filepath.Join(root, strings.TrimSuffix(strings.TrimSuffix(a, "..."), "/"))
			if _, err := os.Stat(folder); err != nil {
				return err
			}
			folders = append(folders, folder)
		}
	}
	for i, a := range args[:max(len(args)-1, 0)] {
		want := args[i+1]
		if a != "-run" && a != "-bench" && a != "-fuzz" || want == "^$" || slices.Contains(args, "./...") {
			continue
		}
		top, _, _ := strings.Cut(want, "/")
		if err := isTest(folders, top); err != nil {
			return err
		}
	}
	return nil
}

func isTest(folders []string, pattern string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			return err
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && isTestName(fn.Name.Name) && re.MatchString(fn.Name.Name) {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("no test or benchmark matches %s", pattern)
}

func isTestName(name string) bool {
	return slices.ContainsFunc([]string{"Test", "Benchmark", "Fuzz", "Example"}, func(p string) bool { return strings.HasPrefix(name, p) })
}
