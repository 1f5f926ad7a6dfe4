package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
)

// ask reads a command line as a question.
func ask(t *testing.T, now time.Time, args ...string) (*audit.Query, error) {
	t.Helper()
	cmd := &cobra.Command{Use: "x"}
	q := questionFlags(cmd, "newest")
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return q.query(now)
}

// Every dimension that can be compared is a flag, and the flag means it.
func TestEveryDimensionIsAFlag(t *testing.T) {
	for _, d := range audit.Dimensions() {
		if d.Ops&audit.OpIs == 0 {
			continue
		}
		values := []string{"1", "2"}
		switch d.Kind {
		case audit.Flag:
			values = []string{"false", "true"}
		case audit.Identity:
			values = []string{audit.NewID().String(), audit.NewID().String()}
		}
		name := "--" + strings.ReplaceAll(d.Name, "_", "-")
		got, err := ask(t, time.Now(), name, values[0], name, values[1])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff([]audit.Filter{audit.Is(d.Name, values...)}, got.Filters); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestQuestionOfEveryFlag(t *testing.T) {
	now := time.Date(2026, 9, 30, 12, 0, 0, 0, time.UTC)
	minimum := int64(100_000)
	for _, tc := range []struct {
		args []string
		want audit.Query
	}{
		{nil, audit.Query{}},
		{[]string{"--since", "24h", "--to", "2026-09-30"}, audit.Query{From: now.Add(-24 * time.Hour), To: now.Add(-12 * time.Hour)}},
		{[]string{"-q", "access denied", "--order", "oldest"}, audit.Query{Text: "access denied", Order: audit.OldestFirst}},
		{[]string{"--open"}, audit.Query{Open: true}},
		{[]string{"--phase", "intent"}, audit.Query{Filters: []audit.Filter{audit.Is("outcome", "pending")}}},
		{[]string{"-w", "metadata.a=b", "-w", "actor!=x", "-w", "action^=tool.", "-w", "duration_ms>=100"}, audit.Query{Filters: []audit.Filter{
			audit.Prefix("action", "tool."), audit.Not("actor", "x"), {Field: "duration_ms", Op: audit.OpRange, Min: &minimum}, audit.Is("metadata.a", "b"),
		}}},
		{[]string{"--tenant="}, audit.Query{Filters: []audit.Filter{audit.Is("tenant", "")}}},
	} {
		got, err := ask(t, now, tc.args...)
		if err != nil {
			t.Errorf("%q: %v", tc.args, err)
			continue
		}
		slices.SortFunc(got.Filters, func(a, b audit.Filter) int { return strings.Compare(a.Field, b.Field) })
		if diff := cmp.Diff(tc.want, *got); diff != "" {
			t.Errorf("%q: %s", tc.args, diff)
		}
	}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä 日本 👍": "plain ä 日本 👍", "\x1b[31m": "␛[31m", "a\nb\tc\r": "a␊b␉c␍", "\x00\x7f": "␀␡",
		"\u009b2J": "·2J", "a\u202eb\u2066c": "a·b·c", "\u2028\u200b": "··", "\xff": "\ufffd",
	} {
		if got := safe(in); got != want {
			t.Errorf("safe(%q) = %q, want %q", in, got, want)
		}
	}
	if got := cell(strings.Repeat("é", 100)); got != strings.Repeat("é", maxCell-1)+"…" {
		t.Errorf("a long cell: %q", got)
	}
	if cell("") != "-" {
		t.Error("an empty cell")
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", 0.0004: "0", 0.081: "0.081", 1.5: "1.5", 57.5: "57.5", 99.96: "100", 100: "100", 1234.5: "1234", 1e9: "1000000000",
	} {
		if got := number(in); got != want {
			t.Errorf("number(%v) = %s, want %s", in, got, want)
		}
	}
}
