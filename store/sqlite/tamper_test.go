package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

var victim = audit.Scope{Namespace: "prod", Tenant: "victim"}

const victims = 40 // records of the chain that is tampered with

// evidence makes a file with two chains over several blocks. Of the victim's
// records the odd ones have every field and the even ones few.
func evidence(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "evidence.db")
	s, err := Open(t.Context(), Options{Path: path, LosePowerFailure: true})
	if err != nil {
		t.Fatal(err)
	}
	s.fill = 9
	for i := range victims {
		at := storetest.CorpusStart.Add(time.Duration(i) * time.Minute)
		r := &audit.Record{Kind: audit.KindEvent, RecordedAt: at, Level: "all", Event: audit.Event{
			ID: audit.NewID(), Namespace: victim.Namespace, Tenant: victim.Tenant, OccurredAt: at, Action: "thing.read",
		}}
		if i%2 == 1 {
			full(r)
		}
		other := storetest.Clone(r)
		other.Tenant = "bystander"
		chainAll(t, s, []*audit.Record{r, other})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// full sets every field that is empty and is not the chain's.
func full(r *audit.Record) {
	for _, f := range audit.Fields() {
		if !f.Absent(r) || slices.Contains([]string{"sequence", "segment", "prev_hash", "hash"}, f.Name) {
			continue
		}
		switch f.Kind {
		case audit.Text:
			f.SetText(r, "value of "+f.Name)
		case audit.Document:
			f.SetBytes(r, []byte(`{"document":"`+f.Name+`\n"}`))
		case audit.Number, audit.Flag, audit.Span:
			f.SetInt(r, 1)
		case audit.Instant:
			f.SetInt(r, audit.Micros(r.OccurredAt)+1)
		}
	}
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

// first verifies every chain and the victim's, and gives what is broken first
// in the victim's, or else in any.
func first(t *testing.T, s *Store) *chain.Break {
	t.Helper()
	heads, err := s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := []chain.Key{{Scope: victim}}
	for _, h := range heads {
		if h.Scope != victim {
			keys = append(keys, h.Key)
		}
	}
	for _, key := range keys {
		report, err := chain.Verify(t.Context(), s, key, chain.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if report.FirstBroken != nil {
			return report.FirstBroken
		}
	}
	return nil
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
	if b := first(t, s); b != nil {
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
					b := first(t, s)
					want := chain.ReasonContent
					if column.name == "scope" || column.name == "sequence" {
						want = chain.ReasonMissing
					}
					if b == nil || b.Sequence != sequence || b.Reason != want {
						t.Errorf("found %+v, want %s at %d", b, want, sequence)
					}
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
	for _, c := range []struct {
		name     string
		sql      []string
		sequence int64
		reason   chain.Reason
	}{
		{"the first record deleted", []string{"DELETE FROM annals_records WHERE " + at + "1"}, 1, chain.ReasonMissing},
		{"one deleted from the middle", []string{"DELETE FROM annals_records WHERE " + at + "17"}, 17, chain.ReasonMissing},
		{"several deleted", []string{"DELETE FROM annals_records WHERE scope = " + scope + " AND sequence BETWEEN 10 AND 20"}, 10, chain.ReasonMissing},
		{"the last deleted", []string{"DELETE FROM annals_records WHERE " + at + "40"}, 40, chain.ReasonTail},
		{"the tail deleted", []string{"DELETE FROM annals_records WHERE scope = " + scope + " AND sequence > 30"}, 31, chain.ReasonTail},
		{"all deleted", []string{"DELETE FROM annals_records WHERE scope = " + scope}, 1, ""},
		{"its documents deleted", []string{"DELETE FROM annals_bodies WHERE n = " + n + "22)"}, 22, chain.ReasonContent},
		{"all documents deleted", []string{"DELETE FROM annals_bodies"}, 1, chain.ReasonContent},
		{"two swapped", []string{
			"UPDATE annals_records SET sequence = 1000 WHERE " + at + "12",
			"UPDATE annals_records SET sequence = 12 WHERE " + at + "14",
			"UPDATE annals_records SET sequence = 14 WHERE " + at + "1000",
		}, 12, chain.ReasonContent},
		{"the documents of two swapped", []string{
			"CREATE TEMP TABLE a AS SELECT * FROM annals_bodies WHERE n = " + n + "12)",
			"CREATE TEMP TABLE b AS SELECT * FROM annals_bodies WHERE n = " + n + "14)",
			"UPDATE annals_bodies SET (" + bodies + ") = (SELECT " + bodies + " FROM b) WHERE n = " + n + "12)",
			"UPDATE annals_bodies SET (" + bodies + ") = (SELECT " + bodies + " FROM a) WHERE n = " + n + "14)",
		}, 12, chain.ReasonContent},
		{"one inserted at the end", []string{insertCopy(all, 5, "sequence = 41")}, 41, chain.ReasonBeyond},
		{"an old one replayed with the head", []string{
			insertCopy(all, 5, "sequence = 41"),
			"INSERT INTO annals_bodies(n, " + bodies + ") SELECT 900000, " + bodies + " FROM annals_bodies WHERE n = " + n + "5)",
			"UPDATE annals_heads SET sequence = 41, hash = (SELECT hash FROM annals_bodies WHERE n = 900000) WHERE scope = " + scope,
		}, 41, chain.ReasonContent},
		{"one sequence twice", []string{"DROP INDEX annals_records_chain", insertCopy(all, 5, "id = randomblob(16)")}, 5, chain.ReasonDuplicate},
		{"all renumbered", []string{"DROP INDEX annals_records_chain", "UPDATE annals_records SET sequence = sequence + 1 WHERE scope = " + scope}, 1, chain.ReasonMissing},
		{"one taken out of the chain", []string{"UPDATE annals_records SET sequence = NULL WHERE " + at + "9"}, 9, chain.ReasonMissing},
		{"another tenant's record put in its place", []string{
			"DELETE FROM annals_records WHERE " + at + "9",
			"UPDATE annals_records SET scope = " + scope + " WHERE sequence = 9 AND scope <> " + scope,
		}, 9, chain.ReasonContent},
		{"the head moved back", []string{"UPDATE annals_heads SET sequence = 30, hash = (SELECT hash FROM annals_bodies WHERE n = " + n + "30)) WHERE scope = " + scope}, 31, chain.ReasonBeyond},
		{"the head moved on", []string{"UPDATE annals_heads SET sequence = sequence + 1 WHERE scope = " + scope}, 41, chain.ReasonTail},
		{"the head's hash", []string{"UPDATE annals_heads SET hash = randomblob(32) WHERE scope = " + scope}, 40, chain.ReasonHead},
		{"the head's hash made longer", []string{"UPDATE annals_heads SET hash = CAST(hash || x'00' AS BLOB) WHERE scope = " + scope}, 40, chain.ReasonHead},
		{"the head given to nobody", []string{"UPDATE annals_heads SET scope = 77 WHERE scope = " + scope}, 1, chain.ReasonBeyond},
		{"the head deleted", []string{"DELETE FROM annals_heads WHERE scope = " + scope}, 1, chain.ReasonBeyond},
		{"the tenant renamed", []string{"UPDATE annals_scopes SET tenant = 'nobody' WHERE tenant = 'victim'"}, 1, chain.ReasonContent},
		{"the namespace renamed", []string{"UPDATE annals_scopes SET namespace = 'nowhere' WHERE tenant = 'victim'"}, 1, chain.ReasonContent},
		{"the scope renumbered", []string{"UPDATE annals_scopes SET scope = 77 WHERE tenant = 'victim'"}, 1, chain.ReasonContent},
		{"the names deleted", []string{"DELETE FROM annals_scopes WHERE tenant = 'victim'"}, 1, chain.ReasonContent},
		{"a block deleted", []string{"DELETE FROM annals_blocks WHERE block = 3"}, 0, chain.ReasonContent},
		{"a block renumbered", []string{"UPDATE annals_blocks SET block = 99 WHERE block = 3"}, 0, chain.ReasonContent},
		{"a block hidden from newer times", []string{"UPDATE annals_blocks SET max_occurred = min_occurred WHERE block = 3"}, 0, chain.ReasonContent},
		{"a block hidden from older times", []string{"UPDATE annals_blocks SET min_occurred = max_occurred WHERE block = 3"}, 0, chain.ReasonContent},
		{"a block hidden from retention", []string{"UPDATE annals_blocks SET min_recorded = min_recorded + 1 WHERE block = 3"}, 0, chain.ReasonContent},
		{"a block hidden from expiry", []string{"UPDATE annals_blocks SET min_expires = NULL WHERE block = 3"}, 0, chain.ReasonContent},
		{"a block hidden from expiry for longer", []string{"UPDATE annals_blocks SET min_expires = min_expires + 1 WHERE block = 3"}, 0, chain.ReasonContent},
		{"a block hidden from metadata", []string{"UPDATE annals_blocks SET escaped = 0 WHERE block = 3"}, 0, chain.ReasonContent},
		{"an id made longer", []string{"UPDATE annals_records SET id = CAST(id || x'00' AS BLOB) WHERE " + at + "8"}, 8, chain.ReasonContent},
		{"an id made shorter", []string{"UPDATE annals_records SET id = substr(id, 1, 15) WHERE " + at + "8"}, 8, chain.ReasonContent},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := first(t, tamper(t, path, c.sql...))
			if b == nil || c.sequence != 0 && b.Sequence != c.sequence || c.reason != "" && b.Reason != c.reason {
				t.Errorf("found %+v, want %s at %d", b, c.reason, c.sequence)
			}
		})
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
