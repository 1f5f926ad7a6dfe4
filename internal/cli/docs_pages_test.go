package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the folder of the project, seen from this package.
const root = "../.."

// fenced is a block of a page between two lines of three backticks. The info
// string after the first three says what it is: "sh" is run, "sh ENGINE" is run
// on that engine, "sh checked" is not run but its commands must exist.
type fenced struct {
	page string // relative to the root
	line int    // of the first line of the text
	info string
	text string
}

// span is text between two backticks within a line.
type span struct {
	page string
	line int
	text string
}

// documents gives all pages of the project, relative to its root.
func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !d.IsDir() && filepath.Ext(path) == ".md" {
			rel, err := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var inline = regexp.MustCompile("`([^`]+)`")

// parts takes a page apart: its blocks, the spans of code in its text, and the
// text itself with blocks and spans left blank, so that lines keep their numbers.
func parts(t *testing.T, name string) (blocks []fenced, spans []span, prose []string) {
	t.Helper()
	var open *fenced
	for i, line := range strings.Split(page(t, name), "\n") {
		mark, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case open != nil && isFence && mark == "":
			blocks, open = append(blocks, *open), nil
			prose = append(prose, "")
		case open != nil:
			open.text += line + "\n"
			prose = append(prose, "")
		case isFence:
			open = &fenced{page: name, line: i + 2, info: strings.TrimSpace(mark)}
			prose = append(prose, "")
		default:
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				spans = append(spans, span{name, i + 1, m[1]})
			}
			prose = append(prose, line)
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block has no end", name, open.line)
	}
	return blocks, spans, prose
}

// words splits shell text into simple commands of words, well enough for what
// the documents hold: quotes, comments, line ends, pipes and redirections.
func words(text string) (commands [][]string) {
	var cmd []string
	var word strings.Builder
	begun, redirect := false, false
	endWord := func() {
		if begun && !redirect {
			cmd = append(cmd, word.String())
		}
		if begun {
			redirect = false
		}
		word.Reset()
		begun = false
	}
	endCommand := func() {
		endWord()
		if len(cmd) > 0 {
			commands = append(commands, cmd)
		}
		cmd, redirect = nil, false
	}
	rs := []rune(text)
	for i := 0; i < len(rs); i++ {
		switch r := rs[i]; {
		case r == '\\' && i+1 < len(rs):
			i++
			if rs[i] != '\n' {
				word.WriteRune(rs[i])
				begun = true
			}
		case r == '\'' || r == '"':
			begun = true
			for i++; i < len(rs) && rs[i] != r; i++ {
				word.WriteRune(rs[i])
			}
		case r == '#' && !begun:
			for i+1 < len(rs) && rs[i+1] != '\n' {
				i++
			}
		case r == '\n' || r == ';' || r == '|' || r == '&':
			endCommand()
		case r == '>' || r == '<':
			if word.String() == "2" { // 2>FILE
				word.Reset()
				begun = false
			}
			endWord()
			redirect = true
			if i+1 < len(rs) && rs[i+1] == '&' { // 2>&1
				i++
			}
		case r == ' ' || r == '\t':
			endWord()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	endCommand()
	for i, c := range commands { // VARIABLE=value in front of a command
		for len(c) > 1 && assignment.MatchString(c[0]) {
			c = c[1:]
		}
		commands[i] = c
	}
	return commands
}

var assignment = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*=`)
