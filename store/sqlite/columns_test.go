package sqlite

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// A new field needs a column here and a migration.
func TestEveryFieldHasAColumn(t *testing.T) {
	for _, f := range audit.Fields() {
		if f.Name == "namespace" || f.Name == "tenant" {
			continue // in the table of scopes
		}
		if n := len(slices.DeleteFunc(slices.Clone(allColumns), func(c *audit.Field) bool { return c != f })); n != 1 {
			t.Errorf("%s has %d columns", f.Name, n)
		}
	}
}

func TestTablesAreAsTheMappingSays(t *testing.T) {
	s := open(t, Options{})
	c := stranger(t, s.opt.Path)
	want := func(keys []tableColumn, fields []*audit.Field) []tableColumn {
		for _, f := range fields {
			keys = append(keys, tableColumn{f.Name, columnType(f)})
		}
		return keys
	}
	records := want([]tableColumn{{"n", "INTEGER"}, {"scope", "INTEGER"}}, recordColumns)
	if d := cmp.Diff(records, columns(t, c, "annals_records"), cmp.AllowUnexported(tableColumn{})); d != "" {
		t.Errorf("records (-mapping +table):\n%s", d)
	}
	bodies := want([]tableColumn{{"n", "INTEGER"}}, bodyColumns)
	if d := cmp.Diff(bodies, columns(t, c, "annals_bodies"), cmp.AllowUnexported(tableColumn{})); d != "" {
		t.Errorf("bodies (-mapping +table):\n%s", d)
	}
}
