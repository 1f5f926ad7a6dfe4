package clickhouse

import (
	"fmt"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/enginetest"
)

// Whatever somebody changes in the tables, verification finds it.
func TestTampering(t *testing.T) {
	const mutate = " SETTINGS mutations_sync=2"
	for name, c := range map[string]struct {
		statements []string
		reason     chain.Reason
	}{
		"a record is changed":       {[]string{"ALTER TABLE @records UPDATE payload='{\"n\":\"ox\"}' WHERE sequence=4" + mutate}, chain.ReasonContent},
		"a record is hidden":        {[]string{"ALTER TABLE @records UPDATE members='' WHERE sequence=4" + mutate}, chain.ReasonContent},
		"a record is removed":       {[]string{"DELETE FROM @records WHERE sequence=4"}, chain.ReasonMissing},
		"the tail is removed":       {[]string{"DELETE FROM @records WHERE sequence>7"}, chain.ReasonTail},
		"the end is removed":        {[]string{"TRUNCATE TABLE @heads"}, chain.ReasonBeyond},
		"a record comes twice":      {[]string{"INSERT INTO @records SELECT * REPLACE(toUInt64(5) AS ins) FROM @records WHERE sequence=4"}, chain.ReasonDuplicate},
		"a record is put elsewhere": {[]string{"INSERT INTO @records SELECT * REPLACE(toInt64(11) AS sequence,toUInt64(5) AS ins) FROM (SELECT * FROM @records WHERE sequence=4)"}, chain.ReasonBeyond},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, enginetest.ClickHouse(t), nil)
			linked(t, s, made(t, 10))
			run(t, s, c.statements...)
			heads, err := s.Heads(t.Context(), &scope)
			if err != nil || len(heads) != 1 {
				t.Fatalf("%+v, %v", heads, err)
			}
			report, err := chain.Verify(t.Context(), s, heads[0].Key, chain.VerifyOptions{})
			if err != nil || report.Valid || report.FirstBroken.Reason != c.reason {
				t.Errorf("%+v, %v, want %s", report.FirstBroken, err, c.reason)
			}
		})
	}
	t.Run("every column", func(t *testing.T) {
		if testing.Short() {
			t.Skip("in full runs only: each is a mutation")
		}
		s := opened(t, enginetest.ClickHouse(t), nil)
		linked(t, s, made(t, 3))
		key := chain.Key{Scope: scope, Segment: "annals.1"}
		for _, f := range audit.Fields() {
			value := map[audit.FieldKind]string{audit.Text: "concat(%s,'x')", audit.Document: `'{"x":1}'`, audit.Identity: "reverse(%s)", audit.Hash: "reverse(%s)", audit.Flag: "1-%s"}[f.Kind]
			if value == "" {
				value = "%s+1"
			}
			if f.Name == "prev_hash" || f.Name == "segment" || f.Name == "namespace" || f.Name == "tenant" || f.Name == "occurred_at" || f.Name == "id" {
				continue // of the key of the table, which no UPDATE changes, or of the chain's, which takes the record out of it
			}
			if f.Kind != audit.Document {
				value = fmt.Sprintf(value, f.Name)
			}
			run(t, s, "CREATE TABLE IF NOT EXISTS @kept AS @records", "TRUNCATE TABLE @kept", "INSERT INTO @kept SELECT * FROM @records",
				"ALTER TABLE @records UPDATE "+f.Name+"="+value+" WHERE sequence=2"+mutate)
			report, err := chain.Verify(t.Context(), s, key, chain.VerifyOptions{})
			if err != nil || report.Valid {
				t.Errorf("%s was changed: %+v, %v", f.Name, report, err)
			}
			run(t, s, "TRUNCATE TABLE @records", "INSERT INTO @records SELECT * FROM @kept")
		}
	})
}
