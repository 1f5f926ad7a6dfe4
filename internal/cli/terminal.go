package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
)

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// safe makes a text harmless for a terminal and keeps it on its line: who can
// choose an action's name must not be able to move the cursor, hide a line or
// forge one. Controls are shown by their pictures (U+2400 and on), what else is
// invisible or turns the direction of writing by a dot.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x20:
			return 0x2400 + r
		case r == 0x7f:
			return 0x2421
		case !unicode.IsGraphic(r):
			return '·'
		}
		return r
	}, s)
}

// maxCell is the longest cell of a table in characters.
const maxCell = 60

// cell is a text for a table: safe, and short enough to leave room for others.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	s = safe(s)
	if runes := []rune(s); len(runes) > maxCell {
		return string(runes[:maxCell-1]) + "…"
	}
	return s
}

// progressLine shows how far long work is, on a terminal only and at most five
// times a second.
type progressLine struct {
	w    io.Writer
	on   bool
	last time.Time
}

func newProgress(stderr io.Writer) *progressLine {
	return &progressLine{w: stderr, on: isTerminal(stderr)}
}

func (p *progressLine) show(format string, args ...any) {
	if !p.on || time.Since(p.last) < 200*time.Millisecond {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
}

// clear takes the line away, so that something else can be written there.
func (p *progressLine) clear() {
	if p.on && !p.last.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.last = time.Time{}
	}
}
