package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

var victim = storetest.Victim

// evidence makes a file with the chains of storetest.Evidence over several blocks.
func evidence(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "evidence.db")
	s, err := Open(t.Context(), Options{Path: path, LosePowerFailure: true})
	if err != nil {
		t.Fatal(err)
	}
	s.fill = 9
	for _, batch := range storetest.Evidence() {
		chainAll(t, s, batch)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// copyOf copies the file of the evidence.
func copyOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(c, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func tamper(t *testing.T, path string, statements ...string) *Store {
	t.Helper()
	path = copyOf(t, path)
	c := stranger(t, path)
	for _, sql := range statements {
		c.must(t, sql)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, Options{Path: path, LosePowerFailure: true})
}

func TestUntouchedEvidenceVerifies(t *testing.T) {
	s := tamper(t, evidence(t), "SELECT 1")
	if b := storetest.FirstBreak(t, s); b != nil {
		t.Errorf("%+v", b)
	}
}

// Every column of every record's row, where it has a value and where it has
// none, is covered: an edit is found, at the right sequence.
func TestEveryColumnIsCovered(t *testing.T) {
	path := evidence(t)
	c := stranger(t, copyOf(t, path))
	for _, table := range []string{"annals_records", "annals_bodies"} {
		for _, column := range columns(t, c, table) {
			for _, sequence := range []int64{20, 21} {
				t.Run(fmt.Sprintf("%s.%s at %d", table, column.name, sequence), func(t *testing.T) {
					edit := map[string]string{
						"TEXT":    "CASE ifnull(%[1]s, '') WHEN '' THEN 'x' ELSE substr(%[1]s, 2) || 'y' END",
						"INTEGER": "ifnull(%[1]s, 0) + 1",
						"BLOB":    "CAST(x'00' || substr(ifnull(%[1]s, zeroblob(16)), 2) AS BLOB)",
					}[column.kind]
					if column.name == "n" {
						edit = "%[1]s + 100" // a place that is free
					}
					if column.name == "scope" || column.name == "sequence" {
						edit = "%[1]s + 1000"
					}
					s := tamper(t, path, fmt.Sprintf("UPDATE %s SET %s = %s WHERE n = (SELECT n FROM annals_records WHERE sequence = %d AND scope = (SELECT scope FROM annals_scopes WHERE tenant = 'victim'))",
						table, column.name, fmt.Sprintf(edit, column.name), sequence))
					want := storetest.Tampering{Sequence: sequence, Reason: chain.ReasonContent}
					if column.name == "scope" || column.name == "sequence" {
						want.Reason = chain.ReasonMissing
					}
					want.Check(t, s)
				})
			}
		}
	}
}

type tableColumn struct{ name, kind string }

func columns(t *testing.T, c *conn, table string) (out []tableColumn) {
	t.Helper()
	st, err := c.stmt("SELECT name, type FROM pragma_table_info('" + table + "')")
	if err != nil {
		t.Fatal(err)
	}
	for {
		more, err := st.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return out
		}
		out = append(out, tableColumn{st.ColumnText(0), st.ColumnText(1)})
	}
}

// What is done to rows as a whole, and to the tables beside the records.
func TestTampering(t *testing.T) {
	path := evidence(t)
	const (
		scope = "(SELECT scope FROM annals_scopes WHERE tenant = 'victim')"
		at    = "scope = " + scope + " AND sequence = "
		n     = "(SELECT n FROM annals_records WHERE " + at
	)
	all := strings.Join(allNames(), ", ")
	bodies := strings.Join(namesOf(bodyColumns), ", ")
	common := map[string][]string{
		"the first record deleted":    {"DELETE FROM annals_records WHERE " + at + "1"},
		"one deleted from the middle": {"DELETE FROM annals_records WHERE " + at + "17"},
		"the last deleted":            {"DELETE FROM annals_records WHERE " + at + "40"},
		"the tail after 30 deleted":   {"DELETE FROM annals_records WHERE scope = " + scope + " AND sequence > 30"},
		"all deleted":                 {"DELETE FROM annals_records WHERE scope = " + scope},
		"12 and 14 swapped": {
			"UPDATE annals_records SET sequence = 1000 WHERE " + at + "12",
			"UPDATE annals_records SET sequence = 12 WHERE " + at + "14",
			"UPDATE annals_records SET sequence = 14 WHERE " + at + "1000",
		},
		"5 inserted again at the end": {insertCopy(all, 5, "sequence = 41")},
		"5 replayed at the end with the head": {
			insertCopy(all, 5, "sequence = 41"),
			"INSERT INTO annals_bodies(n, " + bodies + ") SELECT 900000, " + bodies + " FROM annals_bodies WHERE n = " + n + "5)",
			"UPDATE annals_heads SET sequence = 41, hash = (SELECT hash FROM annals_bodies WHERE n = 900000) WHERE scope = " + scope,
		},
		"sequence 5 twice":         {"DROP INDEX annals_records_chain", insertCopy(all, 5, "id = randomblob(16)")},
		"all renumbered":           {"DROP INDEX annals_records_chain", "UPDATE annals_records SET sequence = sequence + 1 WHERE scope = " + scope},
		"9 taken out of the chain": {"UPDATE annals_records SET sequence = NULL WHERE " + at + "9"},
		"the bystander's 9 put in its place": {
			"DELETE FROM annals_records WHERE " + at + "9",
			"UPDATE annals_records SET scope = " + scope + " WHERE sequence = 9 AND scope <> " + scope,
		},
		"the head moved back to 30":   {"UPDATE annals_heads SET sequence = 30, hash = (SELECT hash FROM annals_bodies WHERE n = " + n + "30)) WHERE scope = " + scope},
		"the head moved on":           {"UPDATE annals_heads SET sequence = sequence + 1 WHERE scope = " + scope},
		"the head's hash":             {"UPDATE annals_heads SET hash = randomblob(32) WHERE scope = " + scope},
		"the head's hash made longer": {"UPDATE annals_heads SET hash = CAST(hash || x'00' AS BLOB) WHERE scope = " + scope},
		"the head given to nobody":    {"UPDATE annals_heads SET scope = 77 WHERE scope = " + scope},
		"the head deleted":            {"DELETE FROM annals_heads WHERE scope = " + scope},
		"the tenant renamed":          {"UPDATE annals_scopes SET tenant = 'nobody' WHERE tenant = 'victim'"},
		"the namespace renamed":       {"UPDATE annals_scopes SET namespace = 'nowhere' WHERE tenant = 'victim'"},
		"the names deleted":           {"DELETE FROM annals_scopes WHERE tenant = 'victim'"},
	}
	type tampering struct {
		storetest.Tampering
		sql []string
	}
	list := []tampering{
		{storetest.Tampering{Name: "several deleted", Sequence: 10, Reason: chain.ReasonMissing}, []string{"DELETE FROM annals_records WHERE scope = " + scope + " AND sequence BETWEEN 10 AND 20"}},
		{storetest.Tampering{Name: "its documents deleted", Sequence: 22, Reason: chain.ReasonContent}, []string{"DELETE FROM annals_bodies WHERE n = " + n + "22)"}},
		{storetest.Tampering{Name: "all documents deleted", Sequence: 1, Reason: chain.ReasonContent}, []string{"DELETE FROM annals_bodies"}},
		{storetest.Tampering{Name: "the documents of two swapped", Sequence: 12, Reason: chain.ReasonContent}, []string{
			"CREATE TEMP TABLE a AS SELECT * FROM annals_bodies WHERE n = " + n + "12)",
			"CREATE TEMP TABLE b AS SELECT * FROM annals_bodies WHERE n = " + n + "14)",
			"UPDATE annals_bodies SET (" + bodies + ") = (SELECT " + bodies + " FROM b) WHERE n = " + n + "12)",
			"UPDATE annals_bodies SET (" + bodies + ") = (SELECT " + bodies + " FROM a) WHERE n = " + n + "14)",
		}},
		{storetest.Tampering{Name: "the scope renumbered", Sequence: 1, Reason: chain.ReasonContent}, []string{"UPDATE annals_scopes SET scope = 77 WHERE tenant = 'victim'"}},
		{storetest.Tampering{Name: "a block deleted", Sequence: 0, Reason: chain.ReasonContent}, []string{"DELETE FROM annals_blocks WHERE block = 3"}},
		{storetest.Tampering{Name: "a block renumbered", Sequence: 0, Reason: chain.ReasonContent}, []string{"UPDATE annals_blocks SET block = 99 WHERE block = 3"}},
		{storetest.Tampering{Name: "a block hidden from newer times", Sequence: 0, Reason: chain.ReasonContent}, []string{"UPDATE annals_blocks SET max_occurred = min_occurred WHERE block = 3"}},
		{storetest.Tampering{Name: "a block hidden from older times", Sequence: 0, Reason: chain.ReasonContent}, []string{"UPDATE annals_blocks SET min_occurred = max_occurred WHERE block = 3"}},
		{storetest.Tampering{Name: "a block hidden from retention", Sequence: 0, Reason: chain.ReasonContent}, []string{"UPDATE annals_blocks SET min_recorded = min_recorded + 1 WHERE block = 3"}},
		{storetest.Tampering{Name: "a block hidden from expiry", Sequence: 0, Reason: chain.ReasonContent}, []string{"UPDATE annals_blocks SET min_expires = NULL WHERE block = 3"}},
		{storetest.Tampering{Name: "a block hidden from expiry for longer", Sequence: 0, Reason: chain.ReasonContent}, []string{"UPDATE annals_blocks SET min_expires = min_expires + 1 WHERE block = 3"}},
		{storetest.Tampering{Name: "a block hidden from metadata", Sequence: 0, Reason: chain.ReasonContent}, []string{"UPDATE annals_blocks SET escaped = 0 WHERE block = 3"}},
		{storetest.Tampering{Name: "an id made longer", Sequence: 8, Reason: chain.ReasonContent}, []string{"UPDATE annals_records SET id = CAST(id || x'00' AS BLOB) WHERE " + at + "8"}},
		{storetest.Tampering{Name: "an id made shorter", Sequence: 8, Reason: chain.ReasonContent}, []string{"UPDATE annals_records SET id = substr(id, 1, 15) WHERE " + at + "8"}},
	}
	for _, c := range storetest.Tamperings() {
		list = append(list, tampering{c, common[c.Name]})
	}
	for _, c := range list {
		t.Run(c.Name, func(t *testing.T) { c.Check(t, tamper(t, path, c.sql...)) })
	}
}

func namesOf(fields []*audit.Field) (out []string) {
	for _, f := range fields {
		out = append(out, f.Name)
	}
	return out
}

func allNames() []string { return append([]string{"scope"}, namesOf(recordColumns)...) }

// insertCopy inserts a copy of a record in which one column has another value.
func insertCopy(names string, sequence int, change string) string {
	column, value, _ := strings.Cut(change, " = ")
	values := strings.Split(names, ", ")
	values[slices.Index(values, column)] = value
	if column != "id" {
		values[slices.Index(values, "id")] = "randomblob(16)"
	}
	return fmt.Sprintf("INSERT INTO annals_records(n, %s) SELECT 900000, %s FROM annals_records WHERE scope = (SELECT scope FROM annals_scopes WHERE tenant = 'victim') AND sequence = %d",
		names, strings.Join(values, ", "), sequence)
}

// Values of another type would read alike and not be found by questions; the
// tables refuse them.
func TestColumnsKeepTheirTypes(t *testing.T) {
	c := stranger(t, copyOf(t, evidence(t)))
	for _, f := range allColumns {
		table, value := "annals_records", "x'6162'"
		if slices.Contains(bodyColumns, f) {
			table = "annals_bodies"
		}
		if columnType(f) == "BLOB" {
			value = "'text'"
		}
		err := c.run("UPDATE " + table + " SET " + f.Name + " = " + value)
		if z.ErrCode(err).ToPrimary() != z.ResultConstraint {
			t.Errorf("%s takes %s: %v", f.Name, value, err)
		}
	}
}

// Somebody who removed a chain's head and continues the chain anew is stopped.
func TestAppendAfterTheHeadWasRemoved(t *testing.T) {
	s := tamper(t, evidence(t), "DELETE FROM annals_heads")
	r := &audit.Record{Kind: audit.KindEvent, RecordedAt: storetest.CorpusStart, Event: audit.Event{
		ID: audit.NewID(), Namespace: victim.Namespace, Tenant: victim.Tenant, OccurredAt: storetest.CorpusStart, Action: "a.read",
	}}
	_, err := s.AppendChained(t.Context(), []*audit.Record{r})
	if audit.CodeOf(err) != audit.CodeInternal || !strings.Contains(err.Error(), "verify it") {
		t.Errorf("got %v", err)
	}
	if r.Sequence != 0 || !r.Hash.IsZero() {
		t.Errorf("the record kept the place %d that it did not get", r.Sequence)
	}
}
