package postgres

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// The look-ups of the write path use the index that they are meant for in every
// partition, also by plans that were made while the tables were empty.
func TestPlansOfTheWritePath(t *testing.T) {
	s := open(t, Options{RollupInterval: -1})
	c := newStranger(t, s)
	for m := 1; m <= 3; m++ {
		c.must(t, fmt.Sprintf(`CREATE TABLE @records_m%d PARTITION OF @records FOR VALUES FROM ('2026-0%d-01Z') TO ('2026-0%d-01Z')`, m, m, m+1))
	}
	c.must(t, `SET plan_cache_mode = force_generic_plan`)
	low, high := audit.NewID(), audit.NewID()
	for _, q := range []struct{ name, sql, args, index string }{
		{"between", idsBetween, fmt.Sprintf("'%s', '%s', 100", low, high), `_id_scope_idx`},
		{"among", idsAmong, fmt.Sprintf("'{%s, %s}'", low, high), `_id_scope_idx`},
		{"heads", headsOf, "'{1, 2}'", `_batches_pkey`},
		{"walk", walkOwn, fmt.Sprintf("1, 5, 10000, '%s', 'infinity', 1000, 256", low), `_scope_sequence_idx`},
	} {
		c.must(t, `BEGIN`)
		c.must(t, strings.ReplaceAll(writeSettings, "$1::text", "'0'"))
		c.must(t, `PREPARE x_`+q.name+` AS `+q.sql)
		plan := c.plan(t, `EXECUTE x_`+q.name+`(`+q.args+`)`)
		c.must(t, `COMMIT`)
		scans := regexp.MustCompile(`.*Scan.* on (annals_records|annals_batches).*`).FindAllString(plan, -1)
		if len(scans) == 0 {
			t.Errorf("%s scans nothing:\n%s", q.name, plan)
		}
		for _, scan := range scans {
			if !strings.Contains(scan, "Index") || strings.Contains(scan, "Bitmap") || !strings.Contains(scan, q.index) {
				t.Errorf("%s: %s", q.name, strings.TrimSpace(scan))
			}
		}
		if regexp.MustCompile(`-> +Sort\n`).MatchString(plan) {
			t.Errorf("%s sorts everything:\n%s", q.name, plan)
		}
	}
}

// plan explains a statement.
func (c stranger) plan(t testing.TB, sql string) string {
	t.Helper()
	rows, err := c.Query(t.Context(), `EXPLAIN (COSTS OFF) `+sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		b.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
