package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/postgres"
)

// monthNames names n months from one on, in UTC.
func monthNames(from time.Time, n int) (out []string) {
	y, m, _ := from.UTC().Date()
	for i := range n {
		out = append(out, time.Date(y, m+time.Month(i), 1, 0, 0, 0, 0, time.UTC).Format("2006-01"))
	}
	return out
}

func TestPartitions(t *testing.T) {
	url := enginetest.Postgres(t)
	past := time.Now().UTC().AddDate(0, -8, 0)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url, RollupInterval: -1, Now: func() time.Time { return past }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Log(t.Context(), &audit.Event{Action: "thing.update"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	at := []string{"--set", "audit.backend=postgres", "--set", "audit.url=" + url}
	annals := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := call(t, "", append(args, at...)...)
		if code != exitOK {
			t.Fatalf("annals %q: exit code %d: %s", args, code, stderr)
		}
		return stdout
	}
	has := func(got string, lines int, parts ...string) {
		t.Helper()
		if n := strings.Count(got, "\n"); n != lines {
			t.Errorf("%d lines, want %d: %s", n, lines, got)
		}
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("%q is not in %s", part, got)
			}
		}
	}
	table := func(month string) string { return "annals_records_" + strings.ReplaceAll(month, "-", "_") }

	old, next := monthNames(past, 4), monthNames(time.Now(), 3)[1:]
	has(annals("partitions", "list"), 5, table(old[0]), table(old[3]), "default")
	has(annals("partitions", "ensure", "2", "--dry-run"), 2, `{"month":"`+next[0]+`","made":false}`, `{"month":"`+next[1]+`","made":false}`)
	has(annals("partitions", "list", "-o", "table"), 6, "NAME ", table(old[1]))
	has(annals("partitions", "ensure", "2"), 2, `{"month":"`+next[0]+`","made":true}`)
	has(annals("partitions", "ensure", "2"), 0)
	has(annals("partitions", "list"), 7, table(next[0]), table(next[1]))
	has(annals("partitions", "drop", "--older-than-days", "100", "--dry-run"), 4, table(old[0]), table(old[3]))
	has(annals("partitions", "list"), 7)
	has(annals("partitions", "drop", "--older-than-days", "100"), 4, table(old[0]))
	has(annals("partitions", "drop", "--older-than-days", "100"), 0)
	has(annals("partitions", "list"), 3)
	has(annals("verify"), 1, `"valid":true`, "older than 100 days")

	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"partitions", "drop"}, exitUsage, "--older-than-days is required"},
		{[]string{"partitions", "drop", "--older-than-days", "0"}, exitUsage, "days: is 0"},
		{[]string{"partitions", "ensure", "many"}, exitUsage, "MONTHS"},
		{[]string{"partitions", "ensure", "1000"}, exitUsage, "months: is 1000"},
		{[]string{"partitions", "list", "--set", "audit.backend=memory"}, exitUsage, "no partitions"},
		{[]string{"partitions", "list", "--set", "audit.enabled=false"}, exitUsage, "audit.enabled"},
		{[]string{"partitions", "list", "--server", "http://127.0.0.1:1"}, exitUsage, "--server has no meaning"},
	} {
		args := append(append([]string{}, at...), c.args...) // of two settings the last holds
		if _, stderr, code := call(t, "", args...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("annals %q: exit code %d: %s; want %d and %q", c.args, code, stderr, c.code, c.want)
		}
	}
}
