package cli

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/internal/enginetest"
)

// The roles of the page of PostgreSQL are made as it says, on a server of their
// own, and then the program runs as it says: the owner makes the tables and
// deletes, the server's user records and reads, and can do nothing else.
func TestDocumentedGrants(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: it starts a server")
	}
	server := enginetest.StartPostgres(t, enginetest.PostgresOptions{})
	as := func(database, user string) string {
		u, err := url.Parse(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.Path, u.User = "/"+database, url.User(user)
		return u.String()
	}
	run := func(address string, statements ...string) (err error) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for _, s := range statements {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}
	address := server.URL()
	blocks, _, _ := parts(t, "docs/backends/postgres.md")
	ran := 0
	for _, b := range blocks {
		if b.info != "sql" {
			continue
		}
		for line := range strings.Lines(b.text) {
			line = strings.TrimSpace(line)
			if to, ok := strings.CutPrefix(line, `\c `); ok {
				database, user, _ := strings.Cut(to, " ")
				address = as(database, user)
			} else if err := run(address, line); err != nil {
				t.Fatalf("%s:%d: %s: %v", b.page, b.line, line, err)
			} else {
				ran++
			}
		}
	}
	if ran < 5 {
		t.Fatalf("only %d statements were found", ran)
	}
	annals, err := exec.LookPath("annals")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	layOut(t, dir, annals)
	owner, app := as("annals", "annals_owner"), as("annals", "annals_app")
	appEnv := []string{
		"AUDIT_TRAIL_BACKEND=postgres", "AUDIT_TRAIL_SPOOL_DIR=" + dir + "/spool", "AUDIT_TRAIL_URL=" + app,
		"AUDIT_TRAIL_POSTGRES_MIGRATE=false", "AUDIT_TRAIL_POSTGRES_ROLLUP_INTERVAL_SECONDS=0",
	}
	ownerEnv := []string{"AUDIT_TRAIL_BACKEND=postgres", "AUDIT_TRAIL_SPOOL_DIR=" + dir + "/spool", "AUDIT_TRAIL_URL=" + owner}
	for _, step := range []struct {
		env     []string
		command string
	}{
		{ownerEnv, "annals migrate"},
		{appEnv, "annals migrate --check"},
		{appEnv, "annals record event.json"},
		{appEnv, "annals query --since 1h"},
		{appEnv, "annals stats overview --since 1h"},
		{appEnv, "annals retention holds add --reason 'case 7' tenant=acme"},
		{appEnv, "annals verify"},
		{ownerEnv, "annals partitions ensure 2"},
		{ownerEnv, "annals retention run"},
		{ownerEnv, "annals verify"},
	} {
		runBlock(t, dir, fenced{page: "docs/backends/postgres.md", text: step.command}, step.env...)
	}
	for _, s := range []string{
		"UPDATE annals_records SET actor = 'x'", "DELETE FROM annals_records", "TRUNCATE annals_records",
		"DELETE FROM annals_batches", "UPDATE annals_batches SET scope = scope", "DELETE FROM annals_documents", "DROP TABLE annals_records",
	} {
		if err := run(app, s); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s as annals_app: %v, want no privilege", s, err)
		}
	}
}

// The SQL of ClickHouse's page needs users and clusters that the server of the
// tests has not: the server reads it, and runs it not.
func TestDocumentedClickHouse(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: it starts a server")
	}
	options, err := clickhouse.ParseDSN(enginetest.ClickHouse(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	format := func(statement string) (out string, err error) {
		err = conn.QueryRow(t.Context(), "SELECT formatQuery(?)", statement).Scan(&out)
		return out, err
	}
	if _, err := format("GRANT NONSENSE ON annals.* TO annals"); err == nil {
		t.Fatal("the server takes anything")
	}
	read := 0
	blocks, _, _ := parts(t, "docs/backends/clickhouse.md")
	for _, b := range blocks {
		if b.info != "sql" {
			continue
		}
		for statement := range strings.SplitSeq(b.text, ";\n") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			read++
			if _, err := format(statement); err != nil {
				t.Errorf("%s:%d: %s: %v", b.page, b.line, statement, err)
			}
		}
	}
	if read < 5 {
		t.Errorf("only %d statements were found", read)
	}
}
